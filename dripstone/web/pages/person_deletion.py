"""/people/<id>/deletion and /people/<id>/file: what somebody may ask for by law: to be deleted, and to be told what is
kept of them."""

import hashlib
from dataclasses import dataclass
from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content.subjects import readable
from dripstone.engine.acts import forget
from dripstone.engine.acts.forget import Forgotten
from dripstone.engine.models import Enrollment
from dripstone.shapes import person_file
from dripstone.subscribers import remembered
from dripstone.subscribers.models import Subscriber
from dripstone.web.frame import actor, member, show

# Rows of Forgotten, as the page calls them.
_NOUNS = {
    "tags": ("tag", "tags"),
    "forms": ("form they signed up on", "forms they signed up on"),
    "sign_ups": ("sign-up that waits for a click, or did", "sign-ups that wait for a click, or did"),
    "purchases": ("purchase", "purchases"),
    "location": ("location", "locations"),
    "places": ("place in a sequence", "places in sequences"),
    "notes": ("note about these places", "notes about these places"),
    "events": ("event", "events"),
    "notices": ("mail that asked them to confirm", "mails that asked them to confirm"),
    "messages": ("captured mail in the inbox", "captured mails in the inbox"),
}


@require_safe
@member
def file(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    person = get_object_or_404(Subscriber, account=account, pk=subscriber_id)
    kept = person_file.pieces(person, clock.now())
    response = StreamingHttpResponse(kept, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="person-{person.pk}.json"'
    response["Cache-Control"] = "no-store"
    return cast("HttpResponse", response)  # Django has no name for both that its stubs know


@dataclass(frozen=True, slots=True)
class Next:
    """An email that will not go."""

    subject: str
    sequence: str
    at: str


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """GET asks, POST does it, unless it would do something else by now."""
    person = get_object_or_404(Subscriber, account=account, pk=subscriber_id)
    told = forget.foreseen(account, person.pk, clock.now())
    if request.method != "POST" or request.POST.get("seen") != _figure(told):
        return _ask(request, account, person, told)
    done = forget.forget(account, person.pk, actor(request), clock.now())
    messages.success(request, _done(person, done))
    return redirect("people")


def _ask(request: HttpRequest, account: Account, person: Subscriber, told: Forgotten) -> HttpResponse:
    context = {
        "section": "people",
        "current": "true",
        "person": person,
        "name": person.first_name or person.email_address,
        "told": told,
        "seen": _figure(told),
        "is_again": request.method == "POST",
        "n_sent": told.ended["sent"],
        "n_other": told.ended.total() - told.ended["sent"],
        "nexts": [_next(place, account) for place in told.places],
        "what": _what(person, told),
        "why_remembered": remembered.WHY[told.remembered_as] if told.remembered_as else "",
    }
    return show(request, "people/deletion.html", account, context, 409 if request.method == "POST" else 200)


def _figure(told: Forgotten) -> str:
    """Of what the answer is about: mail that will not go, and what stays. That they opened a page meanwhile changes
    nothing."""
    nexts = sorted((place.pk, place.next_email_id) for place in told.places)
    return hashlib.sha256(repr((nexts, told.n_on_the_wire, told.remembered_as)).encode()).hexdigest()[:16]


def _next(place: Enrollment, account: Account) -> Next:
    assert place.next_email is not None
    at = words.soon(place.due_at, account.time_zone, clock.now()) if place.due_at else ""
    return Next(readable(place.next_email.subject), place.sequence.name, at)


def _what(person: Subscriber, told: Forgotten) -> str:
    """ "their name and address, 2 tags and 41 events"."""
    known = ["their name and address" if person.first_name else "their address"]
    if person.fields:
        known.append(words.count(len(person.fields), "custom field"))
    counted = (words.count(told.rows[name], *nouns) for name, nouns in _NOUNS.items() if told.rows[name])
    return words.listed([*known, *counted])


def _done(person: Subscriber, done: Forgotten) -> str:
    said = f"{person.email_address} is deleted."
    if done.n_on_the_wire:
        mails = words.count(done.n_on_the_wire, "email")
        said += f" {mails} may have been leaving at that moment and may still arrive."
    return said
