"""/automations/…/edit/entries: what lets people in, as rows; and the settings of the whole, which hold at once."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import verbs
from dripstone.automations.graph import Entry, Graph
from dripstone.automations.models import Automation
from dripstone.automations.verbs import Overtaken
from dripstone.errors import Invalid, Problem
from dripstone.triggers import when
from dripstone.web import forms, rule_form
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.automation_editor import done, graph_of, revision, save
from dripstone.web.pages.automations import about, automation_of
from dripstone.web.rule_form import TRIGGERS, Draft

FORM = "rule-form"  # the id of the form, which htmx swaps
REENTER = ((Automation.Reenter.ALWAYS, "Yes, as often as it happens"), (Automation.Reenter.NEVER, "No, once in a life"))


@require_http_methods(["GET", "HEAD", "POST"])
@member
def entries(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """A POST saves them in the draft, or changes the form: rows are added and removed."""
    found = automation_of(account, automation_id)
    graph = graph_of(found)
    if request.method != "POST":
        return _form(request, account, found, _draft(graph))
    draft = Draft.typed(request.POST)
    if rule_form.is_edit(request.POST):
        return _form(request, account, found, draft)
    try:
        found = save(request, found, lambda now: _with(now, draft))
    except (Overtaken, Invalid) as refused:
        found.refresh_from_db()
        return _form(request, account, found, draft, refused)
    return done(request, account, found, "Saved in the draft.")


def _draft(graph: Graph) -> Draft:
    rows = [rule_form.shown(TRIGGERS[one["trigger"]], one) for one in graph.triggers]
    return Draft("", {"triggers": rows, "actions": []})


def _with(graph: Graph, draft: Draft) -> Graph:
    return Graph(tuple(_with_ids(draft.given()["triggers"], graph.entries)), graph.start, graph.nodes)


def _with_ids(triggers: list[dict[str, Any]], before: tuple[Entry, ...]) -> list[Entry]:
    """What says the same as before keeps its id, else the next of the same kind does: logs go by them."""
    left = list(before)
    found: dict[int, Entry] = {}
    for is_alike in (_says_the_same, _is_same_kind):
        for place, trigger in enumerate(triggers):
            old = next((one for one in left if is_alike(one, trigger)), None) if place not in found else None
            if old is not None:
                left.remove(old)
                found[place] = {"id": old["id"], **trigger}
    return [found.get(place, {"id": None, **trigger}) for place, trigger in enumerate(triggers)]


def _says_the_same(entry: Mapping[str, Any], trigger: Mapping[str, Any]) -> bool:
    return graphs.trigger_of(dict(entry)) == trigger


def _is_same_kind(entry: Mapping[str, Any], trigger: Mapping[str, Any]) -> bool:
    return bool(entry["trigger"] == trigger["trigger"])


def _form(
    request: HttpRequest,
    account: Account,
    automation: Automation,
    draft: Draft,
    refused: Overtaken | Invalid | None = None,
) -> HttpResponse:
    problem = Invalid(problems=[_problem(one) for one in refused.problems]) if isinstance(refused, Invalid) else None
    page = rule_form.page(account, draft, problem)
    context = about(automation) | {
        "page": page,
        "new_triggers": [(key, label) for key, label in page.new_triggers if key != when.CANCELLED],
        "revision": revision(graph_of(automation)),
        "is_stale": isinstance(refused, Overtaken),
        "action": reverse("automation_entries", args=[automation.pk]),
    }
    is_part = request.headers.get("HX-Target") == FORM
    template = "automations/edit/_entries.html" if is_part else "automations/edit/entries.html"
    status = 409 if context["is_stale"] else 422 if refused else 200
    response = show(request, template, account, context, status)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _problem(problem: Problem) -> Problem:
    """As a rule's form has it: entries are its triggers."""
    member, sentence = problem
    if member is None or not member.startswith("entries"):
        return problem
    return member.replace("entries", "triggers", 1), sentence.replace("entries", "triggers", 1)


# --- Settings -----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def settings(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Its name, and whether people may enter again. They hold at once."""
    found = automation_of(account, automation_id)
    form = Form({"name": found.name, "reenter": found.reenter})
    if request.method == "POST":
        try:
            verbs.update(found, forms.given(request), clock.now(), actor(request))
        except Invalid as refused:
            form = forms.refused(request, refused)
        else:
            messages.success(request, "Saved.")
            return redirect("automation_edit", found.pk)
    context = about(found) | {"form": form, "reenter": REENTER}
    return show(request, "automations/edit/settings.html", account, context, 422 if form.problems else 200)
