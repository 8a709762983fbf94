"""/automations/…/edit: the list of steps that one edits, beside the picture of it.

What one makes of it is a draft: nobody is moved by it until it is published (automation_acts.py). Every act says which
draft it was made for; if somebody has changed that meanwhile, nothing is done, and what was typed is shown again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from dripstone import clock, grammar
from dripstone.accounts.models import Account
from dripstone.automations import editing, verbs, who
from dripstone.automations import graph as graphs
from dripstone.automations import words as automation_words
from dripstone.automations.editing import START, Place
from dripstone.automations.graph import BRANCHES, Graph, GraphNode
from dripstone.automations.models import Automation
from dripstone.automations.verbs import Overtaken
from dripstone.errors import Invalid
from dripstone.explain import automation_checks, automation_impact_words
from dripstone.explain.automation_impact_words import Effect
from dripstone.explain.findings import NOTICE
from dripstone.foresight import automation_impact
from dripstone.web import automation_form, automation_outline, automation_view, forms
from dripstone.web.automation_form import KINDS, Kind, Step
from dripstone.web.automation_graph import Shown
from dripstone.web.automation_outline import Line, Spot
from dripstone.web.conditions import Editor
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.automations import about, automation_of

FLOW = "flow"  # the id of the part that htmx swaps: the list and the picture
REVISION = "revision"  # of the draft that a form was made for
STALE = "Somebody has changed this automation meanwhile. Nothing was done: this is how it is now."
GONE = "That place is not there any more: somebody has changed the automation. Choose another one"

DELETED = "Somebody has deleted this step meanwhile. What you typed is still here: it can be added as a new one."

Edit = Callable[[Graph], Graph]


# --- The draft ----------------------------------------------------------------------------------------------------


def graph_of(automation: Automation) -> Graph:
    """As one edits it: the draft, else what is published, without nodes that were taken out."""
    return verbs.draft_of(automation) or graphs.from_json(graphs.as_json(verbs.published(automation)))


def revision(graph: Graph) -> str:
    """Another one whenever the graph says something else."""
    return hashlib.sha256(json.dumps(graphs.as_json(graph)).encode()).hexdigest()[:16]


@transaction.atomic
def save(request: HttpRequest, automation: Automation, edit: Edit) -> Automation:
    """Raises Overtaken, and Invalid with every problem by its member."""
    automation = verbs.locked(automation)
    graph = graph_of(automation)
    if request.POST.get(REVISION, "") != revision(graph):
        raise Overtaken
    return verbs.save_draft(automation, graphs.as_json(edit(graph)), clock.now(), actor(request))


def _node(graph: Graph, key: str) -> GraphNode:
    if key not in graph.nodes:
        raise Http404
    return graph.nodes[key]


def _fresh(automation: Automation, kind: str) -> str:
    """A key that no node of it ever had."""
    return editing.fresh(kind, {*verbs.published(automation).nodes, *graph_of(automation).nodes})


# --- The page -----------------------------------------------------------------------------------------------------


@require_safe
@member
def edit(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    found = automation_of(account, automation_id)
    return show(request, "automations/edit/page.html", account, _flow(found))


def _flow(automation: Automation, open_at: str = "") -> dict[str, Any]:
    """For automations/edit/_flow.html. open_at: the id of the step where one goes on"""
    graph = graph_of(automation)
    names = automation_words.names_of([graph], automation.account_id)
    findings = automation_checks.of_graph(graph, automation, clock.now())
    shown = Shown(
        who.by_node(automation.pk), findings=findings, people=reverse("automation_people", args=[automation.pk])
    )
    view = automation_view.of(graph, names, shown, findings, meets=editing.joins(graph))
    lines = automation_outline.lines(graph, view.steps, names)
    return about(automation) | {
        "view": view,
        "lines": lines,
        "start": Spot(START, "at the beginning"),
        "graph": graph,
        "revision": revision(graph),
        "findings": [one for one in findings if not one.node],
        "n_to_mend": sum(one.severity != NOTICE for one in findings),
        "open_at": open_at,
    }


def _lines(automation: Automation, graph: Graph) -> list[Line]:
    """For choosing a place or a step."""
    names = automation_words.names_of([graph], automation.account_id)
    view = automation_view.of(graph, names, Shown(), meets=editing.joins(graph))
    return automation_outline.lines(graph, view.steps, names)


def done(request: HttpRequest, account: Account, automation: Automation, said: str, key: str = "") -> HttpResponse:
    """After an act: the list again, at the step that it was about."""
    if not request.headers.get("HX-Request"):
        messages.success(request, said)
        return redirect(f"{page_of(automation)}#step-{key}" if key else page_of(automation))
    response = show(request, "automations/edit/_flow.html", account, _flow(automation, key))
    response["HX-Retarget"], response["HX-Reswap"] = f"#{FLOW}", "outerHTML"
    return trigger_client_event(response, "said", {"text": said})


def page_of(automation: Automation) -> str:
    return reverse("automation_edit", args=[automation.pk])


def _not_done(request: HttpRequest, account: Account, automation: Automation, why: str) -> HttpResponse:
    """An act that is only a button was refused."""
    if not request.headers.get("HX-Request"):
        messages.error(request, why)
        return redirect(page_of(automation))
    automation.refresh_from_db()
    response = show(request, "automations/edit/_flow.html", account, _flow(automation), 409)
    response["HX-Retarget"], response["HX-Reswap"] = f"#{FLOW}", "outerHTML"
    return trigger_client_event(response, "said", {"text": why})


def _pressed(
    request: HttpRequest, account: Account, automation: Automation, edit: Edit, said: str, key: str = ""
) -> HttpResponse:
    """Of a button that changes the draft at once."""
    try:
        automation = save(request, automation, edit)
    except Overtaken:
        return _not_done(request, account, automation, STALE)
    except Invalid as refused:
        return _not_done(request, account, automation, f"{str(refused).rstrip('.')}.")
    return done(request, account, automation, said, key)


def part_of(
    request: HttpRequest, account: Account, part: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A page of one thing, or for htmx that thing alone: `automations/edit/_step.html` in `…/step.html`."""
    is_part = bool(request.headers.get("HX-Request"))
    name = f"_{part}" if is_part else part
    context = {"action": request.path, "is_part": is_part, "heading": _HEADINGS[part].format(**context)} | context
    response = show(request, f"automations/edit/{name}.html", account, context, status)
    response["Vary"] = "HX-Request, Cookie"
    return response


