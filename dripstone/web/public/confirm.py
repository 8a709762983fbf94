"""/c/<token>: the click that a sign-up waits for. GET only shows: a scanner that fetches links must not confirm."""

from contextlib import suppress
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine import identity, notices, transitions
from dripstone.engine.acts import sign_ups
from dripstone.errors import NotFound
from dripstone.events import causes
from dripstone.subscribers.models import SignUp, State, Subscriber
from dripstone.web.public import frame, sayings
from dripstone.web.public.door import allow_leaving

Standing = Literal["waiting", "confirmed", "replaced", "lapsed", "out"]


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    if frame.bare(token) == identity.EXAMPLE:
        return frame.show(request, "public/link_of_example.html", {"purpose": "confirm"})
    row = _find(token)
    if row is None:
        return _of_before(request, token)
    if request.method == "POST":
        sign_ups.click(row.pk, clock.now())
        return _after_click(token, row.pk)
    return _page(request, token, row)


def _find(token: str) -> SignUp | None:
    sign_up_id = frame.read_id("sign-up", token)
    return None if sign_up_id is None else sign_ups.find(sign_up_id)


def _after_click(token: str, sign_up_id: int) -> HttpResponse:
    """To the owner's page, if they have one and it is done; whether by this click or by one before."""
    row = sign_ups.find(sign_up_id)
    is_done = row is not None and _standing(row) == "confirmed"
    if row is not None and row.form and row.form.confirmed_url and is_done:
        return frame.private(HttpResponseRedirect(row.form.confirmed_url))
    return frame.private(redirect("confirm", token))


def _page(request: HttpRequest, token: str, row: SignUp) -> HttpResponse:
    text = row.form.confirmed_text if row.form else ""
    context = _said(_standing(row), row.email_address, row.subscriber.account)
    response = frame.show(request, "public/confirm.html", context | {"token": token, "own_text": text})
    return allow_leaving(response, row.form.confirmed_url if row.form else "")


# By standing: the heading, and the sentence under it (sayings.py).
_SAYINGS: dict[Standing, tuple[str, str]] = {
    "waiting": ("waiting", "question"),
    "confirmed": ("confirmed", "is_confirmed"),
    "replaced": ("replaced", "use_newest"),
    "lapsed": ("lapsed", "sign_up_again"),
    "out": ("out", "gets_none"),
}


def _said(standing: Standing, address: str, account: Account) -> dict[str, Any]:
    language, say = sayings.confirm(account.language)
    heading, sentence = _SAYINGS[standing]
    return {
        "language": language,
        "own_language": account.language or sayings.ENGLISH,
        "say": say,
        "standing": standing,
        "sender": account.name,
        "title": say["waiting_title"] if standing == "waiting" else say[heading],
        "heading": say[heading],
        "text": format_html(
            say[sentence],
            sender=format_html("<b>{}</b>", account.name),
            address=format_html('<b class="address">{}</b>', words.masked(address)),
        ),
    }


def _standing(row: SignUp) -> Standing:
    person = row.subscriber
    if sign_ups.is_open(row, clock.now()):
        return "waiting"
    if row.email_address != person.email_address:
        return "lapsed"
    if row.status == SignUp.Status.REPLACED:
        newest = person.sign_ups.filter(form=row.form).latest("asked_at")
        row = sign_ups.find(newest.pk) or row
        if sign_ups.is_open(row, clock.now()):
            return "replaced"
    if row.status == SignUp.Status.WAITING and person.state != State.COMPLAINED:
        return "lapsed"
    return "confirmed" if row.status == SignUp.Status.CONFIRMED and person.state == State.ACTIVE else "out"


# --- Links of an earlier version ----------------------------------------------------------------------------------


def _of_before(request: HttpRequest, token: str) -> HttpResponse:
    """They name the person. One works as long as no mail that asked went to an address the person has no more."""
    person = _person(token)
    if person is None:
        return _unknown(request, token)
    if request.method == "POST":
        with suppress(NotFound):  # deleted at this moment: then the page says so
            transitions.confirm(person.pk, clock.now(), cause=causes.SUBSCRIBER)
        return frame.private(redirect("confirm", token))
    standings: dict[str, Standing] = {State.INACTIVE: "waiting", State.ACTIVE: "confirmed"}
    context = _said(standings.get(person.state, "out"), person.email_address, person.account)
    return frame.show(request, "public/confirm.html", context | {"token": token})


def _person(token: str) -> Subscriber | None:
    subscriber_id = frame.read_id("confirm", token)
    if subscriber_id is None:
        return None
    person = Subscriber.objects.select_related("account").filter(pk=subscriber_id).first()
    return person if person and notices.went_only_to(person) else None


def _unknown(request: HttpRequest, token: str) -> HttpResponse:
    """A link that we made leads nowhere when they were deleted."""
    is_ours = any(frame.read_id(purpose, token) is not None for purpose in ("sign-up", "confirm"))
    name = "public/link_over.html" if is_ours else "public/link_unknown.html"
    return frame.show(request, name, {"purpose": "confirm"}, status=404)
