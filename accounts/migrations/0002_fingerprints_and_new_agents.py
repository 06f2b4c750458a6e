"""Provider keys that are recognised when a caller shows them, and agents that their first call makes."""

from urllib.parse import urlsplit

from django.db import migrations, models

from accounts.fingerprints import fingerprint
from accounts.vault import SealBroken, unseal

KEY_LENGTH_MIN = 20


def fill_fingerprints(apps, schema_editor):
    """Open every stored key once. One whose seal is broken serves no call; connecting it again fills it."""
    for credential in apps.get_model("accounts", "ProviderCredential").objects.filter(fingerprint="").iterator():
        parts = urlsplit(credential.base_url)
        origin = f"{parts.scheme}://{parts.netloc}" if credential.base_url else ""
        binding = f"{credential.organization_id}|{credential.provider}|{credential.id}|{origin}".encode()
        try:
            api_key = unseal(bytes(credential.sealed_key), binding=binding)
        except SealBroken:
            continue
        if len(api_key) >= KEY_LENGTH_MIN:
            credential.fingerprint = fingerprint(api_key)
            credential.save(update_fields=["fingerprint"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField("providercredential", "fingerprint", models.CharField(blank=True, db_default="", default="", max_length=64)),
        migrations.AddField("organization", "allows_new_agents", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("organization", "new_agents_max", models.PositiveSmallIntegerField(db_default=20, default=20)),
        migrations.AddField("organization", "new_agent_daily_pico", models.BigIntegerField(db_default=5000000000000, default=5000000000000)),
        migrations.AddIndex("providercredential", models.Index(fields=["fingerprint"], name="credential_by_fingerprint")),
        migrations.RunPython(fill_fingerprints, migrations.RunPython.noop),
    ]