_HEADINGS: Mapping[str, str] = {
    "menu": "Add a step {where}",
    "step": "{called}",
    "sentence": "{called}",
    "ways": "{called}",
    "moving": "Move {called}",
    "deletion": "Delete: {called}",
    "leading": "Where it leads, {where}",
}

# --- A new step ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_step(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """At a `place`: first what it is to do, from a menu with a search; then its form."""
    found = automation_of(account, automation_id)
    sent = request.POST if request.method == "POST" else request.GET
    kind = KINDS.get(sent.get("step", ""))
    if kind is None:
        return _menu(request, account, found)
    if request.method != "POST":
        step = Step.sent(kind, sent) if _is_typed(kind, sent) else Step.new(kind, account.send_hour)
        return _form(request, account, found, step)
    step = Step.sent(kind, request.POST)
    if automation_form.is_edit(request.POST):
        return _form(request, account, found, step)
    if "at" in request.POST:
        return _blank(request, step)
    key = _fresh(found, kind.node)
    try:
        changed = save(request, found, lambda graph: _added(graph, request.POST, step, key))
    except (Overtaken, Invalid) as refused:
        return _form(request, account, found, step, refused=refused, key=key)
    return done(request, account, changed, "Added to the draft.", key)


def _menu(request: HttpRequest, account: Account, automation: Automation) -> HttpResponse:
    graph, q = graph_of(automation), request.GET.get("q", "").strip()
    place = Place.of(request.GET.get("place", ""), graph)
    if place is None:
        return _not_done(request, account, automation, f"{GONE}.")
    spots = automation_outline.spots(_lines(automation, graph))
    context = about(automation) | {
        "place": place,
        "where": next((spot.label for spot in spots if spot.place == place), ""),
        "groups": automation_form.offered(q),
        "q": q,
    }
    return part_of(request, account, "menu", context)


def _added(graph: Graph, post: QueryDict, step: Step, key: str) -> Graph:
    place = Place.of(post.get("place", ""), graph)
    if place is None:
        raise Invalid.member("place", GONE)
    settings = step.settings
    if step.kind.asks:
        asked = {"if": _condition(post)}
        settings = settings | (asked if step.kind.key == "condition" else {BRANCHES: [asked]})
    return editing.insert(graph, place, GraphNode(key, step.kind.node, settings, step.exits))


def _condition(post: QueryDict) -> Any:
    return grammar.from_json(post.get(automation_form.FILTER, ""))


def _is_typed(kind: Kind, sent: QueryDict) -> bool:
    """Some controls came along, as they do while a condition is written."""
    return any(f"{automation_form.PREFIX}-{control.name}" in sent for control in kind.controls)


