import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """What the audit remembers of the book; it fills the tables itself at its first run."""

    dependencies = [("agents", "0006_budgets_and_guards")]

    operations = [
        migrations.CreateModel(
            name="AuditedBalance",
            fields=[
                ("pk", models.CompositePrimaryKey("balance_id", "day", blank=True, editable=False, primary_key=True, serialize=False)),
                ("balance_id", models.BigIntegerField()),
                ("day", models.DateField()),
                ("organization_id", models.UUIDField()),
                ("practice", models.BooleanField()),
                ("usd_pico", models.DecimalField(decimal_places=0, max_digits=30)),
                ("tokens", models.DecimalField(decimal_places=0, max_digits=30)),
                ("calls", models.BigIntegerField()),
                ("overrun_pico", models.DecimalField(decimal_places=0, max_digits=30)),
                ("overrun_calls", models.BigIntegerField()),
                ("first_reserved_at", models.DateTimeField()),
                ("last_reserved_at", models.DateTimeField()),
            ],
            options={"db_table": "audited_balance"},
        ),
        migrations.CreateModel(
            name="AuditedDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("until_at", models.DateTimeField()),
                ("row_count", models.BigIntegerField()),
                ("fingerprint", models.DecimalField(decimal_places=0, max_digits=40)),
                ("priced_count", models.BigIntegerField()),
                ("price_versions", django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=12))),
                ("overrun_count", models.BigIntegerField()),
                ("overrun_pico", models.DecimalField(decimal_places=0, max_digits=30)),
            ],
            options={"db_table": "audited_day"},
        ),
        migrations.CreateModel(
            name="AuditedHour",
            fields=[
                ("pk", models.CompositePrimaryKey("hour", "day", blank=True, editable=False, primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("day", models.DateField()),
                ("checksum", models.DecimalField(decimal_places=0, max_digits=80)),
                ("last_ended_at", models.DateTimeField()),
            ],
            options={"db_table": "audited_hour"},
        ),
    ]
