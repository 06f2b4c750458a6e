"""Custom providers have flags, and a provider may have several keys, told apart by their labels."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_fingerprints_and_new_agents")]

    operations = [
        migrations.AddField(
            model_name="providercredential",
            name="label",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="providercredential",
            name="preset",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="providercredential",
            name="options",
            field=models.JSONField(blank=True, db_default={}, default=dict),
        ),
        migrations.RemoveConstraint(model_name="providercredential", name="credential_once_per_provider"),
        migrations.AddConstraint(
            model_name="providercredential",
            constraint=models.UniqueConstraint(
                fields=("organization", "provider", "label"), name="credential_once_per_label"
            ),
        ),
    ]
