"""/people/<id>/location: where one person is, as somebody said."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.given import FromText, time_zones
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import locations
from dripstone.subscribers.models import Location, Subscriber
from dripstone.web import forms
from dripstone.web.asking_places import name_of
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.pages.person import about, address, person_of


@member
@require_http_methods(["GET", "HEAD", "POST"])
def location(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    known = locations.of([found.pk]).get(found.pk)
    if request.method != "POST":
        return _form(request, account, found, known, Form(dict(shapes.pin(known)) if known else {}))
    try:
        locations.pin(found.pk, FromText({"location": forms.given(request)}), clock.now())
    except Invalid as error:
        return _form(request, account, found, known, forms.refused(request, error), 422)
    messages.success(request, "Saved.")
    return redirect(f"{address(found.pk)}#details")


@member
@require_POST
def removal(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    if locations.unpin(found.pk, clock.now()):
        messages.success(request, f"Where {name_of(found)} is, is not known any more.")
    return redirect(f"{address(found.pk)}#details")


def _form(
    request: HttpRequest, account: Account, found: Subscriber, known: Location | None, form: Form, status: int = 200
) -> HttpResponse:
    chosen = str(form.values.get("timezone") or "")
    own = [chosen] if chosen and chosen not in time_zones() else []
    zones = [("", "Choose…"), *((zone, zone.replace("_", " ")) for zone in own + time_zones())]
    context = about(found) | {"form": form, "zones": zones, "known": known}
    return show(request, "people/location.html", account, context, status)
