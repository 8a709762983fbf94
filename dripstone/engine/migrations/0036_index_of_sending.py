"""Where in the table of deliveries those are that were sent within some time: a few pages, for all of them."""

from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("engine", "0035_minutes")]

    operations = [
        AddIndexConcurrently("delivery", BrinIndex("sent_at", name="delivery_by_sending", pages_per_range=32)),
    ]
