"""Notes: what moved one person's place other than going from email to email. Written in the transaction of the change.

`email` is the email a note is about: the one paused at, skipped, sent, moved to; after an edit, the one that comes
next. `due_before` and `due_after` are the dates of the next email before and after the change; None: no date. Edits
move paused people too; their notes have the dates that are kept for them.
"""

from collections.abc import Iterable
from collections.abc import Sequence as Series
from datetime import datetime

from django.db import connection

from dripstone.engine import queries
from dripstone.engine.advance import Place, Standing
from dripstone.engine.models import Enrollment, Note
from dripstone.given import Checked, Given

MOVED = "moved"  # an edit gave them another email, or another date
LATE = "late"  # the engine found a day-email too late and gave it the next slot (R4)
PAUSED = "paused"
RESUMED = "resumed"
SKIPPED = "skipped"
SENT_NOW = "sent_now"
MOVED_TO = "moved_to"
RESTARTED = "restarted"
REMOVED = "removed"
SENT_AGAIN = "sent_again"
TREATED_AS_SENT = "treated_as_sent"

ENGINE = "engine"

MAX_REASON = 1000  # characters of the reason a person gives for an act

Row = tuple[int, int | None, datetime | None, datetime | None]
"""enrollment, next email, due before, due after"""


def reason_of(given: Given) -> str:
    """The `reason` somebody gives for an act; "" when they give none. Raises Invalid."""
    read = Checked(given)
    read_reason(read)
    return (read.sound().get("reason") or "").strip()


def read_reason(read: Checked) -> None:
    read.text_or_null("reason", MAX_REASON)


def of_edit(changes: Iterable[tuple[Standing, Place]], reason: str, actor: str, now: datetime) -> None:
    """One note for each person the edit moved."""
    rows = [
        (one.enrollment_id, place.next_email_id, one.shown_date(), one.shown_date_at(place)) for one, place in changes
    ]
    _insert(MOVED, rows, reason, actor, now)


def of_lateness(rows: Series[Row], reason: str, now: datetime) -> None:
    """The engine was too late and gave another date (R4)."""
    _insert(LATE, rows, reason, ENGINE, now)


def of_person(
    row: Enrollment,
    kind: str,
    email_id: int | None,
    reason: str,
    actor: str,
    now: datetime,
    *,
    due_before: datetime | None,
    due_after: datetime | None,
) -> None:
    """One note about an act on one place."""
    Note.objects.create(
        enrollment=row,
        at=now,
        kind=kind,
        email_id=email_id,
        due_before=due_before,
        due_after=due_after,
        reason=reason,
        actor=actor,
    )


def of_people(kind: str, rows: Series[Row], reason: str, actor: str, now: datetime) -> None:
    """The same for many."""
    _insert(kind, rows, reason, actor, now)


def _insert(kind: str, rows: Series[Row], reason: str, actor: str, now: datetime) -> None:
    """In one statement: an edit may move a hundred thousand people."""
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            queries.INSERT_NOTES,
            {
                "kind": kind,
                "reason": reason,
                "actor": actor,
                "now": now,
                "notes": queries.rows(("enrollment_id", "email_id", "due_before", "due_after"), rows),
            },
        )
