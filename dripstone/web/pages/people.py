"""The people of the account: searched, filtered by a sentence with blanks, with the columns that a member has chosen.

A page reads fifty people and what is shown of them. A filter may have to look at everybody to find fifty: what takes
longer than a page may take is loaded after it, as is the exact count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock, conditions, grammar
from dripstone.accounts.models import Account
from dripstone.stats import people as stats
from dripstone.subscribers import finding
from dripstone.subscribers.models import Segment, Subscriber
from dripstone.web import people_columns
from dripstone.web.conditions import Editor
from dripstone.web.frame import member, membership, own, show
from dripstone.web.paging import PATIENCE_MS, Page, number, page, page_within

STATES = {
    "active": "Active",
    "inactive": "Unconfirmed",
    "cancelled": "Unsubscribed",
    "bounced": "Refused at delivery",
    "complained": "Complained",
}
LOOKED_AT = 1_000  # people who fit what was typed: beyond, one types more
SEGMENTS = 12  # offered to begin with
LARGE = 5_000  # people; below, nothing takes long


@dataclass(frozen=True, slots=True)
class Choice:
    """A usual view. `n`: how many are in it, where that is kept."""

    query: str
    label: str
    n: int | None
    is_chosen: bool


@dataclass(slots=True)
class Asked:
    """What the address of a page asks for."""

    account: Account
    state: str
    typed: str
    segment: Segment | None
    editor: Editor

    @property
    def is_narrowed(self) -> bool:
        """By more than a state, for which counts are kept."""
        return bool(self.typed or self.editor.condition or self.editor.problem)

    @property
    def keep(self) -> dict[str, str]:
        """All but the filter."""
        return {"q": self.typed, "state": self.state, "segment": str(self.segment.pk) if self.segment else ""}

    def query(self, **other: str) -> str:
        """All of it, with something else in it."""
        said = {**self.keep, **({"filter": self.editor.json} if self.editor.is_changed else {}), **other}
        members = {name: value for name, value in said.items() if value or name == "filter"}
        return f"?{urlencode(members)}" if members else ""

    def rows(self) -> QuerySet[Subscriber]:
        """Nobody, for a filter that could not be read."""
        if self.editor.problem:
            return Subscriber.objects.none()
        rows = conditions.matching(self.editor.condition, self.account, clock.now())
        if self.state:
            rows = rows.filter(state=self.state)
        return rows.filter(pk__in=finding.ids(self.account.pk, self.typed, LOOKED_AT)) if self.typed else rows


def asked(request: HttpRequest, account: Account, url: str) -> Asked:
    """Of pages about the people that an address names. Raises Http404 for a segment that is not there."""
    state = request.GET.get("state", "")
    state = state if state in STATES else ""
    typed = request.GET.get("q", "").replace("\0", "").strip()
    segment_id = number(request.GET.get("segment", ""))
    segment = get_object_or_404(Segment, pk=segment_id, account=account) if segment_id is not None else None
    keep = {"q": typed, "state": state, "segment": str(segment_id or "")}
    saved = grammar.plain(segment.filter) if segment else None
    return Asked(account, state, typed, segment, Editor.of(request, account, url, saved, keep))


# --- The list -----------------------------------------------------------------------------------------------------


@require_safe
@member
def people(request: HttpRequest, account: Account) -> HttpResponse:
    this = asked(request, account, reverse("people"))
    if (answer := this.editor.answer()) is not None:
        return answer
    n_people = stats.of_account(account.pk)
    is_part = request.headers.get("HX-Target") == "people"
    may_take_long = is_part or "long" in request.GET or n_people <= LARGE or not this.is_narrowed
    found = _page(request, this, None if may_take_long else PATIENCE_MS)
    columns = people_columns.chosen(membership(request).people_columns, account)
    context = {
        "section": "people",
        "this": this,
        "editor": this.editor,
        "n_people": n_people,
        "columns": columns,
        "page": found,
        "rows": people_columns.rows(found.rows, columns, account, clock.now()) if found else [],
        "base": reverse("people"),
        "long": f"{reverse('people')}{this.query(long='1')}",
    }
    if not is_part:
        context |= _around(request, this, columns)
    response = show(request, "people/_list.html" if is_part else "people/list.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _page(request: HttpRequest, this: Asked, patience_ms: int | None) -> Page[Subscriber] | None:
    """None: it takes longer than that."""
    if patience_ms is None:
        return page(request, this.rows(), n_rows=_n_rows(this))
    return page_within(request, this.rows(), patience_ms)


def _n_rows(this: Asked) -> int | None:
    """Where a count is kept, so that nobody is looked for who is not there."""
    return None if this.is_narrowed else stats.of_account(this.account.pk, this.state or stats.EVERY_STATE)


def _around(request: HttpRequest, this: Asked, columns: list[people_columns.Column]) -> dict[str, Any]:
    """What a page has that its list alone has not."""
    shown = {column.key for column in columns}
    account = this.account
    segments_here = list(Segment.objects.filter(account=account).order_by("-pk")[: SEGMENTS + 1])
    return {
        "choices": list(_choices(this)),
        "available": [(one.key, one.label, one.key in shown) for one in people_columns.available(account)],
        "segments": segments_here[:SEGMENTS],
        "has_more_segments": len(segments_here) > SEGMENTS,
        "query": this.query(),
        "filter_query": urlencode({"filter": this.editor.json}),
    }


def _choices(this: Asked) -> Iterator[Choice]:
    """With how many there are, if nothing else is asked for."""
    is_counted = not this.is_narrowed
    of_account = stats.by_state(this.account.pk) if is_counted else {}
    total = sum(of_account.values()) if is_counted else None
    yield Choice(this.query(state=""), "Everybody", total, not this.state)
    for state, label in STATES.items():
        yield Choice(
            this.query(state=state), label, of_account.get(state, 0) if is_counted else None, this.state == state
        )


@require_safe
@member
def count(request: HttpRequest, account: Account) -> HttpResponse:
    """How many the filter finds, exactly: read after the page, or asked for."""
    this = asked(request, account, reverse("people"))
    is_part = request.headers.get("HX-Target") == "count"
    context = {
        "section": "people",
        "current": "true",
        "this": this,
        "n_found": this.rows().count(),
        "n_people": stats.of_account(account.pk),
        "whole": f"{reverse('people')}{this.query()}",
    }
    response = show(request, "people/_count.html" if is_part else "people/count.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


# --- What one keeps -----------------------------------------------------------------------------------------------


@own
@require_POST
def columns(request: HttpRequest, account: Account) -> HttpResponse:
    """Which columns this member sees, from now on."""
    mine = membership(request)
    there = {column.key for column in people_columns.available(account)}
    wanted = [key for key in dict.fromkeys(request.POST.getlist("columns")) if key in there]
    fields = [key for key in wanted if key.startswith(people_columns.FIELD)][: people_columns.MOST_FIELDS]
    mine.people_columns = [key for key in wanted if key in people_columns.LABELS] + fields
    mine.save(update_fields=["people_columns"])
    return redirect(f"{reverse('people')}{_query_of(request)}")


def _query_of(request: HttpRequest) -> str:
    """The part of an address that a form sent along, so that it leads back."""
    query = request.POST.get("query", "")
    return query if query.startswith("?") else ""
