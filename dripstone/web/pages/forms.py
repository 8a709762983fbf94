"""/forms: how people come in. The list, one form with what is pasted into a site, and what ends it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.sequences.models import Sequence
from dripstone.shapes.forms import embed_js, embed_url
from dripstone.stats import forms as stats
from dripstone.stats.forms import People, Source
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, State, Tag
from dripstone.web import forms as web_forms
from dripstone.web import sorting
from dripstone.web.frame import member, show
from dripstone.web.paging import page
from dripstone.web.public import door

OPT_INS = [
    ("double", "Double: a mail asks first, and one click in it lets people in"),
    ("single", "Single: whoever is new is in at once"),
]
VIEWS = {
    "": ("In use", Form.Status.ACTIVE),
    "archived": ("Archived", Form.Status.ARCHIVED),
    "deleted": ("Deleted", Form.Status.TRASHED),
}


# --- The list -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    form: Form
    people: People
    facts: str


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    view = request.GET.get("view", "")
    view = view if view in VIEWS else ""
    found = page(request, account.forms.filter(status=VIEWS[view][1]))
    people = stats.people([row.pk for row in found.rows], clock.now())
    names = _Names(account, found.rows)
    others = set(account.forms.exclude(status=Form.Status.ACTIVE).values_list("status", flat=True).distinct())
    context = {
        "section": "forms",
        "view": view,
        "views": [(key, label) for key, (label, status) in VIEWS.items() if key == "" or status in others],
        "forms_page": found,
        "rows": [Row(row, people[row.pk], names.facts(row)) for row in found.rows],
    }
    return show(request, "forms/list.html", account, context)


class _Names:
    """Of what some forms add: two queries."""

    def __init__(self, account: Account, some: Collection[Form]) -> None:
        tags = {pk for one in some for pk in one.tag_ids}
        sequences = {pk for one in some for pk in one.sequence_ids}
        self._tags = _named(Tag.objects.filter(account=account, pk__in=tags), tags)
        self._sequences = _named(sequences_of(account).filter(pk__in=sequences), sequences)

    def tags(self, form: Form) -> list[tuple[int, str]]:
        return [(pk, self._tags[pk]) for pk in form.tag_ids if pk in self._tags]

    def sequences(self, form: Form) -> list[tuple[int, str]]:
        return [(pk, self._sequences[pk]) for pk in form.sequence_ids if pk in self._sequences]

    def facts(self, form: Form) -> str:
        """`Double opt-in · adds the tag Reader and the sequence Write better emails`."""
        added = [f"the tag {words.title(name)}" for _, name in self.tags(form)]
        added += [f"the sequence {words.title(name)}" for _, name in self.sequences(form)]
        opt_in = "Double opt-in" if form.opt_in == Form.OptIn.DOUBLE else "Single opt-in"
        return f"{opt_in} · adds {words.listed(added)}" if added else opt_in


def _named(rows: QuerySet[Any], ids: Collection[int]) -> Mapping[int, str]:
    return dict(rows.values_list("pk", "name")) if ids else {}


def sequences_of(account: Account) -> QuerySet[Sequence]:
    return Sequence.objects.filter(account=account, deleted_at=None)


def sequence_ids(account: Account) -> set[int]:
    return set(sequences_of(account).values_list("pk", flat=True))


# --- A new one ----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_form(request: HttpRequest, account: Account) -> HttpResponse:
    if request.method != "POST":
        return _new(request, account, web_forms.Form({"opt_in": Form.OptIn.DOUBLE}))
    try:
        given = FromText(web_forms.given(request, ("sequence_ids",)))
        made = forms.create(account.pk, given, clock.now(), sequence_ids=sequence_ids(account))
    except Invalid as refused:
        return _new(request, account, web_forms.refused(request, refused, ("sequence_ids",)), 422)
    messages.success(request, "The form is there, and its page takes sign-ups. Say here what it asks and says.")
    return redirect("form_settings", made.pk)


def _new(request: HttpRequest, account: Account, form: web_forms.Form, status: int = 200) -> HttpResponse:
    named = sequences_of(account).order_by(Lower("name")).values_list("pk", "name")[:1_000]
    sequences = [("", "none"), *((str(pk), name) for pk, name in named)]
    context = {"section": "forms", "current": "true", "form": form, "opt_ins": OPT_INS, "sequences": sequences}
    return show(request, "forms/new.html", account, context, status)


# --- One form -----------------------------------------------------------------------------------------------------


@require_safe
@member
def form(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    found = find(account, form_id)
    names, embed = _Names(account, [found]), embed_of(found)
    context = {
        "section": "forms",
        "current": "true",
        "form": found,
        "people": stats.people([found.pk], clock.now())[found.pk],
        "tags": names.tags(found),
        "sequences": names.sequences(found),
        "url": embed_url(found),
        "door": embed_url(found).removesuffix(found.uid),
        "embed": embed,
        "embed_lines": embed.count("\n") + 2,
        "script": f'<script async data-uid="{found.uid}" src="{embed_js(found)}"></script>',
        "everybody": sorting.people_with({"type": "forms", "ids": [found.pk]}),
        "unconfirmed": sorting.people_with(
            {"all": [{"type": "forms", "ids": [found.pk]}, {"type": "subscriber_state", "states": [State.INACTIVE]}]}
        ),
        "naming": sorting.naming(account, ("form", found.pk)),
        "was_crowded": found.crowded_at is not None and clock.now() - found.crowded_at < stats.WEEK,
    }
    return show(request, "forms/detail.html", account, context)


def find(account: Account, form_id: int) -> Form:
    return get_object_or_404(account.forms.select_related("account"), pk=form_id)


def embed_of(form: Form) -> str:
    """HTML for any site: no style sheet, no script."""
    lines = render_to_string("forms/_embed.html", {"form": form, **door.parts(form)}).splitlines()
    return "\n".join(line for line in lines if line.strip())


@require_safe
@member
def sources(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    """Read from the newest people, so it comes after the page."""
    found = find(account, form_id)
    counted = stats.sources(found.pk)
    context = {
        "section": "forms",
        "current": "true",
        "form": found,
        "kinds": list(_kinds(counted)),
        "newest": stats.NEWEST,
        "most": stats.MOST_SOURCES,
    }
    is_part = bool(request.headers.get("HX-Request"))
    return show(request, "forms/_sources.html" if is_part else "forms/sources.html", account, context)


def _kinds(counted: Mapping[str, list[Source]]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    labels = {"site": "Site", "utm_source": "utm_source", "utm_campaign": "utm_campaign"}
    for kind, label in labels.items():
        rows = counted.get(kind, [])
        if any(row.name for row in rows) or (kind == "site" and rows):
            yield label, [(row.name or "not told", row.n) for row in rows]


# --- Its end ------------------------------------------------------------------------------------------------------


@member
@require_POST
def archiving(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    """Archive it, or take it into use again. Whoever is on it stays."""
    found = find(account, form_id)
    is_archived = request.POST.get("archived") == "true"
    forms.set_status(found, Form.Status.ARCHIVED if is_archived else Form.Status.ACTIVE)
    said = "is archived: nobody can sign up on it" if is_archived else "takes sign-ups again"
    messages.success(request, f"{words.title(found.name)} {said}.")
    return redirect("form", found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, form_id: int) -> HttpResponse:
    """GET asks, POST does it."""
    found = find(account, form_id)
    if request.method != "POST":
        context = {
            "section": "forms",
            "current": "true",
            "form": found,
            "people": stats.people([found.pk], clock.now())[found.pk],
            "places": sorting.used(account, ("form", found.pk)).places,
        }
        return show(request, "forms/deletion.html", account, context)
    forms.set_status(found, Form.Status.TRASHED)
    messages.success(request, f"{words.title(found.name)} is deleted. Whoever is on it stays on the list.")
    return redirect("forms")
