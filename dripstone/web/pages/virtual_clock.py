"""The strip of the virtual clock moves it, by the code that moves it for the API."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine import virtual
from dripstone.errors import Invalid
from dripstone.sequences.models import Sequence
from dripstone.stats import places
from dripstone.web.frame import came_from, member

STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
TO_NEXT_EMAIL = "email"


@member
@require_POST
def advancing(request: HttpRequest, account: Account) -> HttpResponse:
    """By an hour, by a day, or to the account's next email. Everything due on the way happens, each thing at its own
    instant, in every account: there is one clock."""
    try:
        target = _target(account, request.POST.get("by", ""), clock.now())
        tally = virtual.advance_to(target, account.pk)
    except Invalid as error:
        messages.error(request, "; ".join(error.messages) + ".")
    else:
        now = words.soon(target, account.time_zone, target)
        messages.success(request, f"It is {now} now. {_what_happened(tally['sent'], tally['failed'])}")
    return redirect(came_from(request, "/"))


def _target(account: Account, by: str, now: datetime) -> datetime:
    if by in STEPS:
        return now + STEPS[by]
    if by != TO_NEXT_EMAIL:
        raise Invalid("The clock moves by an hour, by a day, or to the next email")
    active = Sequence.objects.filter(account=account, deleted_at=None, active=True).values_list("pk", flat=True)
    due = places.first_due(list(active))
    if not due:
        raise Invalid("Nobody waits for an email that has a date, so the clock was not moved")
    return max(min(due.values()), now)


def _what_happened(n_sent: int, n_failed: int) -> str:
    said = f"{words.count(n_sent, 'email')} went out" if n_sent else "No email went out"
    return f"{said}, {n_failed:,} failed." if n_failed else f"{said}."
