"""Home: every sequence at a glance, what goes out this week, what went out last."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count
from django.db.models.functions import Greatest, TruncDate
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import overdue, undecided
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.web.frame import member, show

WEEK = 7
RECENT = 8
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
    in_progress: int  # waiting for confirmation included
    completed: int
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
    rows = sorted(_rows(account), key=lambda row: (row.sequence.active, row.in_progress), reverse=True)
    recent = Delivery.objects.filter(account=account, status__in=RECENT_ENDS).order_by("-pk")
    context = {
        "section": "sequences",
        "rows": rows,
        "week": _week(account, now) if rows else [],
        "recent": recent.select_related(*SHOWN).defer("notice__message")[:RECENT],
        "unknown": undecided.undecided(account.pk).select_related(*SHOWN).defer("notice__message")[:MOST_UNKNOWN],
        "halted": overdue.why_halted(now, account.time_zone),
        "api_url": settings.DRIPSTONE_URL,
    }
    return show(request, "home/page.html", account, context)


def _rows(account: Account) -> Iterator[Row]:
    emails = SequenceEmail.objects.filter(account=account, deleted_at=None).values("sequence_id", "published")
    written = {(row["sequence_id"], row["published"]): row["n"] for row in emails.annotate(n=Count("id"))}
    people = Enrollment.objects.filter(account=account).values("sequence_id", "status").annotate(n=Count("id"))
    places = Counter({(row["sequence_id"], row["status"]): row["n"] for row in people})
    deliveries = Delivery.objects.filter(account=account, status="sent").values("sequence_id").annotate(n=Count("id"))
    sent = {row["sequence_id"]: row["n"] for row in deliveries}
    for sequence in Sequence.objects.filter(account=account, deleted_at=None).order_by("-pk"):
        yield Row(
            sequence,
            words.schedule(sequence.send_days, sequence.send_hour, sequence.time_zone),
            written.get((sequence.pk, True), 0),
            written.get((sequence.pk, False), 0),
            places[sequence.pk, "active"] + places[sequence.pk, "unconfirmed"],
            places[sequence.pk, "completed"],
            sent.get(sequence.pk, 0),
        )


def _week(account: Account, now: datetime) -> list[Day]:
    """How many people's next email is due on each of the next seven days of the account's zone. What is late is
    today's. Only emails that have a date: what follows them gets one when they are sent."""
    zone = ZoneInfo(account.time_zone)
    today = now.astimezone(zone).date()
    end = datetime.combine(today + timedelta(days=WEEK), time(0), zone)
    due = Enrollment.objects.filter(
        account=account, due_at__lt=end, sequence__active=True, sequence__deleted_at=None
    ).annotate(day=TruncDate(Greatest("due_at", now), tzinfo=zone))
    counts = dict(due.values("day").annotate(n=Count("id")).values_list("day", "n"))
    fullest = max(counts.values(), default=0)
    dates = [today + timedelta(days=offset) for offset in range(WEEK)]
    return [Day(day, _day_name(day, today), n := counts.get(day, 0), _level(n, fullest)) for day in dates]


def _day_name(day: date, today: date) -> str:
    return "Today" if day == today else words.DAY_NAMES[day.weekday()][:3]


def _level(n: int, fullest: int) -> int:
    return -(-4 * n // fullest) if n else 0
