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
from dripstone.events import types
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


Feedback = Counter[tuple[int, str]]  # (sequence or email, kind of event) → how many

# What came back from deliveries of some emails or sequences. Events by account, deliveries by primary key.
_FEEDBACK = """
SELECT d.{column}, v.type, count(*) FROM events_event v JOIN engine_delivery d ON d.id = v.subject_id
WHERE v.account_id = %(account)s AND v.type = ANY(%(types)s)
  AND d.account_id = %(account)s AND d.{column} = ANY(%(ids)s)
GROUP BY 1, 2
"""
_KINDS = [types.SUBSCRIBER_UNSUBSCRIBED, types.SUBSCRIBER_BOUNCED, types.SUBSCRIBER_COMPLAINED]


def counts(sequence_ids: Collection[int]) -> dict[int, Counts]:
    emails = SequenceEmail.objects.filter(sequence_id__in=sequence_ids, deleted_at=None)
    people = Enrollment.objects.filter(sequence_id__in=sequence_ids, status=Enrollment.Status.ACTIVE)
    n_emails = dict(emails.values_list("sequence_id").annotate(Count("pk")))
    n_people = dict(people.values_list("sequence_id").annotate(Count("pk")))
    return {pk: Counts(n_emails.get(pk, 0), n_people.get(pk, 0)) for pk in sequence_ids}


def of_emails(account_id: int, email_ids: Collection[int]) -> dict[int, EmailStats]:
    sent = _sent("email_id", email_ids)
    feedback = _feedback("email_id", account_id, email_ids)
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


def _feedback(column: Literal["email_id", "sequence_id"], account_id: int, ids: Collection[int]) -> Feedback:
    with connection.cursor() as cursor:
        cursor.execute(_FEEDBACK.format(column=column), {"account": account_id, "types": _KINDS, "ids": list(ids)})
        return Counter({(pk, kind): number for pk, kind, number in cursor.fetchall()})


def _of_email(recipients: int, pk: int, feedback: Feedback) -> EmailStats:
    unsubscribes, bounces, complaints = (feedback[pk, kind] for kind in _KINDS)
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
