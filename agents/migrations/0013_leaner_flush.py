"""The flush asks less of PostgreSQL, and what a batch does not have is NULL."""

from django.db import migrations

from agents.sql import load_functions


class Migration(migrations.Migration):
    dependencies = [("agents", "0012_pinned_credentials")]

    operations = load_functions()
