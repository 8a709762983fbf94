"""/c/<token>: the second half of double opt-in. GET only shows: a scanner that fetches links must not confirm."""

from contextlib import suppress

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.engine import transitions
from dripstone.errors import NotFound
from dripstone.events import causes
from dripstone.subscribers.models import State, Subscriber
from dripstone.web.public import frame


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    person = _find(token)
    if person is None:
        return _unknown(request, token)
    if request.method == "POST":
        with suppress(NotFound):  # deleted at this moment: then the page says so
            transitions.confirm(person.pk, clock.now(), cause=causes.SUBSCRIBER)
        return frame.private(redirect("confirm", token))
    context = {
        "token": token,
        "address": words.masked(person.email_address),
        "sender": person.account.name,
        "is_waiting": person.state == State.INACTIVE,
        "is_confirmed": person.state == State.ACTIVE,
    }
    return frame.show(request, "public/confirm.html", context)


def _find(token: str) -> Subscriber | None:
    subscriber_id = frame.read_id("confirm", token)
    if subscriber_id is None:
        return None
    return Subscriber.objects.select_related("account").filter(pk=subscriber_id).first()


def _unknown(request: HttpRequest, token: str) -> HttpResponse:
    """A link that we made leads nowhere when they were deleted."""
    if frame.read_id("confirm", token) is not None:
        return frame.show(request, "public/link_over.html", {"purpose": "confirm"}, status=404)
    return frame.show(request, "public/link_unknown.html", {"purpose": "confirm"}, status=404)
