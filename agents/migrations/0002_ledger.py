"""What Django's models cannot say about the ledger's tables. Its functions come with 0008, as they are now."""

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"
def load(name: str) -> migrations.RunSQL:
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(), migrations.RunSQL.noop)


class Migration(migrations.Migration):
    dependencies = [("agents", "0001_initial")]

    operations = [
        migrations.AddField("call", "tokens", models.BigIntegerField(default=0)),
        migrations.AddField("call", "counted", models.SmallIntegerField(default=0)),
        migrations.AddField("reservation", "practice", models.BooleanField(default=False)),
        migrations.AddField("balance", "seeded", models.BigIntegerField(default=0)),
        migrations.AddField("balance", "opened_at", models.DateTimeField()),
        migrations.AddIndex(
            "balance",
            models.Index(
                fields=["budget", "opened_at"],
                condition=models.Q(("subject", ""), _negated=True),
                name="balance_by_new_subject",
            ),
        ),
        load("tables"),
        load("book_is_append_only"),
    ]
