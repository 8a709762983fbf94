"""What is known of one person: name, address, custom fields, tags.

The form says what each of its fields showed. Only what was changed is saved, so two people who write into different
fields both do; of two who write into the same one, the second is shown what the first saved, and chooses.
"""

import hashlib
import json
from collections.abc import Mapping

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid, Problem
from dripstone.given import FromText
from dripstone.subscribers import subscribe
from dripstone.subscribers import tags as tagging
from dripstone.subscribers.models import CustomField, Subscriber, Tag, locked
from dripstone.web import asking, forms
from dripstone.web.asking_places import name_of
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.pages.person import about, address, person_of

OF_FIELD = "field-"  # before the key of a custom field, in the names of a form


@member
@require_http_methods(["GET", "HEAD", "POST"])
def details(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    if request.method != "POST":
        saved = _saved(found)
        return _form(request, account, found, Form(saved), _figures(saved))
    try:
        overtaken = _save(request, found)
    except Invalid as error:
        problems = [_for_the_form(problem) for problem in forms.refused(request, error).problems]
        return _form(request, account, found, Form(forms.given(request), problems), _seen(request), 422)
    if overtaken is not None:
        return _form(request, account, found, overtaken, _figures(_saved(found)), 409)
    messages.success(request, "Saved.")
    return redirect(address(found.pk))


@transaction.atomic
def _save(request: HttpRequest, found: Subscriber) -> Form | None:
    """What was changed in the form. Nothing, if somebody else has saved something else in one of these fields since it
    was opened: then the form to be shown is returned. Raises Invalid."""
    locked(found.pk)
    found.refresh_from_db()
    saved, seen = _saved(found), _seen(request)
    changed = {name: value for name, value in forms.given(request).items() if seen.get(name) != _figure(value)}
    problems: list[Problem] = [
        (name, _since(saved[name]))
        for name, value in changed.items()
        if name in seen and name in saved and _figure(saved[name]) not in (seen[name], _figure(value))
    ]
    if problems:
        return Form(saved | changed, problems)
    if changed:
        subscribe.update(found.pk, _given(changed), clock.now(), cause=forms.cause(request))
    return None


def _since(value: str) -> str:
    what = f"saved {words.title(value)} here" if value else "emptied this field"
    return f"Somebody has {what} since you opened the page. Save once more to have yours"


def _figures(saved: Mapping[str, str]) -> dict[str, str]:
    """By field, of what it shows."""
    return {name: _figure(value) for name, value in saved.items()}


def _figure(value: str) -> str:
    """A field of one line shows and sends a value without its line ends."""
    return hashlib.sha256(value.replace("\r", "").replace("\n", "").strip().encode()).hexdigest()[:16]


def _seen(request: HttpRequest) -> dict[str, str]:
    """Figures of what the form showed; of one that is not ours nothing."""
    try:
        seen = json.loads(request.POST.get("seen", ""))
    except ValueError:
        return {}
    return seen if isinstance(seen, dict) else {}


def _saved(found: Subscriber) -> dict[str, str]:
    fields = CustomField.objects.filter(account=found.account_id)
    values = {f"{OF_FIELD}{field.key}": found.fields.get(str(field.pk), "") for field in fields}
    return {"email_address": found.email_address, "first_name": found.first_name or ""} | values


def _given(sent: Mapping[str, str]) -> FromText:
    """What was left blank is taken away."""
    fields = {name.removeprefix(OF_FIELD): value or None for name, value in sent.items() if name.startswith(OF_FIELD)}
    own = {name: sent[name].strip() or None for name in ("email_address", "first_name") if name in sent}
    return FromText(own | {"fields": fields})


def _for_the_form(problem: Problem) -> Problem:
    """`fields.city` is called `field-city` there; what is about all fields belongs to none."""
    member, sentence = problem
    if member and member.startswith("fields"):
        _, _, key = member.partition(".")
        return f"{OF_FIELD}{key}" if key else None, sentence
    return problem


def _form(
    request: HttpRequest, account: Account, found: Subscriber, form: Form, seen: dict[str, str], status: int = 200
) -> HttpResponse:
    fields = CustomField.objects.filter(account=account).order_by("label")
    named = [(f"{OF_FIELD}{field.key}", field.label) for field in fields]
    context = about(found) | {"form": form, "fields": named, "seen": json.dumps(seen)}
    return show(request, "people/details.html", account, context, status)


@member
@require_POST
def tags(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """Adds the tag of the `name` given; one that nobody has yet is made."""
    found, now = person_of(account, subscriber_id), clock.now()
    try:
        tag, is_new = tagging.create(account.pk, forms.given(request), now, cause=forms.cause(request))
    except Invalid as error:
        return asking.refused(request, error, address(found.pk))
    _, is_added = tagging.add(tag, found, now, cause=forms.cause(request))
    title = words.title(tag.name)
    if not is_added:
        messages.warning(request, f"{name_of(found)} has the tag {title} already.")
    else:
        messages.success(request, f"{name_of(found)} has the tag {title}{', which is new' if is_new else ''}.")
    return redirect(f"{address(found.pk)}#details")


@member
@require_POST
def tag_removal(request: HttpRequest, account: Account, subscriber_id: int, tag_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    tag = get_object_or_404(Tag, pk=tag_id, account=account)
    tagging.remove(tag, found, clock.now(), cause=forms.cause(request))
    messages.success(request, f"{name_of(found)} does not have the tag {words.title(tag.name)} any more.")
    return redirect(f"{address(found.pk)}#details")