# --- One step -----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def step(request: HttpRequest, account: Account, automation_id: int, key: str) -> HttpResponse:
    """Its form. `as` another kind that makes the same kind of node; `branch` of a split by conditions."""
    found = automation_of(account, automation_id)
    sent = request.POST if request.method == "POST" else request.GET
    graph = graph_of(found)
    if request.method == "POST" and key not in graph.nodes and (was := KINDS.get(sent.get("step", ""))):
        return _form(request, account, found, Step.sent(was, request.POST), refused=Overtaken(DELETED))
    node = _node(graph, key)
    kind = automation_form.kind_of(node)
    other = KINDS.get(sent.get("as", ""))
    if other in automation_form.relatives(kind):
        kind = other
    if kind.key == "split_if":
        return _ways(request, account, found, node)
    if request.method != "POST":
        is_other = kind != automation_form.kind_of(node)
        shown = Step.new(kind, account.send_hour) if is_other else Step.of(node, account.time_zone)
        shown = Step.sent(kind, sent) if _is_typed(kind, sent) else shown
        return _form(request, account, found, shown, node)
    changed = Step.sent(kind, request.POST)
    if automation_form.is_edit(request.POST):
        return _form(request, account, found, changed, node)
    if "at" in request.POST:
        return _blank(request, changed)
    try:
        found = save(request, found, lambda graph: _changed(graph, request.POST, changed, key))
    except (Overtaken, Invalid) as refused:
        return _form(request, account, found, changed, node, refused=refused, key=key)
    return done(request, account, found, "Saved in the draft.", key)


def _changed(graph: Graph, post: QueryDict, step: Step, key: str) -> Graph:
    if key not in graph.nodes:
        raise Overtaken
    if step.kind.has_shares:
        before = automation_form.was_of(step.shares)
        return editing.change_branches(graph, key, step.settings, before)
    settings = step.settings | ({"if": _condition(post)} if step.kind.asks else {})
    return editing.change(graph, key, settings, otherwise=step.otherwise)


def _form(
    request: HttpRequest,
    account: Account,
    automation: Automation,
    step: Step,
    node: GraphNode | None = None,
    *,
    refused: Overtaken | Invalid | None = None,
    key: str = "",
) -> HttpResponse:
    """node   of a step that is there; None: of a new one
    refused  why it was not saved; what was typed is shown
    """
    automation.refresh_from_db()
    graph = graph_of(automation)
    sent = request.POST if request.method == "POST" else request.GET
    names = automation_words.names_of([graph], account.pk)
    problem = refused if isinstance(refused, Invalid) else None
    place = Place.of(sent.get("place", ""), graph)
    action = _address(automation, node)
    context = about(automation) | {
        "kind": step.kind,
        "node": node,
        "called": automation_words.node(node, names) if node else step.kind.label,
        "page": automation_form.page(account, step, problem, key=key, own=automation.pk),
        "place": place,
        "spots": _to_choose(automation_outline.spots(_lines(automation, graph)))
        if place is None and node is None
        else [],
        "relatives": automation_form.relatives(step.kind) if node else [],
        "as": sent.get("as", ""),
        "revision": revision(graph),
        "is_stale": isinstance(refused, Overtaken),
        "why_stale": str(refused) if isinstance(refused, Overtaken) and str(refused) == DELETED else "",
        "action": action,
    }
    if step.kind.asks:
        saved = node.settings["if"] if node else None
        editor = _editor(request, account, action, saved, _kept(sent, step))
        if (answer := editor.answer()) is not None:
            return answer
        context["editor"] = editor
    status = 409 if context["is_stale"] else 422 if refused else 200
    return part_of(request, account, "sentence" if step.kind.asks else "step", context, status)


def _to_choose(spots: list[Spot]) -> list[tuple[str, str]]:
    """For a select."""
    return [(str(spot.place), f"{spot.label[:1].upper()}{spot.label[1:]}") for spot in spots]


def _address(automation: Automation, node: GraphNode | None) -> str:
    if node is None:
        return reverse("automation_new_step", args=[automation.pk])
    return reverse("automation_step", args=[automation.pk, node.key])


def _kept(sent: QueryDict, step: Step) -> dict[str, str]:
    """What stays in the address while a condition is written: where the step comes, and its other controls."""
    names = [f"{automation_form.PREFIX}-{control.name}" for control in step.kind.controls]
    return {name: sent.get(name, "") for name in ("place", "step", "branch", *names)}


