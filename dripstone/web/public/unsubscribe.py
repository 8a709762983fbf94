"""/u/<token>: out of everything, in one click. Also what `subscriber_preferences_url` leads to.

Mail scanners fetch every link, so GET only shows; mail programs POST without cookies (RFC 8058), so POST needs no
CSRF token: the link itself is the secret.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock, words
from dripstone.engine import transitions
from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.subscribers.models import State
from dripstone.web.public import frame

ONE_CLICK = "List-Unsubscribe"  # the form field of RFC 8058


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    delivery = _find(token)
    if delivery is None:
        return _unknown(request)
    if request.method != "POST":
        return _page(request, token, delivery)
    transitions.cancel(delivery.subscriber_id, clock.now(), delivery_id=delivery.pk, cause=causes.SUBSCRIBER)
    if ONE_CLICK in request.POST:  # a mail program: an answer without redirects
        return frame.private(HttpResponse("Unsubscribed\n", content_type="text/plain; charset=utf-8"))
    return frame.private(redirect("unsubscribe", token))


@csrf_exempt
@require_POST
def resubscription(request: HttpRequest, token: str) -> HttpResponse:
    """ "That was a mistake." """
    delivery = _find(token)
    if delivery is None:
        return _unknown(request)
    transitions.resubscribe(delivery.subscriber_id, clock.now(), cause=causes.SUBSCRIBER)
    response = redirect("unsubscribe", token)
    response["Location"] += "?again=1"
    return frame.private(response)


def _find(token: str) -> Delivery | None:
    delivery_id = frame.read_id("unsubscribe", token)
    if delivery_id is None:
        return None
    rows = Delivery.objects.select_related("account", "subscriber", "sequence__sending_address")
    return rows.filter(pk=delivery_id).first()


def _page(request: HttpRequest, token: str, delivery: Delivery) -> HttpResponse:
    person = delivery.subscriber
    context = {
        "token": token,
        "address": words.masked(person.email_address),
        "sender": delivery.sequence.sending_address.from_name or delivery.account.name,
        "sender_address": delivery.sequence.sending_address.email_address,
        "is_out": person.state in (State.CANCELLED, State.COMPLAINED),
        "can_return": person.state == State.CANCELLED,
        "is_back": "again" in request.GET and person.state == State.ACTIVE,
    }
    return frame.show(request, "public/unsubscribe.html", context)


def _unknown(request: HttpRequest) -> HttpResponse:
    return frame.show(request, "public/link_unknown.html", {"purpose": "unsubscribe"}, status=404)
