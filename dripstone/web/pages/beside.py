"""What is loaded after the page of a sequence, because it reads everybody inside: the checks, and the coming week.

Without JavaScript each is a page of its own.
"""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.foresight import forecast
from dripstone.sequences.models import Sequence
from dripstone.web import charts, checks
from dripstone.web.frame import member, show

WEEK = 7


@require_safe
@member
def checks_of_sequence(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = _sequence(account, sequence_id)
    return _part(request, account, found, "checks", {"checked": checks.of_sequence(found, clock.now())})


@require_safe
@member
def week_of_sequence(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = _sequence(account, sequence_id)
    counts = _week(found, clock.now())
    bars = charts.bars([(f"{day:%a}", words.day(day), n) for day, n in counts.items()])
    chart = {"width": charts.WEEK_WIDTH, "height": charts.WEEK_HEIGHT, "below": charts.WEEK_NAMES, "bars": bars}
    zone = words.zone(found.time_zone) if found.time_zone != account.time_zone else ""
    return _part(request, account, found, "week", {"chart": chart, "total": counts.total(), "other_zone": zone})


def _sequence(account: Account, sequence_id: int) -> Sequence:
    rows = Sequence.objects.select_related("account", "sending_address", "email_template")
    return get_object_or_404(rows, pk=sequence_id, account=account, deleted_at=None)


def _part(
    request: HttpRequest, account: Account, sequence: Sequence, name: str, context: dict[str, Any]
) -> HttpResponse:
    is_part = request.headers.get("HX-Target") == name
    shared = {"section": "sequences", "current": "true", "sequence": sequence}
    template = f"sequences/_{name}_of_sequence.html" if is_part else f"sequences/{name}.html"
    response = show(request, template, account, shared | context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _week(sequence: Sequence, now: datetime) -> Counter[date]:
    """Emails on each of the next seven days of the sequence's zone, as the forecast has them: with the later ones of
    people who get several."""
    zone = ZoneInfo(sequence.time_zone)
    today = now.astimezone(zone).date()
    counts = Counter({today + timedelta(days=offset): 0 for offset in range(WEEK)})
    until = datetime.combine(today + timedelta(days=WEEK), time(0), zone) - timedelta(seconds=1)
    for instants in forecast.of_sequence(sequence, now, until).values():
        for at, n in instants.items():
            counts[at.astimezone(zone).date()] += n
    return counts
