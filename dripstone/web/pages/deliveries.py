"""The owner's decision about an email that no mail server answered for: send it again, or treat it as sent."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid
from dripstone.web.frame import actor, member


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
