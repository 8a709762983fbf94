"""/automations: graphs that people walk through. One is a picture and, beside it, the same as a list of sentences, with
how many stand where; its log says who entered, went on, left, and who did not enter.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import counts, verbs, who
from dripstone.automations import words as automation_words
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, Step
from dripstone.conditions.words import Names
from dripstone.errors import Invalid
from dripstone.explain import automation_checks, walk_words
from dripstone.explain.findings import NOTICE, Finding
from dripstone.web import automation_faces, automation_view, library, paging
from dripstone.web.automation_graph import Shown
from dripstone.web.automation_places import in_address, of_address, places
from dripstone.web.automation_view import View
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.person import person_at
from dripstone.web.paging import PATIENCE_MS, Page

STATES = {
    Automation.Status.ACTIVE: ("Active", "good"),
    Automation.Status.PAUSED: ("Paused", "wait"),
    Automation.Status.INACTIVE: ("Off", "draft"),
}
WHAT = {
    "": "All",
    Step.What.ENTERED: "Entered",
    Step.What.WALKED: "Went on",
    Step.What.PULLED: "Pulled forward",
    Step.What.MOVED: "Moved",
    Step.What.LEFT: "Left",
    Step.What.NOT_ENTERED: "Did not enter",
}
LATELY = timedelta(days=7)
LOG = "log"  # the id of the part that htmx loads after the page, if need be


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the list. not_entered   within the last week, by reason"""

    automation: Automation
    state: str
    pill: str
    sentence: str
    n_steps: int
    n_inside: int
    not_entered: Counter[str]
    n_to_mend: int

    @property
    def n_not_entered(self) -> int:
        return self.not_entered.total()

    @property
    def why_not(self) -> str:
        return in_words(self.not_entered)


def in_words(reasons: Counter[str], most: int = 2) -> str:
    """`they were inside already (3), they may not enter again (1)`: the commonest first."""
    said = [f"{walk_words.WHY_NOT.get(reason, reason)} ({n:,})" for reason, n in reasons.most_common(most)]
    more = len(reasons) - most
    return ", ".join([*said, words.count(more, "more reason")] if more > 0 else said)


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    q, status = library.typed(request), request.GET.get("status", "")
    rows = verbs.of(account)
    if q:
        rows = rows.filter(name__icontains=q)
    if status in STATES:
        rows = rows.filter(status=status)
    found = paging.page(request, rows)
    context = {
        "section": "automations",
        "q": q,
        "status": status,
        "states": [("", "All"), *((key, label) for key, (label, _) in STATES.items())],
        "has_any": bool(found.rows or q or status or "before" in request.GET),
        "found": found,
        "rows": _listed(found.rows, account, clock.now()),
    }
    return show(request, "automations/list.html", account, context)


def _listed(rows: Collection[Automation], account: Account, now: datetime) -> list[Listed]:
    ids = [row.pk for row in rows]
    graphs = verbs.published_of_each(rows)
    names = automation_words.names_of(graphs.values(), account.pk)
    n_inside, not_entered = counts.inside(ids), who.not_entered(ids, now - LATELY)
    findings = automation_checks.of(rows, account, now)
    return [
        Listed(
            row,
            *STATES[Automation.Status(row.status)],
            automation_words.entry(row.entries, names),
            len(graphs[row.pk].living),
            n_inside[row.pk].total(),
            not_entered[row.pk],
            sum(one.severity != NOTICE for one in findings[row.pk]),
        )
        for row in rows
    ]


# --- One automation -----------------------------------------------------------------------------------------------


def automation_of(account: Account, automation_id: int) -> Automation:
    return get_object_or_404(verbs.of(account).select_related("account"), pk=automation_id)


def about(automation: Automation) -> dict[str, object]:
    """What every page about one automation shows."""
    state, pill = STATES[Automation.Status(automation.status)]
    return {"section": "automations", "current": "true", "automation": automation, "state": state, "pill": pill}


