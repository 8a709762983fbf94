"""Reasons become codes (engine/reasons.py), and a mail server's words go to `reply`.

Until now a reason was an English text, an owner's own words about a removal or what a mail server answered, all in one
column. Rows are walked by id, a few thousand per transaction: a run that was broken off starts again at the beginning
and passes over what is done, as a code is left as it is.

A server of the version before, still running meanwhile, writes texts: they are shown in quotation marks.
"""

import re
from collections import defaultdict

from django.db import migrations, transaction

BATCH = 5000

# The texts of versions up to here, and their codes.
SKIPS = {
    "email deleted": "email_deleted",
    "sequence deleted": "sequence_deleted",
    "skipped by the owner": "skipped_by_owner",
    "moved by the owner": "moved_by_owner",
    "removed by the owner": "removed_by_owner",
    "restarted": "restarted",
    "removed and added again meanwhile": "added_again",
    "overdue after a silence: treated as sent": "overdue_skipped",
    "subscriber is inactive": "subscriber_inactive",
    "subscriber is cancelled": "subscriber_cancelled",
    "subscriber is bounced": "subscriber_bounced",
    "subscriber is complained": "subscriber_complained",
}
TRIES = {
    "worker lost": "worker_lost",
    "worker stopped before the body left": "worker_stopped_before_body",
    "worker stopped after the body started": "worker_stopped_after_body",
    "worker stopped before recording": "worker_stopped_before_recording",
    "the address has no form that mail servers take": "bad_recipient",
    "The recipient's address is not one that SMTP can carry": "bad_recipient",
    "The recipient's address has an impossible domain": "bad_recipient",
    "the sending address cannot be written in a mail header": "bad_sender",
    "The sender's address is not one that SMTP can carry": "bad_sender",
    "The sender's address has an impossible domain": "bad_sender",
    "The mail server does not offer SMTPUTF8, which an address with such letters before the @ needs": (
        "smtputf8_not_offered"
    ),
    "The mail server takes only 7-bit messages and this one has other bytes": "8bitmime_not_offered",
} | {
    text: text.replace(" ", "_")
    for text in (
        *("connection refused", "host not found", "tls failed", "auth failed", "not opened"),
        *("cut before body", "timeout before body", "nonsense before body"),
        *("cut after body", "timeout after body", "nonsense after body"),
        *("flight log", "lease over", "sender closed", "inbox not writable", "internal error"),
    )
}
NOTES = {
    "more than 6 hours late: waits for the next slot": "too_late",
    "overdue after a silence: waits for the next slot": "overdue_moved",
}
CODES = {
    *SKIPS.values(), *TRIES.values(), *NOTES.values(), "refused", "bounced", "deferred", "no_answer", "gave_up",
}  # fmt: skip
WITH_VALUES = re.compile(r"excluded:(tag|form|sequence|segment):\d+|gave_up:[0-9a-z_]+")
EXCLUDED = re.compile(r"excluded by (tag|form|sequence|segment) (\d+)")
GAVE_UP = "gave up after 3 days: "

REPLIES = {"failed": "refused", "unknown": "no_answer", "sent": "no_answer"}
"""What an unknown text is by the status of its delivery, for it is what a server answered. Else: refused for now."""


def reason_of_a_removal(text, by_owner):
    """by_owner: a note says that somebody took them out, at that instant; the text may be anything then."""
    if by_owner:
        return "removed_by_owner"
    return text if text in CODES else SKIPS.get(text, "removed_by_owner")


def reason_and_reply(text, reply, status, by_owner):
    """The code and the server's words, of a delivery's reason."""
    if status == "skipped":
        if by_owner:
            return "removed_by_owner", reply
        if found := EXCLUDED.fullmatch(text):
            return f"excluded:{found[1]}:{found[2]}", reply
        return text if WITH_VALUES.fullmatch(text) else reason_of_a_removal(text, by_owner=False), reply
    if text in CODES or WITH_VALUES.fullmatch(text):
        return text, reply
    if text in TRIES:
        return TRIES[text], reply
    if text.startswith(GAVE_UP):
        last = text.removeprefix(GAVE_UP)
        return (f"gave_up:{TRIES[last]}", reply) if last in TRIES else ("gave_up:deferred", last)
    return REPLIES.get(status, "deferred"), text


# --- Deliveries -------------------------------------------------------------------------------------------------

# Somebody took them out at the very instant at which it was skipped: the verb writes both with one `now`.
DELIVERIES = """
SELECT d.id, d.reason, d.reply, d.status, d.status = 'skipped' AND EXISTS (
    SELECT 1 FROM engine_note n WHERE n.enrollment_id = d.enrollment_id AND n.kind = 'removed' AND n.at = d.ended_at)
FROM engine_delivery d WHERE d.id > %s AND d.reason <> '' ORDER BY d.id LIMIT %s FOR NO KEY UPDATE OF d
"""

