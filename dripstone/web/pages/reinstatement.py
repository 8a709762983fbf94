"""Somebody complained, and the owner answers for it that they want mail again (R20)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.acts import reinstating
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.subscribers.models import State, Subscriber
from dripstone.web import forms
from dripstone.web.frame import owner, show


@require_http_methods(["GET", "HEAD", "POST"])
@owner
def reinstatement(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    person = get_object_or_404(Subscriber, account=account, pk=subscriber_id)
    if request.method != "POST":
        return _ask(request, account, person, forms.Form())
    try:
        reinstating.reinstate(person.pk, forms.given(request), clock.now(), cause=causes.OWNER)
    except Invalid as refused:
        return _ask(request, account, person, forms.refused(request, refused), 422)
    messages.success(request, f"{person.email_address} is active again. Sequences that ended stay ended.")
    return redirect(_back(person))


def _ask(
    request: HttpRequest, account: Account, person: Subscriber, form: forms.Form, status: int = 200
) -> HttpResponse:
    context = {
        "section": "people",
        "current": "true",
        "person": person,
        "form": form,
        "has_complained": person.state == State.COMPLAINED,
        "most": reinstating.MAX_WHY,
        "back": _back(person),
    }
    return show(request, "forms/reinstatement.html", account, context, status)


def _back(person: Subscriber) -> str:
    try:
        return reverse("person", args=[person.pk])
    except NoReverseMatch:
        return reverse("home")
