"""What a further row of the book begins as is said once."""

from django.db import migrations

from agents.sql import load_functions


class Migration(migrations.Migration):
    dependencies = [("agents", "0013_leaner_flush")]

    operations = load_functions()
