"""An agent may use another key of a provider than the usual one."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_custom_providers"), ("agents", "0011_stored_responses")]

    operations = [
        migrations.CreateModel(
            name="PinnedCredential",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(max_length=40)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pinned_credentials",
                        to="agents.agent",
                    ),
                ),
                (
                    "credential",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accounts.providercredential",
                    ),
                ),
            ],
            options={"db_table": "pinned_credential"},
        ),
        migrations.AddConstraint(
            model_name="pinnedcredential",
            constraint=models.UniqueConstraint(fields=("agent", "provider"), name="credential_pinned_once"),
        ),
    ]
