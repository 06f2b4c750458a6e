from django.db import migrations

from agents.sql import load_functions

INDEXES = """
CREATE INDEX call_by_session ON call (organization_id, session, call_id) WHERE session <> '';
CREATE INDEX call_by_user ON call (organization_id, user_subject, call_id) WHERE user_subject <> '';
"""


class Migration(migrations.Migration):
    dependencies = [("agents", "0007_audit_checkpoints")]

    operations = [
        *load_functions(),
        migrations.RunSQL(INDEXES, "DROP INDEX call_by_session; DROP INDEX call_by_user"),
        migrations.RunSQL("SELECT ensure_partitions(2, 7)", migrations.RunSQL.noop),
    ]
