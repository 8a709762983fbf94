"""What became of a sequence, email by email and over time; as JSON, and its emails as CSV."""

import csv
import io
from collections.abc import Iterable

from typing_extensions import TypedDict

from dripstone.engine import reasons
from dripstone.explain import report_words
from dripstone.stats.report import Period, Reasons, Report, Row


class LeftShape(TypedDict):
    how: str
    people: int


class SkippedShape(TypedDict):
    reason: str
    reason_text: str
    emails: int


class EmailReportShape(TypedDict):
    email_id: int
    position: int
    subject: str
    published: bool
    waiting: int
    sent: int
    skipped: int
    skipped_because: list[SkippedShape]
    failed: int
    unknown: int
    unsubscribed: int
    unsubscribe_rate: float | None
    refused_at_delivery: int
    refusal_rate: float | None
    left_after: list[LeftShape]


class DeletedEmailsShape(TypedDict):
    emails: int
    sent: int
    left_after: list[LeftShape]


class PeriodShape(TypedDict):
    begins: str
    sent: int
    completed: int
    unsubscribed: int
    refused_at_delivery: int
    taken_out: int
    left_otherwise: int


class ReportShape(TypedDict):
    sequence_id: int
    entered: int
    active: int
    unconfirmed: int
    completed: int
    removed: int
    sent: int
    left_before_first: list[LeftShape]
    emails: list[EmailReportShape]
    deleted_emails: DeletedEmailsShape
    unit: str
    periods: list[PeriodShape]


def report(found: Report, periods: Iterable[Period], unit: str) -> ReportShape:
    """unit   of the periods: "week" or "month" """
    names = report_words.names_in(found)
    return ReportShape(
        sequence_id=found.sequence.pk,
        entered=found.entered,
        active=found.places["active"],
        unconfirmed=found.places["unconfirmed"],
        completed=found.places["completed"],
        removed=found.places["removed"],
        sent=found.sent,
        left_before_first=_left(found.left_before),
        emails=[_email(row, names) for row in found.rows],
        deleted_emails=DeletedEmailsShape(
            emails=found.n_deleted, sent=found.sent_of_deleted, left_after=_left(found.left_since)
        ),
        unit=unit,
        periods=[_period(one) for one in periods],
    )


def _email(row: Row, names: reasons.Named) -> EmailReportShape:
    return EmailReportShape(
        email_id=row.email.pk,
        position=row.email.position,
        subject=row.email.subject,
        published=row.email.published,
        waiting=row.waiting,
        sent=row.sent,
        skipped=row.skipped.total(),
        skipped_because=[
            SkippedShape(reason=one.reason, reason_text=reasons.sentence(one.reason, names), emails=one.n)
            for one in report_words.skipped(row.skipped, names)
        ],
        failed=row.failed,
        unknown=row.unknown,
        unsubscribed=row.unsubscribed,
        unsubscribe_rate=row.unsubscribe_rate,
        refused_at_delivery=row.refused,
        refusal_rate=row.refusal_rate,
        left_after=_left(row.left),
    )


def _left(counts: Reasons) -> list[LeftShape]:
    return [LeftShape(how=one.reason, people=one.n) for one in report_words.left(counts)]


def _period(one: Period) -> PeriodShape:
    ways = {code: report_words.ways_of(one.left)[way] for way, code in report_words.CODES.items()}
    return PeriodShape(
        begins=one.begins.isoformat(),
        sent=one.sent,
        completed=ways["completed"],
        unsubscribed=ways["unsubscribed"],
        refused_at_delivery=ways["refused_at_delivery"],
        taken_out=ways["taken_out"],
        left_otherwise=ways["left_otherwise"],
    )


# --- As a table ---------------------------------------------------------------------------------------------------

_PLAIN = ("email_id", "position", "subject", "waiting", "sent", "skipped", "failed", "unknown", "unsubscribed",
          "unsubscribe_rate", "refused_at_delivery", "refusal_rate")  # fmt: skip


def as_csv(found: Report) -> str:
    """A line per email, with how people left after it. What a spreadsheet would take for a formula begins with an
    apostrophe."""
    ways = list(report_words.CODES.values())
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow([*_PLAIN, *(f"{way}_after" for way in ways)])
    for row in report(found, (), "week")["emails"]:
        cells = dict[str, object](row)
        left = {one["how"]: one["people"] for one in row["left_after"]}
        table.writerow([*(_cell(cells[name]) for name in _PLAIN), *(left.get(way, 0) for way in ways)])
    return out.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