SET_DELIVERIES = """
UPDATE engine_delivery d SET reason = u.reason, reply = u.reply
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS u (id, reason, reply) WHERE d.id = u.id
"""


def deliveries(cursor, after):
    cursor.execute(DELIVERIES, [after, BATCH])
    rows = cursor.fetchall()
    told = [(pk, *reason_and_reply(text, reply, status, by_owner)) for pk, text, reply, status, by_owner in rows]
    changed = [now for now, was in zip(told, rows, strict=True) if now[1:] != was[1:3]]
    if changed:
        cursor.execute(SET_DELIVERIES, [list(column) for column in zip(*changed, strict=True)])
    return rows[-1][0] if rows else None


# --- Places -----------------------------------------------------------------------------------------------------

PLACES = """
SELECT e.id, e.removed_reason, e.removed_at, EXISTS (
    SELECT 1 FROM engine_note n WHERE n.enrollment_id = e.id AND n.kind = 'removed' AND n.at = e.removed_at)
FROM engine_enrollment e WHERE e.id > %s AND e.removed_reason <> '' ORDER BY e.id LIMIT %s FOR NO KEY UPDATE OF e
"""

SET_PLACES = """
UPDATE engine_enrollment e SET removed_reason = u.reason
FROM unnest(%s::bigint[], %s::text[]) AS u (id, reason) WHERE e.id = u.id
"""

# Words that only the column had, from before there were notes.
ADD_NOTES = """
INSERT INTO engine_note (enrollment_id, at, kind, reason, actor)
SELECT id, at, 'removed', reason, 'owner' FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) AS u (id, at, reason)
"""


def places(cursor, after):
    cursor.execute(PLACES, [after, BATCH])
    rows = cursor.fetchall()
    told = [(pk, reason_of_a_removal(text, by_owner)) for pk, text, _, by_owner in rows]
    changed = [now for now, was in zip(told, rows, strict=True) if now[1] != was[1]]
    own_words = [
        (pk, removed_at, text)
        for pk, text, removed_at, by_owner in rows
        if not by_owner and removed_at is not None and text not in SKIPS and text not in CODES
    ]
    if own_words:
        cursor.execute(ADD_NOTES, [list(column) for column in zip(*own_words, strict=True)])
    if changed:
        cursor.execute(SET_PLACES, [list(column) for column in zip(*changed, strict=True)])
    return rows[-1][0] if rows else None


# --- Notes of what the engine did -------------------------------------------------------------------------------

NOTES_OF_THE_ENGINE = """
SELECT n.id, n.kind, n.reason, n.at, e.sequence_id FROM engine_note n JOIN engine_enrollment e ON e.id = n.enrollment_id
WHERE n.id > %s AND n.kind IN ('moved', 'late') AND n.reason <> '' ORDER BY n.id LIMIT %s
"""

LOG = """
SELECT sequence_id, number, what, at FROM sequences_sequenceedit
WHERE sequence_id = ANY(%s) AND number IS NOT NULL ORDER BY sequence_id, number
"""

SET_NOTES = """
UPDATE engine_note n SET reason = u.reason FROM unnest(%s::bigint[], %s::text[]) AS u (id, reason) WHERE n.id = u.id
"""


def notes(cursor, after):
    cursor.execute(NOTES_OF_THE_ENGINE, [after, BATCH])
    rows = cursor.fetchall()
    cursor.execute(LOG, [list({row[4] for row in rows})])
    log = defaultdict(list)
    for sequence_id, *edit in cursor.fetchall():
        log[sequence_id].append(edit)
    known = {}
    changed = []
    for pk, kind, text, at, sequence_id in rows:
        key = kind, text, at, sequence_id  # one edit has moved many people
        if key not in known:
            known[key] = NOTES.get(text, text) if kind == "late" else edits(text, at, log[sequence_id])
        if known[key] != text:
            changed.append((pk, known[key]))
    if changed:
        cursor.execute(SET_NOTES, [list(column) for column in zip(*changed, strict=True)])
    return rows[-1][0] if rows else None


def edits(text, at, log):
    """`email 12 published; sequence paused` → "edits:5-6": the latest edits, before the note, that say just this."""
    for last in range(len(log) - 1, -1, -1):
        if log[last][2] > at:
            continue
        told = ""
        for first in range(last, -1, -1):
            told = f"{log[first][1]}; {told}" if told else log[first][1]
            if told == text:
                return f"edits:{log[first][0]}-{log[last][0]}"
            if not text.endswith(told):
                break
    return text


def codes(apps, schema_editor):
    for step in (deliveries, places, notes):
        after = 0
        while after is not None:
            with transaction.atomic(), schema_editor.connection.cursor() as cursor:
                after = step(cursor, after)


class Migration(migrations.Migration):
    atomic = False  # a commit per batch: nobody waits for the whole table

    dependencies = [
        ("engine", "0009_reply_of_the_mail_server"),
        ("sequences", "0005_when_published"),
    ]

    operations = [migrations.RunPython(codes, migrations.RunPython.noop)]
