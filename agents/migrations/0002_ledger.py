"""The ledger's functions: one SQL file each, in the order in which they need each other."""

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"
FUNCTIONS = [
    "uuid7_floor",
    "ensure_partitions",
    "ledger_window",
    "ledger_assert",
    "ledger_open_balances",
    "ledger_lock",
    "ledger_balances_of",
    "ledger_row_of",
    "ledger_correct",
    "ledger_keep_conflict",
    "ledger_settle_batch",
    "ledger_settle_late",
    "ledger_seat",
    "ledger_is_current",
    "ledger_doubts",
    "ledger_codes_of_known",
    "ledger_admit_in_order",
    "ledger_hold",
    "ledger_move",
    "ledger_flush",
    "ledger_bury",
    "ledger_doomed",
    "ledger_expire",
    "ledger_record_refusals",
    "ledger_stand_still",
    "ledger_seed",
]


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
        *[load(name) for name in FUNCTIONS],
        migrations.RunSQL("SELECT ensure_partitions(2, 7)", migrations.RunSQL.noop),
    ]
