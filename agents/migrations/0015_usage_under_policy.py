"""Usage that is recorded counts against the budgets of the present policy, or is not booked yet."""

from django.db import migrations

from agents.sql import load_functions


class Migration(migrations.Migration):
    dependencies = [("agents", "0014_further_rows")]

    operations = load_functions()
