"""A new sequence: its name, and what it begins with."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import beginnings
from dripstone.errors import Invalid
from dripstone.sequences import starters
from dripstone.web import forms
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_sequence(request: HttpRequest, account: Account) -> HttpResponse:
    """GET with `?starter=course` has chosen already."""
    if request.method != "POST":
        return _form(request, account, Form({"starter": request.GET.get("starter") or starters.STARTERS[0].key}))
    given = forms.given(request)
    try:
        edit = beginnings.create_sequence(account, given.get("starter", ""), given, clock.now(), actor(request))
    except Invalid as error:
        return _form(request, account, forms.refused(request, error), 422)
    n_drafts = edit.sequence.emails.count()
    if n_drafts:
        messages.success(
            request, f"{words.count(n_drafts, 'draft')} to rewrite. Nobody gets one before you publish it."
        )
    return redirect("sequence", edit.sequence.pk)


def _form(request: HttpRequest, account: Account, form: Form, status: int = 200) -> HttpResponse:
    context = {"section": "sequences", "current": "true", "form": form, "starters": starters.STARTERS}
    return show(request, "sequences/new.html", account, context, status)
