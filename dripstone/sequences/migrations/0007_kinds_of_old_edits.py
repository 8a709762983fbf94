"""What edits were, from the sentences of before: "email 12 published", "the sequence: send hour changed from 9 to 10".

In batches by id, each its own transaction; rows that have a kind are left alone, so it can be run again. A sentence
that is not understood keeps its row without a kind, and is shown as it is.
"""

import re

from django.db import migrations, transaction

BATCH = 2000

CREATED = re.compile(r"(published|inserted) at position (\d+)")
UPDATED = re.compile(r"(published|unpublished)?(?: and )?(?:moved to position (\d+))?")
CHANGE = re.compile(r"(delay|send days|send hour|time zone) changed from (.+) to (.+)")
BETWEEN_CHANGES = re.compile(r" and (?=(?:delay|send days|send hour|time zone) changed from )")
EMAIL = re.compile(r"email (\d{1,18})(:?) (.+)")

SEQUENCE = {
    "sequence paused": {"active": [True, False]},
    "sequence resumed": {"active": [False, True]},
    "hold switched off": {"hold": [True, False]},
    "sequence paused and hold switched off": {"active": [True, False], "hold": [True, False]},
    "sequence resumed and hold switched off": {"active": [False, True], "hold": [True, False]},
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def parsed(what):
    """(kind, email id, changes); kind "" when the sentence is not understood."""
    if what in SEQUENCE:
        return "sequence_updated", None, SEQUENCE[what]
    if what == "sequence deleted":
        return "sequence_deleted", None, {}
    if what == "waiting people rescheduled":
        return "rescheduled", None, {}
    if what.startswith("the sequence: "):
        changes = retimed(what.removeprefix("the sequence: "))
        return "sequence_retimed" if changes else "", None, changes
    found = EMAIL.fullmatch(what)
    return _of_email(int(found[1]), bool(found[2]), found[3]) if found else ("", None, {})


def _of_email(email_id, is_retimed, rest):
    if is_retimed:
        changes = retimed(rest)
        return "email_retimed" if changes else "", email_id, changes
    if rest == "deleted":
        return "email_deleted", email_id, {}
    if found := CREATED.fullmatch(rest):
        return "email_created", email_id, {"published": [None, found[1] == "published"], "position": [None, int(found[2])]}
    if (found := UPDATED.fullmatch(rest)) and any(found.groups()):
        is_published = found[1] == "published"
        changes = {"published": [not is_published, is_published]} if found[1] else {}
        return "email_updated", email_id, changes | ({"position": [None, int(found[2])]} if found[2] else {})
    return "", email_id, {}


def retimed(text):
    """`delay changed from 2 days to 1 day and send hour changed from 9 to 10`; {} when it is not understood."""
    changes = {}
    for part in BETWEEN_CHANGES.split(text):
        found = CHANGE.fullmatch(part)
        if found is None:
            return {}
        read = READERS[found[1]]
        try:
            changes[found[1].replace(" ", "_")] = [read(found[2]), read(found[3])]
        except ValueError:
            return {}
    return changes


def delay(text):
    """`2 days` → [2, "days"]."""
    value, unit = text.replace(",", "").split(" ")
    return [int(value), unit if unit.endswith("s") else f"{unit}s"]


def days(text):
    if text == "the sequence's":
        return None
    return list(range(7)) if text == "every day" else [DAYS.index(name) for name in text.split(", ")]


READERS = {"delay": delay, "send days": days, "send hour": int, "time zone": str}


def kinds(apps, schema_editor):
    edits = apps.get_model("sequences", "SequenceEdit").objects.filter(kind="").exclude(what="")
    emails = apps.get_model("sequences", "SequenceEmail").objects
    after = 0
    while rows := list(edits.filter(pk__gt=after).order_by("pk")[:BATCH]):
        after = rows[-1].pk
        found = [(row, *parsed(row.what)) for row in rows]
        there = set(emails.filter(pk__in={email_id for _, _, email_id, _ in found}).values_list("pk", flat=True))
        for row, kind, email_id, changes in found:
            row.kind, row.changes = kind, changes
            row.email_id = email_id if email_id in there else None
        with transaction.atomic():
            edits.model.objects.bulk_update(rows, ["kind", "email", "changes"])


class Migration(migrations.Migration):
    atomic = False  # a commit per batch

    dependencies = [("sequences", "0006_kinds_of_edits")]

    operations = [migrations.RunPython(kinds, migrations.RunPython.noop)]
