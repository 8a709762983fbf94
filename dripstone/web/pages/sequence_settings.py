"""How a sequence sends: name, days, hour, zone, sender, template, repeat, hold, who is left out, active or paused."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import edits
from dripstone.errors import Invalid
from dripstone.foresight import impact
from dripstone.given import FromText
from dripstone.sequences.models import Sequence
from dripstone.sequences.sequence_checks import SOURCES
from dripstone.sequences.verbs import Edit
from dripstone.web import asking, forms, sorting, zones
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.picking import Picker, picker

EXCLUSIONS = "exclude_subscriber_sources"
KINDS = {"tag": "Tags", "form": "Forms", "sequence": "Other sequences", "segment": "Segments"}
LISTS = ("send_days", *(f"exclude_{kind}" for kind in KINDS))
MEMBERS = ("name", "send_hour", "time_zone", "email_template_id")
YES_NO = ("active", "repeat", "hold")
CHOICES = {
    "states": [("true", "Active: emails go out"), ("false", "Paused: nothing is sent, everybody keeps their place")],
    "repeats": [("false", "Nothing changes"), ("true", "They start over")],
    "holds": [("false", "They have completed it"), ("true", "They stay for what is published later")],
}


@require_http_methods(["GET", "HEAD", "POST"])
@member
def settings(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = _sequence(account, sequence_id)
    if request.method != "POST":
        return _form(request, account, found, Form(_values(found)))
    try:
        given = _given(request)
        return asking.first(request, account, _act(request, account, found, given), partial(_saved, request))
    except Invalid as error:
        return _form(request, account, found, forms.refused(request, error, LISTS), 422)


def _sequence(account: Account, sequence_id: int) -> Sequence:
    rows = Sequence.objects.select_related("sending_address")
    return get_object_or_404(rows, pk=sequence_id, account=account, deleted_at=None)


def _url(sequence: Sequence) -> str:
    return reverse("sequence_settings", args=[sequence.pk])


# --- What is shown ------------------------------------------------------------------------------------------------


def _values(sequence: Sequence) -> dict[str, Any]:
    return {
        **{name: getattr(sequence, name) for name in MEMBERS},
        **{name: str(getattr(sequence, name)).lower() for name in YES_NO},
        "send_days": [words.WEEKDAYS[day] for day in sequence.send_days],
        "email_address": sequence.sending_address.email_address,
        **{f"exclude_{source['type']}": source["ids"] for source in sequence.exclude_subscriber_sources},
    }


def _form(request: HttpRequest, account: Account, sequence: Sequence, form: Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "sequences",
        "current": "true",
        "sequence": sequence,
        "form": form,
        "days": [(name, name.capitalize()) for name in words.WEEKDAYS],
        "hours": [(hour, f"{hour}:00") for hour in range(24)],
        "zones": zones.names(),
        "senders": list(_senders(account, sequence)),
        "templates": list(_templates(account)),
        "pickers": [_picker(account, sequence, kind, form) for kind in KINDS],
        "exclusions_problem": form.problem(EXCLUSIONS),
        "naming": sorting.naming(account, ("sequence", sequence.pk)),
        **CHOICES,
    }
    is_part = request.headers.get("HX-Target") == asking.DIALOG
    template = "sequences/_settings_form.html" if is_part else "sequences/settings.html"
    response = show(request, template, account, context, status)
    if is_part:  # a refusal belongs to the form, not into the dialog
        response["HX-Retarget"], response["HX-Reswap"] = "#settings", "outerHTML"
    return response


def _senders(account: Account, sequence: Sequence) -> Iterator[tuple[str, str]]:
    """The verified ones, and the one it has."""
    for one in account.sending_addresses.order_by("-is_default", "email_address"):
        if one.is_verified or one.pk == sequence.sending_address_id:
            name = f"{one.from_name} <{one.email_address}>" if one.from_name else one.email_address
            yield one.email_address, name if one.is_verified else f"{name}, not verified"


def _templates(account: Account) -> Iterator[tuple[str, str]]:
    rows = list(EmailTemplate.objects.filter(account=account).order_by(Lower("name")))
    usual = next((row.name for row in rows if row.is_default), "")
    yield "", f"The account’s usual one{f', {usual}' if usual else ''}"
    for row in rows:
        yield str(row.pk), row.name


def _picker(account: Account, sequence: Sequence, kind: str, form: Form) -> Picker:
    rows = SOURCES[kind]._default_manager.filter(account=account)
    if kind == "sequence":
        rows = rows.filter(deleted_at=None).exclude(pk=sequence.pk)
    return picker(f"exclude_{kind}", KINDS[kind], rows, form)


# --- What is saved ------------------------------------------------------------------------------------------------


def _given(request: HttpRequest) -> FromText:
    """Each kind of exclusion is a list of its own on the page, and one member for the verb."""
    given = forms.given(request, LISTS)
    if given.get("send_days") == []:  # the API takes it for "unchanged"; here somebody has unticked all
        raise Invalid.member("send_days", "Choose at least one day")
    sources = [{"type": kind, "ids": given[f"exclude_{kind}"]} for kind in KINDS if f"exclude_{kind}" in given]
    return FromText(given | ({EXCLUSIONS: sources} if sources else {}))


def _act(request: HttpRequest, account: Account, sequence: Sequence, given: FromText) -> asking.Act:
    arguments = (account, sequence.pk, given, clock.now(), actor(request))
    return asking.Act(
        sequence.pk,
        partial(edits.update_sequence, *arguments),
        partial(impact.update_sequence, *arguments),
        title=f"Change how {words.title(sequence.name)} sends?",
        button="Save",
        back=_url(sequence),
    )


def _saved(request: HttpRequest, edit: Edit) -> HttpResponse:
    if edit.retimed:
        messages.success(request, "Saved. Dates that were given already stay as they are.")
        return asking.leave(request, f"{_url(edit.sequence)}#dates")
    messages.success(request, "Saved.")
    return asking.leave(request, reverse("sequence", args=[edit.sequence.pk]))
