"""What goes out in the next 30 days: a calendar and a chart, each day with who gets what, and why nothing goes.

The forecast reads everybody inside, so the page comes first and its parts after it. Where few people are inside, they
are there at once. Without JavaScript each part is a page of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine.models import Enrollment
from dripstone.explain import health, quiet
from dripstone.foresight import forecast as foresight
from dripstone.foresight import whom
from dripstone.foresight.whom import Going, Span
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places
from dripstone.web import charts, checks
from dripstone.web.frame import member, show
from dripstone.web.paging import number

DAYS = 30
AT_ONCE = 1_000  # people inside, of whom a forecast is made within the page: 20 ms
NAMED = 3  # of those who get an email in an hour
PER_PAGE = 50
SAID = 6  # reasons why little goes on a day
EXPLAINED = 5  # sequences whose checks stand there when nothing goes at all

ByDay = Mapping[int, Counter[date]]
"""Sequence id → emails on each day."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page is about: all sequences of the account, or one of them."""

    account: Account
    chosen: Sequence | None
    now: datetime

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account.time_zone)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def dates(self) -> list[date]:
        return [self.today + timedelta(days=offset) for offset in range(DAYS)]

    @property
    def sequences(self) -> QuerySet[Sequence]:
        rows = Sequence.objects.filter(account=self.account, deleted_at=None)
        return rows if self.chosen is None else rows.filter(pk=self.chosen.pk)

    def query(self, **more: str) -> str:
        chosen = {} if self.chosen is None else {"sequence": str(self.chosen.pk)}
        return f"?{urlencode(chosen | more)}" if chosen or more else ""

    def url_of(self, day: date) -> str:
        return reverse("forecast_day", args=[day.isoformat()]) + self.query()


def _asked(request: HttpRequest, account: Account) -> Asked:
    wanted = request.GET.get("sequence", "")
    rows = Sequence.objects.filter(account=account, deleted_at=None)
    chosen = get_object_or_404(rows, pk=number(wanted) or 0) if wanted else None
    return Asked(account, chosen, clock.now())


# --- The page -----------------------------------------------------------------------------------------------------


@require_safe
@member
def forecast(request: HttpRequest, account: Account) -> HttpResponse:
    """`?day=`: the one that is shown beside; today without it, or where it is none of these."""
    asked = _asked(request, account)
    wanted = _read(request.GET.get("day", ""))
    day = wanted if wanted in asked.dates else asked.today
    context = _around(asked) | {"day_url": asked.url_of(day), "chosen_day": day}
    if _is_small(asked):
        context |= _month(asked, day) | _day(asked, day) | _left_out(asked) | {"is_whole": True}
    return show(request, "forecast/page.html", account, context)


@require_safe
@member
def forecast_calendar(request: HttpRequest, account: Account) -> HttpResponse:
    asked = _asked(request, account)
    day = _read(request.GET.get("day", "")) or asked.today
    return _part(request, asked, "calendar", _month(asked, day))


@require_safe
@member
def forecast_uncounted(request: HttpRequest, account: Account) -> HttpResponse:
    asked = _asked(request, account)
    return _part(request, asked, "uncounted", _left_out(asked))


@require_safe
@member
def forecast_day(request: HttpRequest, account: Account, day: str) -> HttpResponse:
    asked, found = _asked(request, account), _read(day)
    if found is None or found not in asked.dates:
        raise Http404
    return _part(request, asked, "day", _day(asked, found))


