"""How far repeated jobs have read the book, and the indexes by which they find what is new."""

from django.db import migrations, models

# Calls are appended as they end, so an index of ranges is enough: a few pages, and next to nothing per insert.
CREATE_INDEX = """
CREATE INDEX call_by_time ON call USING brin (ended_at, reserved_at) WITH (pages_per_range = 32, autosummarize = on)
"""


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_ledger")]

    operations = [
        migrations.CreateModel(
            name="Mark",
            fields=[
                ("name", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("until_at", models.DateTimeField()),
            ],
            options={"db_table": "mark"},
        ),
        migrations.AddIndex("balance", models.Index(fields=["window_end"], name="balance_by_window_end")),
        migrations.RunSQL(CREATE_INDEX, "DROP INDEX call_by_time"),
    ]
