"""What became of a sequence's emails, in Kit's words: `include=stats`, and the counts every sequence carries.

All counts of a page of sequences or emails come from one query each. Opens and clicks are not recorded: they are 0.
Rates are fractions (0.5 is half), of recipients; click_to_open_rate is of opens.
"""

from collections import Counter
from collections.abc import Collection
from typing import Literal, NamedTuple

from django.db import connection
from django.db.models import Count
from typing_extensions import TypedDict

from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import SequenceEmail


class Counts(NamedTuple):
    n_emails: int  # drafts included
    n_subscribers: int  # active in the sequence


class EmailStats(TypedDict):
    recipients: int
    opens: int
    clicks: int
    email_unsubscribes: int
    bounces: int
    complaints: int
    open_rate: float
    click_rate: float
    click_to_open_rate: float
    unsubscribe_rate: float
    bounce_rate: float
    complaint_rate: float


class SequenceStats(TypedDict):
    """Rates are null where there is nothing to divide by; an email's are 0 there (so Kit)."""

    unsubscribers: int
    recipients: int
    opens: int
    clicks: int
    email_unsubscribes: int
    bounces: int
    complaints: int
    open_rate: float | None
    click_rate: float | None
    click_to_open_rate: float | None
    unsubscribe_rate: float | None
    bounce_rate: float | None
    complaint_rate: float | None


Feedback = Counter[tuple[int, str]]  # (sequence or email, stamp of a response) → how many

# What came back from deliveries of some emails or sequences. Index response_by_email.
_FEEDBACK = """
SELECT m.{column}, count(r.unsubscribed_at), count(r.bounced_at), count(r.complained_at)
FROM tracking_response r JOIN sequences_sequenceemail m ON m.id = r.email_id
WHERE m.account_id = %(account)s AND m.{column} = ANY(%(ids)s)
GROUP BY 1
"""
_STAMPS = ("unsubscribed_at", "bounced_at", "complained_at")


def counts(sequence_ids: Collection[int]) -> dict[int, Counts]:
    emails = SequenceEmail.objects.filter(sequence_id__in=sequence_ids, deleted_at=None)
    people = Enrollment.objects.filter(sequence_id__in=sequence_ids, status=Enrollment.Status.ACTIVE)
    n_emails = dict(emails.values_list("sequence_id").annotate(Count("pk")))
    n_people = dict(people.values_list("sequence_id").annotate(Count("pk")))
    return {pk: Counts(n_emails.get(pk, 0), n_people.get(pk, 0)) for pk in sequence_ids}


def of_emails(account_id: int, email_ids: Collection[int]) -> dict[int, EmailStats]:
    sent = _sent("email_id", email_ids)
    feedback = _feedback("id", account_id, email_ids)
    return {pk: _of_email(sent.get(pk, 0), pk, feedback) for pk in email_ids}


def of_sequences(account_id: int, sequence_ids: Collection[int]) -> dict[int, SequenceStats]:
    sent = _sent("sequence_id", sequence_ids)
    feedback = _feedback("sequence_id", account_id, sequence_ids)
    left = Enrollment.objects.filter(sequence_id__in=sequence_ids, status=Enrollment.Status.REMOVED)
    unsubscribers = dict(left.values_list("sequence_id").annotate(Count("pk")))
    return {pk: _of_sequence(unsubscribers.get(pk, 0), _of_email(sent.get(pk, 0), pk, feedback)) for pk in sequence_ids}


def _sent(column: Literal["email_id", "sequence_id"], ids: Collection[int]) -> dict[int, int]:
    rows = Delivery.objects.filter(**{f"{column}__in": ids}, status=Delivery.Status.SENT)
    return dict(rows.values_list(column).annotate(Count("pk")))


def _feedback(column: Literal["id", "sequence_id"], account_id: int, ids: Collection[int]) -> Feedback:
    with connection.cursor() as cursor:
        cursor.execute(_FEEDBACK.format(column=column), {"account": account_id, "ids": list(ids)})
        rows = cursor.fetchall()
    return Counter({(pk, what): n for pk, *counted in rows for what, n in zip(_STAMPS, counted, strict=True)})


def _of_email(recipients: int, pk: int, feedback: Feedback) -> EmailStats:
    unsubscribes, bounces, complaints = (feedback[pk, what] for what in _STAMPS)
    return EmailStats(
        recipients=recipients,
        opens=0,
        clicks=0,
        email_unsubscribes=unsubscribes,
        bounces=bounces,
        complaints=complaints,
        open_rate=0.0,
        click_rate=0.0,
        click_to_open_rate=0.0,
        unsubscribe_rate=_rate(unsubscribes, recipients),
        bounce_rate=_rate(bounces, recipients),
        complaint_rate=_rate(complaints, recipients),
    )


def _of_sequence(unsubscribers: int, emails: EmailStats) -> SequenceStats:
    has_sent = emails["recipients"] > 0
    return SequenceStats(
        unsubscribers=unsubscribers,
        recipients=emails["recipients"],
        opens=emails["opens"],
        clicks=emails["clicks"],
        email_unsubscribes=emails["email_unsubscribes"],
        bounces=emails["bounces"],
        complaints=emails["complaints"],
        open_rate=emails["open_rate"] if has_sent else None,
        click_rate=emails["click_rate"] if has_sent else None,
        click_to_open_rate=None,
        unsubscribe_rate=emails["unsubscribe_rate"] if has_sent else None,
        bounce_rate=emails["bounce_rate"] if has_sent else None,
        complaint_rate=emails["complaint_rate"] if has_sent else None,
    )


def _rate(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
