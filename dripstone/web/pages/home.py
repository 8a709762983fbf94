"""Home: every sequence at a glance, what goes out this week, what went out last. Found by name as one types."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import overdue, undecided
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEdit, SequenceEmail
from dripstone.stats import deliveries as delivery_stats
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.web import charts, first_steps
from dripstone.web.charts import Spark
from dripstone.web.frame import member, show
from dripstone.web.pages import first_run
from dripstone.web.pages.deliveries import SHOWN, names_in
from dripstone.web.paging import page

WEEK = 7
TREND = 13  # weeks
RECENT = 8
NEWEST = 2000  # deliveries that are looked at for recent ones: 2 ms
MOST_UNKNOWN = 20
RECENT_ENDS = (Delivery.Status.SENT, Delivery.Status.FAILED, Delivery.Status.UNKNOWN)
PER_PAGE = 30  # a row is read and drawn in half a millisecond
ROWS = "rows"  # the id of the element that htmx puts the rows into


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence in the list.

    state    "", "paused", "draft" or "changed": the usual one has no name
    facts    its schedule and emails; of a paused one, since when
    next_at  when the next email goes; None: nobody waits for a date, or it is paused
    """

    sequence: Sequence
    state: str
    facts: str
    published: int
    drafts: int
    changed: int  # published emails with unpublished changes
    inside: int  # waiting for confirmation included
    completed: int
    sent: int
    next_at: datetime | None
    trend: Spark


@dataclass(frozen=True, slots=True)
class Totals:
    """Of the account: places, emails that have a date, what was sent, and what could not be."""

    inside: int
    today: int
    week: int
    sent: int
    failed: int
    has_more_failed: bool


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
    is_part = request.headers.get("HX-Target") == ROWS
    steps = None if is_part else first_steps.unfinished(account)
    if steps and steps.sequence is None:
        return first_run.page(request, account, steps)
    context = _list(request, account)
    if not is_part:
        context |= _around(account) | {"steps": steps}
    response = show(request, "home/_rows.html" if is_part else "home/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


# --- The list -----------------------------------------------------------------------------------------------------


def _list(request: HttpRequest, account: Account) -> dict[str, object]:
    """The sequences whose name has what is looked for, the newest first."""
    name = request.GET.get("q", "").replace("\0", "").strip()
    sequences = Sequence.objects.filter(account=account, deleted_at=None)
    found = page(request, sequences.filter(name__icontains=name) if name else sequences, PER_PAGE)
    return {
        "section": "sequences",
        "q": name,
        "page": found,
        "rows": _rows(account, found.rows, clock.now()),
    }


def _rows(account: Account, sequences: list[Sequence], now: datetime) -> list[Row]:
    """A fixed number of queries, all of kept counts or by an index."""
    ids = [sequence.pk for sequence in sequences]
    written, n, sent = _written(ids), places.by_status(ids), email_stats.sent_of_sequences(ids)
    due, weeks = places.first_due(ids), email_stats.sent_by_week(ids, now, TREND)
    changed = drafts.n_changed(ids)
    pauses = _pauses([sequence.pk for sequence in sequences if not sequence.active])
    return [
        Row(
            sequence,
            state=_state(sequence, written.get((sequence.pk, True), 0), changed[sequence.pk]),
            facts=_facts(account, sequence, pauses.get(sequence.pk), now),
            published=written.get((sequence.pk, True), 0),
            drafts=written.get((sequence.pk, False), 0),
            changed=changed[sequence.pk],
            inside=n[sequence.pk, "active"] + n[sequence.pk, "unconfirmed"],
            completed=n[sequence.pk, "completed"],
            sent=sent[sequence.pk],
            next_at=max(due[sequence.pk], now) if sequence.active and sequence.pk in due else None,
            trend=charts.spark(weeks[sequence.pk], "email", "week"),
        )
        for sequence in sequences
    ]


def _written(ids: Collection[int]) -> dict[tuple[int, bool], int]:
    """(sequence id, published?) → emails."""
    emails = SequenceEmail.objects.filter(sequence__in=ids, deleted_at=None).values("sequence_id", "published")
    return {(row["sequence_id"], row["published"]): row["n"] for row in emails.annotate(n=Count("id"))}


def _pauses(ids: Collection[int]) -> dict[int, SequenceEdit]:
    """When each paused sequence was paused last, and by whom. A new one that never ran has no such edit."""
    edits = SequenceEdit.objects.filter(
        sequence__in=ids, kind=SequenceEdit.Kind.SEQUENCE_UPDATED, changes__has_key="active"
    )
    return {edit.sequence_id: edit for edit in edits.order_by("sequence", "-pk").distinct("sequence")} if ids else {}


def _state(sequence: Sequence, n_published: int, n_changed: int) -> str:
    if not sequence.active:
        return "paused"
    if not n_published:
        return "draft"
    return "changed" if n_changed else ""


def _facts(account: Account, sequence: Sequence, pause: SequenceEdit | None, now: datetime) -> str:
    """The foot of the page names the account's zone; another one is said here."""
    if pause is not None:
        today, day = (at.astimezone(ZoneInfo(account.time_zone)).date() for at in (now, pause.at))
        who = "" if pause.actor == "owner" else f" by {pause.actor}"
        return f"Paused{who}, {words.short_day(day, today)}"
    zone = "" if sequence.time_zone == account.time_zone else f", {words.zone(sequence.time_zone)}"
    return f"{words.days(sequence.send_days)} around {sequence.send_hour}:00{zone}"


# --- Around it ----------------------------------------------------------------------------------------------------


def _around(account: Account) -> dict[str, object]:
    now = clock.now()
    week, recent = _week(account, now), _recent(account)
    return {
        "week": week,
        "totals": _totals(account, week, now),
        "recent": recent,
        "names": names_in(recent, account),
        "unknown": undecided.undecided(account.pk).select_related(*SHOWN).defer("notice__message")[:MOST_UNKNOWN],
        "halted": overdue.why_halted(now, account.time_zone),
    }


def _totals(account: Account, week: list[Day], now: datetime) -> Totals:
    n = places.of_account(account.pk)
    failed = delivery_stats.failed_since(account.pk, now - timedelta(days=WEEK))
    return Totals(
        inside=n[Enrollment.Status.ACTIVE] + n[Enrollment.Status.UNCONFIRMED],
        today=week[0].n_emails,
        week=sum(day.n_emails for day in week),
        sent=email_stats.sent_of_account(account.pk),
        failed=failed,
        has_more_failed=failed == delivery_stats.COUNTED_FAILED,
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
