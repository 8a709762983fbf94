"""What was sent, one by one; and the owner's decision about an email that no mail server answered for: send it again,
or treat it as sent."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid
from dripstone.web.frame import actor, member, show
from dripstone.web.paging import page

SHOWN = ("email", "sequence", "subscriber", "notice")
CHOICES = {"": "All", "failed": "Failed", "unknown": "Unknown", "skipped": "Skipped"}
HEADINGS = {"": "What was sent", "failed": "What failed", "unknown": "What nobody answered for", "skipped": "Skipped"}
MEANINGS = {
    "failed": "could not be delivered",
    "unknown": "went out, and the mail server never said whether it took them,",
    "skipped": "somebody was not sent, with the reason,",
}


@require_safe
@member
def sendings(request: HttpRequest, account: Account) -> HttpResponse:
    """The newest first. Kinds that are asked for are few, and each has its index; there are no others to ask for."""
    status = request.GET.get("status", "")
    rows = Delivery.objects.filter(account=account).select_related(*SHOWN).defer("notice__message")
    if status in MEANINGS:
        rows = rows.filter(status=status)
    else:
        status = ""
    context = {
        "section": "sequences",
        "current": "true",
        "heading": HEADINGS[status],
        "choices": CHOICES,
        "status": status,
        "meaning": MEANINGS.get(status, ""),
        "page": page(request, rows),
    }
    return show(request, "deliveries/page.html", account, context)


@member
@require_POST
def resending(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    return _decide(request, account, delivery_id, undecided.send_again, "The email is being sent again.")


@member
@require_POST
def acceptance(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    return _decide(request, account, delivery_id, undecided.treat_as_sent, "The email counts as sent.")


def _decide(
    request: HttpRequest,
    account: Account,
    delivery_id: int,
    verb: Callable[[int, str, str, datetime], Delivery],
    done: str,
) -> HttpResponse:
    row = get_object_or_404(Delivery, pk=delivery_id, account=account)
    try:
        verb(row.pk, actor(request), "", clock.now())
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    else:
        messages.success(request, done)
    return redirect("home")
