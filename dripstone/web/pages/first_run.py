"""First run: an empty account is shown the way, one step after the other. It can be left and come back to."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts import verbs as accounts
from dripstone.accounts.models import Account
from dripstone.engine.acts import previews
from dripstone.errors import Invalid
from dripstone.foresight.timetable import Line
from dripstone.sequences import starters
from dripstone.sequences.models import SequenceEmail
from dripstone.web import asking, first_steps, forms
from dripstone.web.first_steps import Steps
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, owner, show
from dripstone.web.pages.new_person import ahead


@require_safe
@member
def first_run(request: HttpRequest, account: Account) -> HttpResponse:
    return page(request, account, first_steps.of(account))


def page(
    request: HttpRequest, account: Account, steps: Steps, form: Form | None = None, status: int = 200
) -> HttpResponse:
    """form   of the postal address, when it was refused"""
    context = {
        "section": "sequences",
        "steps": steps,
        "starters": starters.STARTERS,
        "form": form or Form({"postal_address": account.postal_address}),
        "sequence": steps.sequence,
        "ahead": _ahead(steps),
        "emails": _emails(steps),
        "person": Form({"email_address": actor(request)}),
        "me": actor(request),
        "api_url": settings.DRIPSTONE_URL,
    }
    return show(request, "first_run/page.html", account, context, status)


def _emails(steps: Steps) -> list[SequenceEmail]:
    if steps.sequence is None:
        return []
    return list(steps.sequence.emails.filter(deleted_at=None).order_by("position"))


def _ahead(steps: Steps) -> list[Line]:
    """What somebody who enters now gets; before anything is published, what they would get."""
    if steps.sequence is None:
        return []
    return ahead(steps.sequence, clock.now(), with_drafts="publish" not in steps.done)


@owner
@require_POST
def postal_address(request: HttpRequest, account: Account) -> HttpResponse:
    try:
        accounts.update_account(account, {"postal_address": forms.given(request).get("postal_address", "")})
    except Invalid as error:
        return page(request, account, first_steps.of(account), forms.refused(request, error), 422)
    return redirect("first_run")


@member
@require_POST
def test(request: HttpRequest, account: Account) -> HttpResponse:
    """The first email of the sequence, to whoever asks."""
    steps = first_steps.of(account)
    email = next(iter(_emails(steps)), None)
    if steps.sequence is None or email is None:
        messages.error(request, "There is no email to send yet.")
        return redirect("first_run")
    try:
        previews.send_test(steps.sequence, email.pk, {"to": [actor(request)]}, clock.now())
    except Invalid as error:
        return asking.refused(request, error, reverse("first_run"))
    messages.success(request, f"{words.title(email.subject)} is on its way to {actor(request)}.")
    return redirect("first_run")


@member
@require_POST
def dismissal(request: HttpRequest, account: Account) -> HttpResponse:
    accounts.dismiss_first_run(account, clock.now())
    return redirect("home")
