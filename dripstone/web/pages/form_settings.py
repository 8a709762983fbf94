"""What a form asks, says and adds: written beside its page and its mail as they would be."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.content import schemes
from dripstone.engine import identity, notices
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.subscribers import forms
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import CustomField, Form, Tag
from dripstone.web import asking, headers
from dripstone.web import forms as web_forms
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.forms import OPT_INS, find, sequence_ids, sequences_of
from dripstone.web.pages.inbox import framed
from dripstone.web.picking import picker
from dripstone.web.public import door

MEMBERS = ("name", "opt_in", *forms.LINES, *forms.TEXTS, *forms.URLS, *forms.IDS, "hourly_limit")
YES_NO = ("is_plain", "asks_first_name")
LOOKS = [("false", "Ours"), ("true", "Plain: no style at all")]


@require_http_methods(["GET", "HEAD", "POST"])
@member
def settings(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    found = find(account, form_id)
    if request.method != "POST":
        return _writing(request, account, found, web_forms.Form(_values(found)))
    try:
        forms.update(found, _given(request), sequence_ids=sequence_ids(account))
    except Invalid as refused:
        return _writing(request, account, found, web_forms.refused(request, refused, forms.IDS), 422)
    messages.success(
        request, "Saved. The page, and what is pasted into other sites by the script, have it from now on."
    )
    return asking.leave(request, reverse("form_settings", args=[found.pk]))


def _values(form: Form) -> dict[str, Any]:
    yes_no = {name: str(getattr(form, name)).lower() for name in YES_NO}
    return {name: getattr(form, name) for name in MEMBERS} | yes_no


def _given(request: HttpRequest) -> FromText:
    return web_forms.given(request, forms.IDS)


def _writing(
    request: HttpRequest, account: Account, found: Form, form: web_forms.Form, status: int = 200
) -> HttpResponse:
    sender = account.sending_addresses.filter(is_default=True).first()
    name = (sender.from_name if sender else "") or account.name
    context = {
        "section": "forms",
        "current": "true",
        "found": found,
        "form": form,
        "opt_ins": OPT_INS,
        "looks": LOOKS,
        "most_hourly": forms.MAX_HOURLY,
        "usual": {
            key: forms.said(None, key, name if key.startswith("confirmation") else account.name) for key in forms.USUAL
        },
        "fields": picker("field_ids", "Custom fields", CustomField.objects.filter(account=account), form, "label"),
        "adds": [
            picker("tag_ids", "Tags", Tag.objects.filter(account=account), form),
            picker("sequence_ids", "Sequences", sequences_of(account), form),
        ],
        "me": actor(request),
    }
    return show(request, "forms/settings.html", account, context, status)


# --- Beside it ----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def preview(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    """Its page, or its mail (`view`), of what is typed, or of what is saved. For a sandboxed frame."""
    found = find(account, form_id)
    try:
        if request.method == "POST":
            found = forms.trial(found, _given(request), sequence_ids=sequence_ids(account))
        if (request.POST or request.GET).get("view") == "mail":
            return framed(schemes.shown_in(_mail(account, found).html, schemes.LIGHT))
    except Invalid as refused:
        return framed(render_to_string("library/_broken.html", {"problems": refused.messages}))
    return _for_frame(door.show(request, found, web_forms.Form(), Origin(), is_preview=True))


def _mail(account: Account, form: Form) -> notices.Written:
    return notices.confirmation_of(form, account, notices.sender_of(account), identity.example_confirm_url())


def _for_frame(response: HttpResponse) -> HttpResponse:
    policy = headers.content_security_policy().replace("frame-ancestors 'none'", "frame-ancestors 'self'")
    response["Content-Security-Policy"] = policy
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


@member
@require_POST
def test(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    """The mail that asks to confirm, to whoever is signed in."""
    found, to, back = find(account, form_id), actor(request), reverse("form_settings", args=[form_id])
    try:
        notices.test(account, notices.sender_of(account), [to], _mail(account, found), clock.now())
    except Invalid as refused:
        return asking.refused(request, refused, back)
    messages.success(request, f"A test is on its way to {to}. Its link confirms nothing.")
    return asking.leave(request, back)