def _blank(request: HttpRequest, step: Step) -> HttpResponse:
    """Pressed without scripts: it opens, and what was typed beside it stays."""
    kept = {name: value for name, value in _kept(request.POST, step).items() if value}
    pressed = {name: request.POST.get(name, "") for name in (automation_form.FILTER, "at")}
    return redirect(f"{request.path}?{urlencode(kept | pressed)}#blank")


def _editor(request: HttpRequest, account: Account, here: str, saved: Any, keep: dict[str, str]) -> Editor:
    if request.method != "POST":
        return Editor.of(request, account, here, saved, keep)
    editor = Editor.of_text(request, account, here, request.POST.get(automation_form.FILTER, ""))
    editor.keep = keep
    return editor


# --- Ways by conditions -------------------------------------------------------------------------------------------


def _ways(request: HttpRequest, account: Account, automation: Automation, node: GraphNode) -> HttpResponse:
    """The list of them; with `branch` the condition of one, or of a `new` one."""
    sent = request.POST if request.method == "POST" else request.GET
    branches, at = node.settings[BRANCHES], sent.get("branch", "")
    if at == "new" or (at.isdigit() and int(at) < len(branches)):
        return _way(request, account, automation, node, at)
    if request.method == "POST":
        return _shift_ways(request, account, automation, node)
    graph = graph_of(automation)
    names = automation_words.names_of([graph], account.pk)
    context = about(automation) | {
        "node": node,
        "called": automation_words.node(node, names),
        "ways": [automation_words.way(node, str(place), names) for place in range(len(branches))],
        "revision": revision(graph),
        "action": _address(automation, node),
    }
    return part_of(request, account, "ways", context)


def _way(request: HttpRequest, account: Account, automation: Automation, node: GraphNode, at: str) -> HttpResponse:
    branches = node.settings[BRANCHES]
    refused: Overtaken | Invalid | None = None
    if request.method == "POST":
        places: list[int | None] = [*range(len(branches)), *([None] if at == "new" else [])]
        asked = {"if": _condition(request.POST)}
        new = [*branches, asked] if at == "new" else [*branches[: int(at)], asked, *branches[int(at) + 1 :]]
        try:
            automation = save(request, automation, _with_branches(node.key, new, places))
        except (Overtaken, Invalid) as error:
            refused = error
        else:
            return done(request, account, automation, "Saved in the draft.", node.key)
    step = Step(KINDS["split_if"], {})
    saved = None if at == "new" else branches[int(at)]["if"]
    action = _address(automation, node)
    editor = _editor(request, account, action, saved, {"branch": at})
    if (answer := editor.answer()) is not None:
        return answer
    problem = refused if isinstance(refused, Invalid) else None
    automation.refresh_from_db()
    context = about(automation) | {
        "kind": step.kind,
        "node": node,
        "called": "A new way, for whom?" if at == "new" else f"Way {int(at) + 1}, for whom?",
        "page": automation_form.page(account, step, problem, key=node.key),
        "branch": at,
        "revision": revision(graph_of(automation)),
        "is_stale": isinstance(refused, Overtaken),
        "action": action,
        "editor": editor,
    }
    return part_of(request, account, "sentence", context, 409 if context["is_stale"] else 422 if refused else 200)


def _with_branches(key: str, branches: list[Any], places: list[int | None]) -> Edit:
    def edit(graph: Graph) -> Graph:
        return editing.change_branches(graph, key, {BRANCHES: branches}, places)

    return edit


def _shift_ways(request: HttpRequest, account: Account, automation: Automation, node: GraphNode) -> HttpResponse:
    """`up-1`: the second way is asked before the first; `remove-1`: it goes, with the steps that only it reached."""
    branches = node.settings[BRANCHES]
    places = list(range(len(branches)))
    verb, _, number = request.POST.get("do", "").partition("-")
    at = int(number) if number.isdigit() and int(number) < len(places) else None
    if at is None or verb not in ("up", "remove") or (verb == "up" and not at):
        return _not_done(request, account, automation, STALE)
    place = places.pop(at)
    if verb == "up":
        places.insert(at - 1, place)
    if not places:
        return _not_done(request, account, automation, "One way has to stay. Delete the step instead.")
    edit = _with_branches(node.key, [branches[one] for one in places], list(places))
    said = "It is asked earlier now." if verb == "up" else "The way is gone from the draft."
    return _pressed(request, account, automation, edit, said, node.key)


