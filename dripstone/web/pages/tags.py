"""/tags: made, renamed, deleted; how many people have each, and where it is used."""

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.stats import people as stats
from dripstone.subscribers import tags
from dripstone.subscribers.models import Tag
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
    create = partial(tags.create, account.pk, forms.given(request), clock.now(), cause=causes.OWNER)
    return sorting.made(request, "tag", create, partial(_list, request, account), "Nobody has it yet.")


def _list(request: HttpRequest, account: Account, form: Form, status: int = 200) -> HttpResponse:
    q = library.typed(request)
    rows = account.tags.filter(name__icontains=q) if q else account.tags.all()
    found = page(request, rows)
    ids = [tag.pk for tag in found.rows]
    counts = stats.with_tags(ids)
    tallies = sorting.tallies(account, [("tag", pk) for pk in ids])
    context = {
        "q": q,
        "form": form,
        "has_any": bool(found.rows or q or "before" in request.GET),
        "found": found,
        "rows": [(tag, counts[tag.pk], tallies["tag", tag.pk]) for tag in found.rows],
    }
    return sorting.show_list(request, account, "tags", context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def tag(request: HttpRequest, account: Account, tag_id: int) -> HttpResponse:
    """A POST renames it: conditions and exclusions keep it, since they know its number."""
    found = get_object_or_404(account.tags, pk=tag_id)
    if request.method != "POST":
        return _page(request, account, found, Form({"name": found.name}))
    try:
        tags.rename(found, forms.given(request))
    except Invalid as refused:
        return _page(request, account, get_object_or_404(account.tags, pk=tag_id), forms.refused(request, refused), 422)
    messages.success(request, "Renamed. Whatever uses it has the new name.")
    return redirect("tag", found.pk)


def _page(request: HttpRequest, account: Account, found: Tag, form: Form, status: int = 200) -> HttpResponse:
    condition = {"type": "tags", "ids": [found.pk]}
    counts = stats.with_tag_by_state(found.pk)
    context = {
        "section": "people",
        "current": "true",
        "tag": found,
        "form": form,
        "counts": sorting.by_state(condition, counts),
        "n_people": counts.total(),
        "people_url": sorting.people_with(condition),
        "used": sorting.used(account, ("tag", found.pk)),
    }
    return show(request, "sorting/tag.html", account, context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, tag_id: int) -> HttpResponse:
    """GET asks, POST does it, unless it is used elsewhere by now."""
    found = get_object_or_404(account.tags, pk=tag_id)
    used = sorting.used(account, ("tag", found.pk))
    if not sorting.is_settled(request, used):
        n = stats.with_tag(found.pk)
        facts = f"{words.people(n, 'has', 'have')} it, and stay on the list without it." if n else "Nobody has it."
        here = reverse("tag", args=[found.pk])
        subject = sorting.Subject("tag", found.name, here, reverse("tags"), "Tags", facts)
        return sorting.ask_to_delete(request, account, subject, used, clock.now())
    tags.delete(found, clock.now(), cause=causes.OWNER)
    messages.success(request, f"The tag {words.title(found.name)} is deleted.")
    return redirect("tags")