@require_safe
@member
def automation(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    found, now = automation_of(account, automation_id), clock.now()
    graph = verbs.published(found)
    names = automation_words.names_of([graph], account.pk)
    standing, not_entered = who.by_node(found.pk), who.not_entered([found.pk], now - LATELY)[found.pk]
    findings = automation_checks.of([found], account, now)[found.pk]
    shown = Shown(standing, findings=findings, people=reverse("automation_people", args=[found.pk]))
    view = automation_view.of(graph, names, shown, findings)
    context = about(found) | {
        "view": view,
        "n_inside": standing.total(),
        "n_not_entered": not_entered.total(),
        "why_not": in_words(not_entered),
        "checks": list(_checks(findings, view, graph, names)),
        "n_to_mend": sum(one.severity != NOTICE for one in findings),
    }
    return show(request, "automations/detail.html", account, context)


@dataclass(frozen=True, slots=True)
class Check:
    """step   "Step 4", with a link to it; "" of what is about the whole"""

    finding: Finding
    step: str = ""
    url: str = ""


def _checks(findings: Collection[Finding], view: View, graph: Graph, names: Names) -> Iterator[Check]:
    numbers = {told.key: told.row.number for told in view.steps if told.what == "step"}
    for one in findings:
        if one.node in numbers:
            called = automation_faces.title(graph.nodes[one.node], names)
            yield Check(one, f"Step {numbers[one.node]}, {called}", f"#step-{one.node}")
        else:
            yield Check(one)


# --- The log ------------------------------------------------------------------------------------------------------


@require_safe
@member
def log(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Of everybody or of one person; of what happened, and of where. What is rare may have to be looked for through the
    whole of it: then the list comes after the page."""
    found = automation_of(account, automation_id)
    asked = _Asked.of(request, account)
    graph = verbs.published(found)
    is_part = request.headers.get("HX-Target") == LOG
    find = paging.page if is_part or "long" in request.GET else partial(paging.page_within, patience_ms=PATIENCE_MS)
    page: Page[Step] | None = find(request, asked.rows(found))
    steps = page.rows if page else []
    context = about(found) | {
        "page": page,
        "lines": walk_words.of(steps, walk_words.names_of(steps, account.pk)) if steps else [],
        "asked": asked,
        "kinds": [(asked.with_(what=what), label, asked.what == what) for what, label in WHAT.items()],
        "places": [("", "Anywhere"), *places(graph, automation_words.names_of([graph], account.pk))],
        "place": in_address(asked.node),
        "kept_days": who.KEPT_DAYS,
        "long": f"{request.get_full_path()}{'&' if request.GET else '?'}long=1",
    }
    response = show(request, "automations/_log.html" if is_part else "automations/log.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the log is asked for. address   of a person, who may not be there"""

    what: str
    node: str | None
    address: str
    person_id: int | None

    @classmethod
    def of(cls, request: HttpRequest, account: Account) -> "_Asked":
        what, address = request.GET.get("what", ""), request.GET.get("person", "").replace("\0", "").strip()
        person = person_at(account, address) if address else None
        node = of_address(request.GET.get("node", ""))
        return cls(what if what in WHAT else "", node, address, person.pk if person else None)

    def rows(self, automation: Automation) -> QuerySet[Step]:
        if self.address and self.person_id is None:
            return Step.objects.none()
        return who.log(automation.pk, what=self.what, node=self.node, person=self.person_id)

    def with_(self, what: str) -> str:
        """The address of the log with this filter and the others as they are."""
        query = {"what": what, "node": in_address(self.node), "person": self.address}
        return "?" + urlencode({name: value for name, value in query.items() if value})


# --- Acts ---------------------------------------------------------------------------------------------------------


@member
@require_POST
def copy(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    try:
        made = verbs.duplicate(automation_of(account, automation_id), clock.now(), actor(request))
    except Invalid as refused:
        messages.error(request, f"{refused}.")
        return redirect("automation", automation_id)
    messages.success(request, "This is the copy. It is off, and nobody is inside.")
    return redirect("automation", made.pk)
