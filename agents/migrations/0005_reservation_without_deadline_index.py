from django.db import migrations


class Migration(migrations.Migration):
    """The reaper reads the whole small table anyway; the index cost every reserve."""

    dependencies = [("agents", "0004_zone_of_a_day")]

    operations = [migrations.RemoveIndex("reservation", "reservation_by_deadline")]
