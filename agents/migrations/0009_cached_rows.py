"""Calls that the cache answered become rows as refused ones do."""

from django.db import migrations

from agents.sql import load_functions


class Migration(migrations.Migration):
    dependencies = [("agents", "0008_ledger_functions")]

    operations = load_functions()
