import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Organisation keys, and which agents were made by a call."""

    dependencies = [
        ("accounts", "0002_fingerprints_and_new_agents"),
        ("agents", "0009_cached_rows"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("agent", "created_by_call", models.BooleanField(db_default=False, default=False)),
        migrations.CreateModel(
            name="OrganizationKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public_id", models.CharField(max_length=8, unique=True)),
                ("digest", models.CharField(max_length=64)),
                ("pepper_version", models.PositiveSmallIntegerField(default=1)),
                ("name", models.CharField(blank=True, max_length=100)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("created_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("organization", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="keys", to="accounts.organization")),
            ],
            options={"db_table": "organization_key"},
        ),
    ]