def _part(request: HttpRequest, asked: Asked, name: str, context: dict[str, Any]) -> HttpResponse:
    is_part = request.headers.get("HX-Target") == name
    template = f"forecast/_{name}.html" if is_part else f"forecast/{name}.html"
    response = show(request, template, asked.account, _around(asked) | context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _around(asked: Asked) -> dict[str, Any]:
    """The head of the page, and what keeps everything from going."""
    findings = [*health.halt_findings(asked.now), *health.engine_findings(clock.system_now())]
    server = health.server_finding()
    return {
        "section": "forecast",
        "asked": asked,
        "chosen": asked.chosen,
        "query": asked.query(),
        "choices": Sequence.objects.filter(account=asked.account, deleted_at=None).order_by("name", "pk"),
        "stopped": [*findings, *([server] if server else [])],
    }


def _is_small(asked: Asked) -> bool:
    counts = places.of_account(asked.account.pk)
    return counts[Enrollment.Status.ACTIVE] <= AT_ONCE


def _read(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-30") else None
    except ValueError:
        return None


# --- Calendar and chart -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of the calendar; `full` is how full it is beside the fullest one, in percent."""

    date: date
    name: str
    in_full: str
    n: int
    short: str
    full: int
    url: str
    is_chosen: bool


def _month(asked: Asked, chosen: date) -> dict[str, Any]:
    by_day = _by_day(asked)
    dates = asked.dates
    totals = [sum(counts[day] for counts in by_day.values()) for day in dates]
    names = dict(asked.sequences.filter(pk__in=by_day).values_list("pk", "name"))
    counts = [(names[pk], [days[day] for day in dates]) for pk, days in by_day.items()]
    ticks = [(f"{day.day} {day:%b}" if day == dates[0] or day.weekday() == 0 else "", words.day(day)) for day in dates]
    return {
        "cells": [_cell(asked, day, n, max(totals), day == chosen) for day, n in zip(dates, totals, strict=True)],
        "weekdays": [f"{day:%a}" for day in dates[:7]],
        "chart": charts.stack(ticks, counts, others="Other sequences"),
        "total": sum(totals),
        "n_sending": len(by_day),
        "nothing": [] if any(totals) else _why_nothing(asked),
    }


def _cell(asked: Asked, day: date, n: int, most: int, is_chosen: bool) -> Cell:
    is_named = day == asked.today or day.day == 1
    return Cell(
        date=day,
        name=f"{day.day} {day:%b}" if is_named else str(day.day),
        in_full=words.day(day),
        n=n,
        short=words.short(n),
        full=max(4, 100 * n // most) if n else 0,
        url=asked.url_of(day),
        is_chosen=is_chosen,
    )


def _by_day(asked: Asked) -> ByDay:
    """Of the sequences that send something, the one that sends most first."""
    last = asked.dates[-1] + timedelta(days=1)
    until = datetime.combine(last, time(0), asked.zone) - timedelta(microseconds=1)
    sends = foresight.of_sequences(asked.sequences, asked.now, until)
    sequence_of = dict(SequenceEmail.objects.filter(pk__in=sends).values_list("pk", "sequence_id"))
    found: dict[int, Counter[date]] = defaultdict(Counter)
    for email_id, instants in sends.items():
        for at, n in instants.items():
            found[sequence_of[email_id]][at.astimezone(asked.zone).date()] += n
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def _why_nothing(asked: Asked) -> list[tuple[Sequence, checks.Checked]]:
    """What keeps sequences from sending, those with most people first."""
    counts = places.by_status(list(asked.sequences.values_list("pk", flat=True)))
    ids = sorted({pk for pk, _ in counts}, key=lambda pk: (-counts[pk, "active"], pk))
    if asked.chosen is not None:
        ids = [asked.chosen.pk]
    rows = Sequence.objects.select_related("account", "sending_address", "email_template").in_bulk(ids[:EXPLAINED])
    return [(rows[pk], checks.of_sequence(rows[pk], asked.now)) for pk in ids[:EXPLAINED] if pk in rows]


# --- A day --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """An email that goes to some people in an hour.

    at       `now`, `11:00`, or `14:00–15:00`
    more     how many get it beside those who are named, and
    n_coming   beside them, whom automations bring into the sequence until then
    """

    at: str
    email: SequenceEmail
    sequence: Sequence
    n: int
    people: list[Enrollment]
    more: int
    n_coming: int
    everybody_url: str


def _day(asked: Asked, day: date) -> dict[str, Any]:
    span = whom.day(day, asked.now, asked.account.time_zone)
    going = whom.gets(asked.sequences, span)
    n = sum(one.n_people for one in going)
    before, after = (day + timedelta(days=days) for days in (-1, 1))
    return {
        "day": day,
        "day_in_words": _named(day, asked.today),
        "weekday": words.DAY_NAMES[day.weekday()],
        "is_today": day == asked.today,
        "n": n,
        "n_sequences": len({one.sequence.pk for one in going}),
        "batches": _batches(asked, day, span, going),
        "before_url": asked.url_of(before) if before in asked.dates else "",
        "after_url": asked.url_of(after) if after in asked.dates else "",
        **_why_few(asked, day, n),
    }


def _named(day: date, today: date) -> str:
    """`Today, 30 November`; `Friday, 4 December`."""
    near = {0: "Today", 1: "Tomorrow"}.get((day - today).days)
    return f"{near}, {day.day} {day:%B}" if near else words.day(day)


def _batches(asked: Asked, day: date, span: Span, going: list[Going]) -> list[Batch]:
    some = whom.some_of_each(going, span, NAMED)
    found = Enrollment.objects.select_related("subscriber").in_bulk({pk for ids in some.values() for pk in ids})
    emails = SequenceEmail.objects.defer("content").in_bulk({one.email_id for one in going})
    named = {key: [found[pk] for pk in ids if pk in found] for key, ids in some.items()}
    return [
        Batch(
            _at(asked, one),
            emails[one.email_id],
            one.sequence,
            one.n_people,
            named[one.key],
            more=one.n_people - one.n_coming - len(named[one.key]),
            n_coming=one.n_coming,
            everybody_url=reverse("forecast_people", args=[day.isoformat(), one.email_id]) + asked.query(),
        )
        for one in going
    ]


def _at(asked: Asked, one: Going) -> str:
    if one.first_at <= asked.now and one.n_people:
        return "now"
    if one.is_sharp:
        return f"{one.hour:%H:%M}"
    return f"{one.hour:%H:%M}–{one.hour + timedelta(hours=1):%H:%M}"


def _why_few(asked: Asked, day: date, n: int) -> dict[str, Any]:
    """Where more waits for another day of the week than goes on this one."""
    why = quiet.few(day, asked.account.time_zone, asked.sequences, asked.now)
    is_few = not n or sum(one.n for one in why) > n
    return {"is_few": is_few, "why_few": why[:SAID], "n_more_why": max(0, len(why) - SAID)}


# --- Not counted --------------------------------------------------------------------------------------------------


def _left_out(asked: Asked) -> dict[str, Any]:
    return {"left_out": quiet.uncounted(list(asked.sequences.order_by("pk")), asked.now)}


# --- Everybody who gets an email on a day -------------------------------------------------------------------------


@require_safe
@member
def forecast_people(request: HttpRequest, account: Account, day: str, email_id: int) -> HttpResponse:
    """By the ids of their places, from `?after=` on; the page comes first, and the list after it."""
    asked, found = _asked(request, account), _read(day)
    rows = SequenceEmail.objects.filter(account=account, deleted_at=None).select_related("sequence").defer("content")
    email = get_object_or_404(rows, pk=email_id)
    if found is None or found not in asked.dates:
        raise Http404
    is_part = request.headers.get("HX-Target") == "people"
    context = _around(asked) | {
        "day": found,
        "day_in_words": _named(found, asked.today),
        "email": email,
        "subject": subjects.readable(email.subject),
        "after": request.GET.get("after", ""),
        "back": reverse("forecast") + asked.query(day=found.isoformat()),
    }
    if is_part or _is_small(asked) or "all" in request.GET:
        context |= _everybody(asked, found, email, number(request.GET.get("after", "")) or 0) | {"is_whole": True}
    response = show(request, "forecast/_people.html" if is_part else "forecast/people.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _everybody(asked: Asked, day: date, email: SequenceEmail, after: int) -> dict[str, Any]:
    span = whom.day(day, asked.now, asked.account.time_zone)
    going = [one for one in whom.gets(Sequence.objects.filter(pk=email.sequence_id), span) if one.email_id == email.pk]
    ids = whom.people(going, span, PER_PAGE + 1, after)
    found = Enrollment.objects.select_related("subscriber", "next_email").in_bulk(ids[:PER_PAGE])
    return {
        "n": sum(one.n_people for one in going),
        "n_coming": sum(one.n_coming for one in going),
        "hours": sorted({(one.hour, _at(asked, one)) for one in going}),
        "people": [found[pk] for pk in ids[:PER_PAGE] if pk in found],
        "next_after": ids[PER_PAGE - 1] if len(ids) > PER_PAGE else None,
        "is_moving": email.sequence.edits != email.sequence.edits_done,
    }