# --- Moving, copying, deleting ------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def moving(request: HttpRequest, account: Account, automation_id: int, key: str) -> HttpResponse:
    """POST moves it `to` a place, with what belongs to it. GET offers all there are."""
    found = automation_of(account, automation_id)
    graph = graph_of(found)
    node = _node(graph, key)
    if request.method == "POST":
        place = Place.of(request.POST.get("to", ""), graph)
        if place is None:
            return _not_done(request, account, found, f"{GONE}.")
        return _pressed(request, account, found, lambda now: editing.move(now, key, place), "Moved, in the draft.", key)
    inside = editing.block(graph, key)
    lines = _lines(found, graph)
    context = about(found) | {
        "node": node,
        "called": next(line.called for line in lines if line.told.key == key and line.called),
        "n_with_it": len(inside) - 1,
        "form": forms.Form(),
        "spots": _to_choose([spot for spot in automation_outline.spots(lines) if spot.place.key not in inside]),
        "revision": revision(graph),
    }
    return part_of(request, account, "moving", context)


@member
@require_POST
def copying(request: HttpRequest, account: Account, automation_id: int, key: str) -> HttpResponse:
    found = automation_of(account, automation_id)
    _node(graph_of(found), key)
    taken = verbs.published(found).nodes
    said = "The copy stands behind it, in the draft."
    return _pressed(request, account, found, lambda graph: editing.duplicate(graph, key, taken)[0], said, key)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, automation_id: int, key: str) -> HttpResponse:
    """GET says what goes with it and who stands there. `way`: of a fork, the one that stays."""
    found = automation_of(account, automation_id)
    graph = graph_of(found)
    node = _node(graph, key)
    sent = request.POST if request.method == "POST" else request.GET
    exits = [exit for exit, _ in graph.exits_of(key)]
    way = sent.get("way", "") if sent.get("way", "") in exits else editing.usual_way(graph, key)
    if request.method == "POST":
        said = "Taken out of the draft."
        return _pressed(request, account, found, lambda now: editing.remove(now, key, way), said)
    names = automation_words.names_of([graph], account.pk)
    goes = [key, *editing.goes_with(graph, key, way)]
    context = about(found) | {
        "node": node,
        "called": automation_words.node(node, names),
        "way": way,
        "ways": [(exit, automation_words.way(node, exit, names) or "as usual") for exit in exits]
        if len(exits) > 1
        else [],
        "goes": [automation_words.node(graph.nodes[one], names) for one in goes[1:]],
        "goes_in_all": len(goes),
        "standing": _standing(found, editing.remove(graph, key, way), goes),
        "revision": revision(graph),
    }
    return part_of(request, account, "deletion", context)


def _standing(automation: Automation, left: Graph, goes: list[str]) -> list[Effect]:
    """What becomes of those who stand at nodes that are taken out, if that is published as it stands."""
    impact = automation_impact.of_publish(automation, left, clock.now())
    names = automation_words.names_of([impact.graph], automation.account_id)
    return [one for one in automation_impact_words.effects(impact, names) if one.n and one.node in goes]


@require_http_methods(["GET", "HEAD", "POST"])
@member
def leading(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Where an exit (`place`) leads: to another step, or out. So ways come together."""
    found = automation_of(account, automation_id)
    graph = graph_of(found)
    sent = request.POST if request.method == "POST" else request.GET
    edge = Place.of(sent.get("place", ""), graph)
    if edge is None or edge.exit == editing.AFTER:
        return _not_done(request, account, found, f"{GONE}.")
    if request.method == "POST":
        to = request.POST.get("to", "") or None
        if to is not None and to not in graph.nodes:
            return _not_done(request, account, found, f"{GONE}.")
        said = "Led elsewhere, in the draft."
        return _pressed(request, account, found, lambda now: editing.lead(now, edge, to), said, edge.key)
    lines = _lines(found, graph)
    context = about(found) | {
        "place": edge,
        "where": _where(lines, edge),
        "form": forms.Form({"to": editing.target(graph, edge) or ""}),
        "targets": [("", "They leave"), *automation_outline.targets(graph, edge, lines)],
        "revision": revision(graph),
    }
    return part_of(request, account, "leading", context)


def _where(lines: list[Line], edge: Place) -> str:
    """Of a way as its plus says it, else after which step."""
    ways = {spot.place: spot.label for spot in automation_outline.spots(lines)}
    steps = {line.leads: f"after {line.called}" for line in lines if line.leads and line.called}
    return ways.get(edge) or steps.get(edge, "")


@member
@require_POST
def discarding(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Throws away what is not published."""
    found = automation_of(account, automation_id)
    if request.POST.get(REVISION, "") != revision(graph_of(found)):
        return _not_done(request, account, found, STALE)
    found = verbs.drop_draft(found, clock.now(), actor(request), seen=found.draft_revision)
    return done(request, account, found, "The changes are gone. This is what is published.")
