"""What is known of one person: name, address, custom fields, tags."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid, Problem
from dripstone.events import causes
from dripstone.given import FromText
from dripstone.subscribers import subscribe
from dripstone.subscribers import tags as tagging
from dripstone.subscribers.models import CustomField, Subscriber, Tag
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
        return _form(request, account, found, Form(_saved(found)))
    try:
        subscribe.update(found.pk, _given(request), clock.now(), cause=causes.OWNER)
    except Invalid as error:
        problems = [_for_the_form(problem) for problem in forms.refused(request, error).problems]
        return _form(request, account, found, Form(forms.given(request), problems), 422)
    messages.success(request, "Saved.")
    return redirect(address(found.pk))


def _saved(found: Subscriber) -> dict[str, Any]:
    fields = CustomField.objects.filter(account=found.account_id)
    values = {f"{OF_FIELD}{field.key}": found.fields.get(str(field.pk), "") for field in fields}
    return {"email_address": found.email_address, "first_name": found.first_name} | values


def _given(request: HttpRequest) -> FromText:
    """What was left blank is taken away."""
    sent = forms.given(request)
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


def _form(request: HttpRequest, account: Account, found: Subscriber, form: Form, status: int = 200) -> HttpResponse:
    fields = CustomField.objects.filter(account=account).order_by("label")
    context = about(found) | {"form": form, "fields": [(f"{OF_FIELD}{field.key}", field.label) for field in fields]}
    return show(request, "people/details.html", account, context, status)


@member
@require_POST
def tags(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """Adds the tag of the `name` given; one that nobody has yet is made."""
    found, now = person_of(account, subscriber_id), clock.now()
    try:
        tag, is_new = tagging.create(account.pk, forms.given(request), now, cause=causes.OWNER)
    except Invalid as error:
        return asking.refused(request, error, address(found.pk))
    _, is_added = tagging.add(tag, found, now, cause=causes.OWNER)
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
    tagging.remove(tag, found, clock.now(), cause=causes.OWNER)
    messages.success(request, f"{name_of(found)} does not have the tag {words.title(tag.name)} any more.")
    return redirect(f"{address(found.pk)}#details")
