"""/segments: conditions with a name, written as a sentence with blanks (web/conditions.py)."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, conditions, grammar, words
from dripstone.accounts.models import Account
from dripstone.conditions import segments
from dripstone.conditions import words as condition_words
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.subscribers.models import Segment, Subscriber
from dripstone.web import forms, library, sorting
from dripstone.web.conditions import Editor
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.paging import page

EVERYBODY = '{"all": []}'


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    q = library.typed(request)
    rows = account.segments.filter(name__icontains=q) if q else account.segments.all()
    found = page(request, rows)
    names = condition_words.names([segment.filter for segment in found.rows], account.pk)
    tallies = sorting.tallies(account, [("segment", segment.pk) for segment in found.rows])
    context = {
        "q": q,
        "has_any": bool(found.rows or q or "before" in request.GET),
        "found": found,
        "rows": [
            (
                segment,
                condition_words.sentence(segment.filter, account.pk, names),
                tallies["segment", segment.pk],
            )
            for segment in found.rows
        ],
    }
    return sorting.show_list(request, account, "segments", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new(request: HttpRequest, account: Account) -> HttpResponse:
    if request.method != "POST":
        return _writing(request, account, None, Form())
    try:
        made = segments.create(account.pk, _given(request), clock.now())
    except Invalid as refused:
        return _writing(request, account, None, forms.refused(request, refused), 422)
    messages.success(request, f"The segment {words.title(made.name)} is saved.")
    return redirect("segment", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def segment(request: HttpRequest, account: Account, segment_id: int) -> HttpResponse:
    """A POST saves it; asks first when another condition reaches people through what uses it."""
    found = get_object_or_404(account.segments, pk=segment_id)
    if request.method != "POST":
        return _writing(request, account, found, Form({"name": found.name}))
    given = _given(request)
    used = sorting.used(account, ("segment", found.pk))
    try:
        changed = _tried(found, given)
        if changed.filter != found.filter and used.uses and not sorting.is_settled(request, used):
            return _ask(request, account, found, changed, used)
        segments.update(found, given)
    except Invalid as refused:
        return _writing(request, account, found, forms.refused(request, refused), 422)
    messages.success(request, "Saved.")
    return redirect("segment", found.pk)


def _given(request: HttpRequest) -> FromText:
    """Nothing chosen is everybody."""
    given = forms.given(request)
    return FromText({**given, "filter": given.get("filter") or EVERYBODY})


def _tried(found: Segment, given: FromText) -> Segment:
    """As it would be. Raises Invalid."""
    changed = Segment.objects.get(pk=found.pk)
    library.tried(lambda: segments.update(changed, given))
    return changed


def _ask(request: HttpRequest, account: Account, found: Segment, changed: Segment, used: sorting.Used) -> HttpResponse:
    now = clock.now()
    before, after = (conditions.matching(one.filter, account, now) for one in (found, changed))
    context = {
        "section": "people",
        "current": "true",
        "segment": found,
        "members": library.members(request),
        "seen": sorting.figure(used),
        "is_again": bool(request.POST.get("seen")),
        "sentence": condition_words.sentence(changed.filter, account.pk),
        "n_before": before.count(),
        "n_after": after.count(),
        "n_in": _n_only_in(after, before),
        "n_out": _n_only_in(before, after),
        "used": used,
    }
    return show(request, "sorting/segment_change.html", account, context)


def _n_only_in(these: QuerySet[Subscriber], those: QuerySet[Subscriber]) -> int:
    return these.exclude(pk__in=those.values("pk")).count()


def _writing(
    request: HttpRequest, account: Account, found: Segment | None, form: Form, status: int = 200
) -> HttpResponse:
    url = reverse("segment", args=[found.pk]) if found else reverse("new_segment")
    if request.method == "POST":
        editor = Editor.of_text(request, account, url, request.POST.get("filter", ""))
    else:
        editor = Editor.of(request, account, url, grammar.plain(found.filter) if found else None)
        if (answer := editor.answer()) is not None:
            return answer
    context = {
        "section": "people",
        "current": "true",
        "segment": found,
        "form": form,
        "editor": editor,
        "people_url": f"{reverse('people')}?segment={found.pk}" if found else "",
        "used": sorting.used(account, ("segment", found.pk)) if found else None,
    }
    return show(request, "sorting/segment.html", account, context, status)


@require_safe
@member
def count(request: HttpRequest, account: Account, segment_id: int) -> HttpResponse:
    """How many are in it now, exactly: read after the page, or asked for."""
    found = get_object_or_404(account.segments, pk=segment_id)
    n = conditions.matching(found.filter, account, clock.now()).count()
    said = f"{words.people(n, 'is', 'are')} in it now." if n else "Nobody is in it now."
    counted = sorting.Counted(found.name, reverse("segment", args=[found.pk]), reverse("segments"), "Segments")
    return sorting.show_count(request, account, counted, n, said)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, segment_id: int) -> HttpResponse:
    """GET asks, POST does it, unless it is used elsewhere by now."""
    found = get_object_or_404(account.segments, pk=segment_id)
    used = sorting.used(account, ("segment", found.pk))
    if not sorting.is_settled(request, used):
        here = reverse("segment", args=[found.pk])
        facts = "People stay as they are: only the condition goes."
        subject = sorting.Subject("segment", found.name, here, reverse("segments"), "Segments", facts)
        return sorting.ask_to_delete(request, account, subject, used, clock.now())
    segments.delete(found)
    messages.success(request, f"The segment {words.title(found.name)} is deleted.")
    return redirect("segments")
