"""Counts that are kept as things change, so that the total of a list needs no scan.

A count is the sum of the rows with its key. A transaction that changes something adds a row with the difference; it
never changes one, so no two transactions wait for each other, in whatever order they count. `verbs.fold` puts the rows
of a key together once a minute. Each row acts as a stripe, and there are as many as needed.

    subscriber added    people  account 1  active  +1
    500 emails sent     deliveries  email 7  sent  +500
                        waiting  email 7  -500;  waiting  email 8  +500

docs/decisions/kept-counts.md lists the code that counts; truth.py says what a count must be equal to.
"""

from datetime import date, timedelta
from typing import ClassVar

from django.db import models


class Kind(models.TextChoices):
    """What is counted; of which object; `label` tells them apart."""

    PEOPLE = "people"  # of an account, by state
    TAGGED = "tagged"  # people with a tag, by their state
    ON_FORM = "on_form"  # people on a form, by their state
    PLACES = "places"  # in a sequence, by status
    WAITING = "waiting"  # active places whose next email it is
    LEFT = "left"  # places in a sequence that are completed or removed, by the last email before that and why: `left`
    LEFT_IN_WEEK = "left_in_week"  # the same by the week, and why: `left_in_week`
    CAME_IN_WEEK = "came_in_week"  # places, by the week and door they were entered by last: `came_in_week`
    LISTED = "listed"  # people whom the list of a sequence shows, by their state
    DELIVERIES = "deliveries"  # of an email that have ended, by status; includes those deleted since
    SKIPPED = "skipped"  # those of them that were skipped, by reason
    SENT_IN_WEEK = "sent_in_week"  # deliveries of an email, by the week they were sent in: `week`

    RESPONSES = "responses"  # to an email, by kind: Response

    # The ledger: rows of a kind that were deleted but stay in its count.
    DELIVERIES_GONE = "deliveries_gone"
    SKIPPED_GONE = "skipped_gone"
    SENT_IN_WEEK_GONE = "sent_in_week_gone"
    RESPONSES_GONE = "responses_gone"


def week(day: date) -> str:
    """The label of the week that a day of UTC is in: its Monday, so that labels sort by time."""
    return (day - timedelta(days=day.weekday())).isoformat()


def left(email_id: int | None, why: str) -> str:
    """`12:removed_by_owner`, `0:subscriber_cancelled` (before any email ended), `15:completed`."""
    return f"{email_id or 0}:{why}"


def left_in_week(day: date, why: str) -> str:
    """`2026-11-23:completed`."""
    return f"{week(day)}:{why}"


def came_in_week(day: date, door: str) -> str:
    """`2026-11-23:form 2`."""
    return f"{week(day)}:{door}"


class Response(models.TextChoices):
    """What came back from deliveries of an email: a label per stamp of tracking.Response that is counted."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Tally(models.Model):
    kind = models.TextField()
    subject_id = models.BigIntegerField()  # the account, tag, form, sequence or email it is a count of
    label = models.TextField()
    n = models.BigIntegerField()  # to be added; negative when something was taken away
    is_folded = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name_plural = "tallies"
        indexes: ClassVar = [
            # A count is read from the index alone: 0.1 ms.
            models.Index("kind", "subject_id", "label", include=["n"], name="tally_of_subject"),
            # What the next fold looks at: the rows of the last minute.
            models.Index("kind", "subject_id", "label", condition=models.Q(is_folded=False), name="tally_unfolded"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_id}, {self.label}: {self.n:+}"
