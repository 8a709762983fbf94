"""The strip of the virtual clock moves it, by the code that moves it for the API."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.bulk import run as bulk
from dripstone.engine import virtual
from dripstone.errors import Invalid
from dripstone.imports import work as imports
from dripstone.sequences.models import Sequence
from dripstone.stats import places
from dripstone.web.frame import came_from, member
from dripstone.webhooks import run as webhooks

STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
TO_NEXT_EMAIL, TO_TIME = "email", "to"


@member
@require_POST
def advancing(request: HttpRequest, account: Account) -> HttpResponse:
    """By an hour, by a day, to the account's next email, or to a day and time of its zone. Everything due on the way
    happens, each thing at its own instant, in every account: there is one clock."""
    try:
        target = _target(account, request, clock.now())
        tally = virtual.advance_to(target, account.pk, bulk, imports, webhooks)
    except Invalid as error:
        messages.error(request, "; ".join(error.messages) + ".")
    else:
        now = words.soon(target, account.time_zone, target)
        messages.success(request, f"It is {now} now: {tally['sent']:,} sent, {tally['failed']:,} failed.")
    return redirect(came_from(request, "/"))


def _target(account: Account, request: HttpRequest, now: datetime) -> datetime:
    by = request.POST.get("by", "")
    if by in STEPS:
        return now + STEPS[by]
    if by == TO_TIME:
        return _given(request.POST.get("at", ""), account, now)
    if by != TO_NEXT_EMAIL:
        raise Invalid("The clock moves by an hour, by a day, to the next email, or to a given day and time")
    active = Sequence.objects.filter(account=account, deleted_at=None, active=True).values_list("pk", flat=True)
    due = places.first_due(list(active))
    if not due:
        raise Invalid("Nobody waits for an email that has a date, so the clock was not moved")
    return max(min(due.values()), now)


def _given(text: str, account: Account, now: datetime) -> datetime:
    """What a datetime-local field sends: wall clock of the account, to the minute. This very minute is now."""
    try:
        at = datetime.strptime(text.strip()[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=ZoneInfo(account.time_zone))
        target = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("Give a day and a time, such as 2027-01-31T09:00") from None
    if target < now.replace(second=0, microsecond=0):
        raise Invalid(f"The clock moves forwards only: it is {words.by_date(now, account.time_zone)}")
    return max(target, now)
