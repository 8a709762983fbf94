"""Home: every sequence at a glance, what goes out this week, what went out last."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import overdue, undecided
from dripstone.engine.models import Delivery
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.web.frame import member, show

WEEK = 7
RECENT = 8
NEWEST = 2000  # deliveries that are looked at for recent ones: 2 ms
MOST_UNKNOWN = 20
SHOWN = ("email", "sequence", "subscriber", "notice")  # of a delivery
RECENT_ENDS = (Delivery.Status.SENT, Delivery.Status.FAILED, Delivery.Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence in the list."""

    sequence: Sequence
    schedule: str
    published: int
    drafts: int
    inside: int  # waiting for confirmation included
    completed: int
    sent: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the account: places, emails that have a date, and what was sent."""

    inside: int
    today: int
    week: int
    sent: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the coming week; `level` 0 to 4 is how full it is beside the fullest one."""

    date: date
    name: str
    n_emails: int
    level: int


@require_safe
@member
def home(request: HttpRequest, account: Account) -> HttpResponse:
    now = clock.now()
    rows = sorted(_rows(account), key=lambda row: (row.sequence.active, row.inside), reverse=True)
    week = _week(account, now) if rows else []
    context = {
        "section": "sequences",
        "rows": rows,
        "week": week,
        "totals": _totals(rows, week),
        "recent": _recent(account),
        "unknown": undecided.undecided(account.pk).select_related(*SHOWN).defer("notice__message")[:MOST_UNKNOWN],
        "halted": overdue.why_halted(now, account.time_zone),
        "api_url": settings.DRIPSTONE_URL,
    }
    return show(request, "home/page.html", account, context)


def _rows(account: Account) -> Iterator[Row]:
    emails = SequenceEmail.objects.filter(account=account, deleted_at=None).values("sequence_id", "published")
    written = {(row["sequence_id"], row["published"]): row["n"] for row in emails.annotate(n=Count("id"))}
    sequences = list(Sequence.objects.filter(account=account, deleted_at=None).order_by("-pk"))
    ids = [sequence.pk for sequence in sequences]
    n, sent = places.by_status(ids), email_stats.sent_of_sequences(ids)
    for sequence in sequences:
        yield Row(
            sequence,
            words.schedule(sequence.send_days, sequence.send_hour, sequence.time_zone),
            written.get((sequence.pk, True), 0),
            written.get((sequence.pk, False), 0),
            n[sequence.pk, "active"] + n[sequence.pk, "unconfirmed"],
            n[sequence.pk, "completed"],
            sent[sequence.pk],
        )


def _totals(rows: list[Row], week: list[Day]) -> Totals:
    return Totals(
        inside=sum(row.inside for row in rows),
        today=week[0].n_emails if week else 0,
        week=sum(day.n_emails for day in week),
        sent=sum(row.sent for row in rows),
    )


def _week(account: Account, now: datetime) -> list[Day]:
    """How many people's next email is due on each of the next seven days of the account's zone. Late ones count as
    today's. Only emails that have a date: the next one gets its date when the one before it is sent."""
    zone = ZoneInfo(account.time_zone)
    today = now.astimezone(zone).date()
    dates = [today + timedelta(days=offset) for offset in range(WEEK)]
    ends = [datetime.combine(day + timedelta(days=1), time(0), zone) for day in dates]
    counts = places.due_until(account.pk, ends)
    fullest = max(counts)
    return [Day(day, _day_name(day, today), n, _level(n, fullest)) for day, n in zip(dates, counts, strict=True)]


def _recent(account: Account) -> list[Delivery]:
    """What ended last, among the newest deliveries. Only while a great many wait to be sent are there none of them
    that have ended; then the list is walked on until some have."""
    mine = Delivery.objects.filter(account=account).order_by("-pk")
    ended = Q(status__in=RECENT_ENDS)
    newest = mine.values("pk")[:NEWEST]
    rows = mine.select_related(*SHOWN).defer("notice__message")
    return list(rows.filter(ended, pk__in=newest)[:RECENT]) or list(rows.filter(ended)[:RECENT])


def _day_name(day: date, today: date) -> str:
    return "Today" if day == today else words.DAY_NAMES[day.weekday()][:3]


def _level(n: int, fullest: int) -> int:
    return -(-4 * n // fullest) if n else 0
