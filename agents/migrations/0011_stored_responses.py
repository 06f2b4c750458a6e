from django.db import migrations, models


class Migration(migrations.Migration):
    """Answers that providers keep, by the agent that made them."""

    dependencies = [("agents", "0010_organization_keys")]

    operations = [
        migrations.CreateModel(
            name="StoredResponse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("organization_id", models.UUIDField()),
                ("agent_id", models.UUIDField()),
                ("practice", models.BooleanField(default=False)),
                ("response_id", models.CharField(max_length=128)),
                ("provider", models.CharField(max_length=40)),
                ("model", models.CharField(max_length=128)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "db_table": "stored_response",
                "indexes": [models.Index(fields=["expires_at"], name="stored_response_by_expiry")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("agent_id", "practice", "response_id"), name="stored_response_once"
                    )
                ],
            },
        ),
    ]
