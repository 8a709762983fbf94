"""What became of a sequence: from email to email, how many were sent, skipped, failed, how many people left, and why.

All of these are kept counts (tallies): a few rows per email, however many people there were. They count every email
over all its versions. Opens and clicks are not recorded, complaints are not known, so neither is here;
bounces are those that a mail server refused at delivery.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, Response, week

COMPLETED = "completed"  # among the reasons for which people left
Reasons = Counter[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One email. `left`: people who completed or were removed when it was the last that had ended for them."""

    email: SequenceEmail
    sent: int
    skipped: Reasons
    failed: int
    unknown: int
    waiting: int
    unsubscribed: int  # by the link in it
    refused: int  # at delivery, for good
    left: Reasons

    @property
    def unsubscribe_rate(self) -> float | None:
        return rate(self.unsubscribed, self.sent)

    @property
    def refusal_rate(self) -> float | None:
        """Of what was handed over: a refused email was not sent."""
        return rate(self.refused, self.sent + self.refused)


@dataclass(frozen=True, slots=True)
class Report:
    """rows          of the emails that are there, in order of position
    places        people by the status of their place
    left_before   people who left before any email had ended for them
    left_since    after an email that was deleted since
    """

    sequence: Sequence
    rows: list[Row]
    n_deleted: int
    sent_of_deleted: int
    places: Mapping[str, int]
    left_before: Reasons
    left_since: Reasons

    @property
    def entered(self) -> int:
        return sum(self.places.values())

    @property
    def sent(self) -> int:
        return sum(row.sent for row in self.rows) + self.sent_of_deleted

    @property
    def left(self) -> Reasons:
        """All, completed ones among them."""
        return sum((row.left for row in self.rows), self.left_before + self.left_since)

    @property
    def unsubscribed(self) -> int:
        return sum(row.unsubscribed for row in self.rows)

    @property
    def refused(self) -> int:
        return sum(row.refused for row in self.rows)


def of_sequence(sequence: Sequence) -> Report:
    emails = list(sequence.emails.defer("content").order_by("position", "pk"))
    ids = [email.pk for email in emails]
    ended, came_back = tallies.of(Kind.DELIVERIES, ids), tallies.of(Kind.RESPONSES, ids)
    skipped, waiting = _by_reason(tallies.of(Kind.SKIPPED, ids)), places.waiting_for(ids)
    left = _left(sequence.pk)
    rows = {
        email.pk: Row(
            email,
            sent=ended[email.pk, Delivery.Status.SENT],
            skipped=skipped[email.pk],
            failed=ended[email.pk, Delivery.Status.FAILED],
            unknown=ended[email.pk, Delivery.Status.UNKNOWN],
            waiting=waiting[email.pk],
            unsubscribed=came_back[email.pk, Response.UNSUBSCRIBED],
            refused=came_back[email.pk, Response.BOUNCED],
            left=left[email.pk],
        )
        for email in emails
    }
    by_status = places.by_status([sequence.pk])
    there = {email.pk for email in emails if email.deleted_at is None}
    deleted = [rows[email.pk] for email in emails if email.pk not in there]
    return Report(
        sequence,
        [rows[email.pk] for email in emails if email.pk in there],
        n_deleted=len(deleted),
        sent_of_deleted=sum(row.sent for row in deleted),
        places={status: by_status[sequence.pk, status] for status in Enrollment.Status.values},
        left_before=left[0],
        left_since=sum((why for pk, why in left.items() if pk and pk not in there), Reasons()),
    )


def rate(part: int, whole: int) -> float | None:
    """A fraction (0.5 is half); None if there is nothing to divide by."""
    return round(part / whole, 4) if whole else None


def _by_reason(counts: Mapping[tuple[int, str], int]) -> dict[int, Reasons]:
    found: dict[int, Reasons] = defaultdict(Counter)
    for (email_id, reason), n in counts.items():
        found[email_id][reason] += n
    return found


def _left(sequence_id: int) -> dict[int, Reasons]:
    """Email id, 0 for none → reason → people."""
    found: dict[int, Reasons] = defaultdict(Counter)
    for (_, label), n in tallies.of(Kind.LEFT, [sequence_id]).items():
        email_id, _, reason = label.partition(":")
        found[int(email_id)][reason] += n
    return found


# --- Over time ----------------------------------------------------------------------------------------------------

WEEKS = {"quarter": 13, "year": 52}  # by week; a span of all time is by month
MOST_WEEKS = 520


class Period(NamedTuple):
    """A week of UTC, by its Monday; or a month, of which the weeks are whose Monday is in it."""

    begins: date
    sent: int
    left: Reasons


def over_time(sequence: Sequence, now: datetime, span: str) -> list[Period]:
    """span   "quarter" or "year", by week, this one last; "all", by month from the first on"""
    if span in WEEKS:
        return _by_week(sequence, now, WEEKS[span])
    n_weeks = (now - sequence.created_at).days // 7 + 2
    return _by_month(_by_week(sequence, now, min(max(n_weeks, 1), MOST_WEEKS)))


def _by_week(sequence: Sequence, now: datetime, n_weeks: int) -> list[Period]:
    this_week = date.fromisoformat(week(now.astimezone(UTC).date()))
    mondays = [this_week - timedelta(weeks=ago) for ago in reversed(range(n_weeks))]
    first = mondays[0].isoformat()
    emails = list(sequence.emails.values_list("pk", flat=True))
    sent, left = Counter[str](), defaultdict[str, Reasons](Counter)
    for (_, label), n in tallies.of(Kind.SENT_IN_WEEK, emails, from_label=first).items():
        sent[label] += n
    for (_, label), n in tallies.of(Kind.LEFT_IN_WEEK, [sequence.pk], from_label=first).items():
        monday, _, reason = label.partition(":")
        left[monday][reason] += n
    return [Period(day, sent[day.isoformat()], left[day.isoformat()]) for day in mondays]


def _by_month(weeks: Iterable[Period]) -> list[Period]:
    found: dict[date, list[Period]] = defaultdict(list)
    for one in weeks:
        found[one.begins.replace(day=1)].append(one)
    return [
        Period(begins, sum(one.sent for one in those), sum((one.left for one in those), Reasons()))
        for begins, those in found.items()
    ]


# --- All sequences ------------------------------------------------------------------------------------------------


class Summary(NamedTuple):
    entered: int
    inside: int
    completed: int
    sent: int
    unsubscribed: int
    refused: int


def summaries(sequence_ids: Collection[int]) -> dict[int, Summary]:
    """Of some sequences, deleted emails included; a fixed number of queries."""
    sequence_of = dict(SequenceEmail.objects.filter(sequence__in=sequence_ids).values_list("pk", "sequence_id"))
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for kind in (Kind.DELIVERIES, Kind.RESPONSES):
        for (email_id, label), n in tallies.of(kind, sequence_of).items():
            found[sequence_of[email_id]][label] += n
    by_status = places.by_status(sequence_ids)
    return {
        pk: Summary(
            entered=sum(by_status[pk, status] for status in Enrollment.Status.values),
            inside=by_status[pk, Enrollment.Status.ACTIVE] + by_status[pk, Enrollment.Status.UNCONFIRMED],
            completed=by_status[pk, Enrollment.Status.COMPLETED],
            sent=found[pk][Delivery.Status.SENT],
            unsubscribed=found[pk][Response.UNSUBSCRIBED],
            refused=found[pk][Response.BOUNCED],
        )
        for pk in sequence_ids
    }
