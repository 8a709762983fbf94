"""What a breaker remembers of its server: the server's words, or a code of ours. One row per server."""

import re

from django.db import migrations

OURS = re.compile("[a-z_]+( [a-z]+)*")  # "connection refused"; what servers say begins with a number


def codes(apps, schema_editor):
    for row in apps.get_model("senders", "Breaker").objects.exclude(reason=""):
        if OURS.fullmatch(row.reason):
            row.reason = row.reason.replace(" ", "_")
        else:
            row.reason, row.reply = "", row.reason
        row.save()


class Migration(migrations.Migration):
    dependencies = [("senders", "0003_reply_of_the_breaker")]

    operations = [migrations.RunPython(codes, migrations.RunPython.noop)]
