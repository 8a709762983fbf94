"""/u/<token>: out of everything, in one click. Also what `subscriber_preferences_url` leads to.

Mail scanners fetch every link, so GET only shows; mail programs POST without cookies (RFC 8058), so POST needs no
CSRF token: the link itself is the secret.
"""

from contextlib import suppress

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock, words
from dripstone.engine import identity, letters, transitions
from dripstone.engine.models import Delivery
from dripstone.errors import NotFound
from dripstone.events import causes
from dripstone.subscribers.models import State, Subscriber
from dripstone.web.public import frame

ONE_CLICK = "List-Unsubscribe"  # the form field of RFC 8058


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    if frame.bare(token) == identity.EXAMPLE:
        return frame.show(request, "public/link_of_example.html", {"purpose": "unsubscribe"})
    found = _find(token)
    if found is None:
        return _unknown(request, token)
    delivery, person = found
    if request.method != "POST":
        return _page(request, token, delivery, person)
    with suppress(NotFound):  # deleted at this moment: then the page says so
        transitions.cancel(person.pk, clock.now(), delivery_id=delivery.pk, cause=causes.SUBSCRIBER)
    if ONE_CLICK in request.POST:  # a mail program: an answer without redirects
        return frame.private(HttpResponse("Unsubscribed\n", content_type="text/plain; charset=utf-8"))
    return frame.private(redirect("unsubscribe", token))


@csrf_exempt
@require_POST
def resubscription(request: HttpRequest, token: str) -> HttpResponse:
    """The button "Subscribe again". For whoever may not come back by this link it does nothing."""
    found = _find(token)
    if found is None:
        return _unknown(request, token)
    delivery, person = found
    with suppress(NotFound):
        transitions.resubscribe(person.pk, clock.now(), through=delivery.pk, cause=causes.SUBSCRIBER)
    response = redirect("unsubscribe", token)
    response["Location"] += "?again=1"
    return frame.private(response)


def _find(token: str) -> tuple[Delivery, Subscriber] | None:
    """The email it stood in, and its reader. Notices have no such link: there is no list to leave."""
    delivery_id = frame.read_id("unsubscribe", token)
    rows = Delivery.objects.select_related("account", "subscriber", "sequence__sending_address")
    delivery = None if delivery_id is None else rows.filter(pk=delivery_id, notice=None).first()
    return (delivery, delivery.subscriber) if delivery and delivery.subscriber else None


def _page(request: HttpRequest, token: str, delivery: Delivery, person: Subscriber) -> HttpResponse:
    sender = letters.sending_address(delivery)
    context = {
        "token": token,
        "address": words.masked(person.email_address),
        "sender": sender.from_name or delivery.account.name,
        "sender_address": sender.email_address,
        "is_out": person.state in (State.CANCELLED, State.COMPLAINED),
        "can_return": transitions.may_return(person, delivery.pk, clock.now()),
        "is_back": "again" in request.GET and person.state == State.ACTIVE,
    }
    return frame.show(request, "public/unsubscribe.html", context)


def _unknown(request: HttpRequest, token: str) -> HttpResponse:
    """A link that we made leads nowhere when its reader was deleted, or the email is so old that its row is gone."""
    if frame.read_id("unsubscribe", token) is not None:
        return frame.show(request, "public/link_over.html", {"purpose": "unsubscribe"}, status=404)
    return frame.show(request, "public/link_unknown.html", {"purpose": "unsubscribe"}, status=404)
