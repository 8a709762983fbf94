"""Keeps a filter of the list of people under a name: a segment, whose people are looked up whenever it is used."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.conditions import segments
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.web import forms
from dripstone.web.conditions import Editor
from dripstone.web.forms import Form
from dripstone.web.frame import member, show

EVERYBODY = '{"all": []}'  # as a filter that is kept


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_segment(request: HttpRequest, account: Account) -> HttpResponse:
    """Keeps a filter under a name."""
    url = reverse("people_segment")
    if request.method != "POST":
        editor = Editor.of(request, account, url)
        return editor.answer() or _naming(request, account, editor, Form())
    given = forms.given(request)
    try:
        saved = segments.create(account.pk, FromText(given | {"filter": given.get("filter") or EVERYBODY}), clock.now())
    except Invalid as error:
        editor = Editor.of_text(request, account, url, given.get("filter", ""))
        return _naming(request, account, editor, forms.refused(request, error), 422)
    messages.success(request, f"Saved. “{saved.name}” is a segment from now on: whoever meets it is in it.")
    return redirect(f"{reverse('people')}?segment={saved.pk}")


def _naming(request: HttpRequest, account: Account, editor: Editor, form: Form, status: int = 200) -> HttpResponse:
    context = {"section": "people", "current": "true", "editor": editor, "form": form}
    return show(request, "people/new_segment.html", account, context, status)
