"""/fields: custom fields of people. Each has a label for people and a key, which Liquid says."""

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, conditions, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.given import FromText
from dripstone.grammar import Condition
from dripstone.subscribers import fields
from dripstone.subscribers.models import CustomField
from dripstone.uses.of import Graph
from dripstone.web import forms, library, sorting
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.paging import page


@require_http_methods(["GET", "HEAD", "POST"])
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    """A POST makes one."""
    if request.method != "POST":
        return _list(request, account, Form())
    create = partial(fields.create, account.pk, forms.given(request), clock.now(), cause=causes.OWNER)
    return sorting.made(request, "field", create, partial(_list, request, account), "Emails print it by its tag.")


def _list(request: HttpRequest, account: Account, form: Form, status: int = 200) -> HttpResponse:
    q = library.typed(request)
    rows = account.custom_fields.filter(label__icontains=q) if q else account.custom_fields.all()
    found = page(request, rows)
    graph = Graph(account.pk)
    printed = {("custom_field", field.pk): graph.of_field(field.key) for field in found.rows}
    tallies = sorting.tallies(account, printed, printed)
    context = {
        "q": q,
        "form": form,
        "has_any": bool(found.rows or q or "before" in request.GET),
        "found": found,
        "rows": [(field, tag_of(field), tallies["custom_field", field.pk]) for field in found.rows],
    }
    return sorting.show_list(request, account, "fields", context, status)


def tag_of(field: CustomField) -> str:
    """As an email prints it."""
    return f"{{{{ subscriber.{field.key} }}}}"


@require_http_methods(["GET", "HEAD", "POST"])
@member
def field(request: HttpRequest, account: Account, field_id: int) -> HttpResponse:
    """A POST renames it; asks first when that changes the key that texts print it by."""
    found = get_object_or_404(account.custom_fields, pk=field_id)
    if request.method != "POST":
        return _page(request, account, found, Form({"label": found.label}))
    given = forms.given(request)
    used = _used(account, found)
    try:
        new_key = _key_after(found, given)
        if new_key != found.key and not used.is_unprinted and not sorting.is_settled(request, used):
            return _ask_to_rename(request, account, found, new_key, used)
        fields.rename(found, given)
    except Invalid as refused:
        again = get_object_or_404(account.custom_fields, pk=field_id)
        return _page(request, account, again, forms.refused(request, refused), 422)
    messages.success(request, "Renamed. People keep their values.")
    return redirect("field", found.pk)


def _key_after(found: CustomField, given: FromText) -> str:
    """Renamed, and named back at once. Raises Invalid."""
    renamed = CustomField.objects.get(pk=found.pk)
    library.tried(partial(fields.rename, renamed, given))
    return renamed.key


def _ask_to_rename(
    request: HttpRequest, account: Account, found: CustomField, new_key: str, used: sorting.Used
) -> HttpResponse:
    context = {
        "section": "people",
        "current": "true",
        "field": found,
        "label": request.POST.get("label", ""),
        "tag": tag_of(found),
        "new_tag": f"{{{{ subscriber.{new_key} }}}}",
        "used": used,
        "seen": sorting.figure(used),
        "is_again": bool(request.POST.get("seen")),
    }
    return show(request, "sorting/field_renaming.html", account, context)


def _used(account: Account, found: CustomField) -> sorting.Used:
    return sorting.used(account, ("custom_field", found.pk), *sorting.reaches(account, found.key))


@require_safe
@member
def count(request: HttpRequest, account: Account, field_id: int) -> HttpResponse:
    """How many have a value now, exactly: read after the page, or asked for."""
    found = get_object_or_404(account.custom_fields, pk=field_id)
    n = conditions.matching(_has_value(found), account, clock.now()).count()
    said = f"{words.people(n, 'has', 'have')} a value for it now." if n else "Nobody has a value for it now."
    counted = sorting.Counted(found.label, reverse("field", args=[found.pk]), reverse("fields"), "Custom fields")
    return sorting.show_count(request, account, counted, n, said)


def _has_value(found: CustomField) -> Condition:
    return {"type": "custom_field", "subscriber_custom_field_id": found.pk, "comparison": "has_value"}


def _page(request: HttpRequest, account: Account, found: CustomField, form: Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "people",
        "current": "true",
        "field": found,
        "form": form,
        "tag": tag_of(found),
        "people_url": sorting.people_with(_has_value(found)),
        "used": _used(account, found),
    }
    return show(request, "sorting/field.html", account, context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, field_id: int) -> HttpResponse:
    """GET asks, POST does it, unless it is used elsewhere by now."""
    found = get_object_or_404(account.custom_fields, pk=field_id)
    used = _used(account, found)
    if not sorting.is_settled(request, used):
        facts = "Everybody's value for it goes, and there is no way back."
        notes = [] if used.is_unprinted else ["Texts that print it print nothing in its place."]
        here = reverse("field", args=[found.pk])
        subject = sorting.Subject("custom field", found.label, here, reverse("fields"), "Custom fields", facts, notes)
        return sorting.ask_to_delete(request, account, subject, used, clock.now())
    fields.delete(found, clock.now(), cause=causes.OWNER)
    messages.success(request, f"The field {words.title(found.label)} is deleted, with everybody's value for it.")
    return redirect("fields")
