"""What is done to an automation as a whole: its draft published, switched on, paused, switched off, deleted.

Each says first what it does to the people inside, and is done only to those it was told about.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from dripstone import clock, conditions, words
from dripstone.accounts.models import Account
from dripstone.automations import edits, matching, publishing, removal, switching, verbs
from dripstone.automations import words as automation_words
from dripstone.automations.models import Automation
from dripstone.automations.steps import Sequences
from dripstone.automations.switching import Overdue
from dripstone.errors import Invalid, Unseen
from dripstone.explain import automation_checks, automation_impact_words
from dripstone.explain.automation_impact_words import Effect
from dripstone.explain.findings import NOTICE
from dripstone.foresight import automation_impact
from dripstone.foresight.automation_impact import AutomationImpact
from dripstone.web import asking, sorting
from dripstone.web.asking import Line, Question, Told
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.automations import about, automation_of
from dripstone.web.paging import number

Status = Automation.Status
NAMES = 5  # in a question
SEEN = "seen"  # the token of the impact that was shown
LOOK = "look"  # the button that only shows it again, with other choices
PART = "act-on"  # the id of the form, which htmx swaps when something else is chosen


@dataclass(frozen=True, slots=True)
class Choice:
    """Of a publishing, at one node."""

    name: str
    label: str
    options: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AtNode:
    """What becomes of those who stand at a node, and what may be chosen there; where nobody stands (effect: None), of
    those who come to it."""

    title: str
    effect: Effect | None
    choices: list[Choice] = field(default_factory=list)


def _names_of(impact: AutomationImpact, account: Account) -> Any:
    return automation_words.names_of([impact.graph], account.pk)


def _answer(
    request: HttpRequest, account: Account, page: str, context: dict[str, Any], *, is_again: bool
) -> HttpResponse:
    is_part = request.headers.get("HX-Target") == PART
    template = f"automations/edit/_{page}.html" if is_part else f"automations/edit/{page}.html"
    response = show(request, template, account, context | {"is_again": is_again}, 409 if is_again else 200)
    response["Vary"] = "HX-Target, Cookie"
    return response


# --- Publishing ---------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def publication(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """What it does to whom, with what may be chosen where; then it is done."""
    found = automation_of(account, automation_id)
    if found.draft is None:
        messages.info(request, f"{publishing.NO_DRAFT}.")
        return redirect("automation_edit", found.pk)
    sent = request.POST if request.method == "POST" else request.GET
    choices, is_again = _chosen(sent), False
    if request.method == "POST" and LOOK not in request.POST:
        try:
            publishing.publish(
                found, clock.now(), actor(request), token=request.POST.get(SEEN) or None, choices=choices
            )
        except Unseen:
            is_again = True
        except Invalid as refused:
            messages.error(request, f"{str(refused).rstrip('.')}.")
            return redirect("automation_edit", found.pk)
        else:
            messages.success(request, _published(found))
            return redirect("automation", found.pk)
    return _ask_to_publish(request, account, found, choices, is_again=is_again)


def _published(automation: Automation) -> str:
    if automation.status == Status.ACTIVE:
        return "Published. It holds for everybody inside from now on."
    return "Published. It does not run yet: switch it on when it says what you mean."


def _ask_to_publish(
    request: HttpRequest, account: Account, automation: Automation, choices: Mapping[str, Any], *, is_again: bool
) -> HttpResponse:
    now = clock.now()
    try:
        impact = automation_impact.of_publish(automation, None, now, choices)
    except Invalid:  # something else is to be chosen by now
        impact, is_again = automation_impact.of_publish(automation, None, now), True
    names = _names_of(impact, account)
    told = list(automation_impact_words.effects(impact, names))
    draft = verbs.draft_of(automation)
    findings = automation_checks.of_graph(draft, automation, now) if draft else []
    context = about(automation) | {
        "impact": impact,
        "at_once": [one for one in told if one.node is None and one.n != _n_elsewhere(impact)],
        "nodes": (nodes := list(_nodes(impact, told, names))),
        "has_choices": any(one.choices for one in nodes),
        "n_elsewhere": _n_elsewhere(impact),
        "form": Form(_values(impact)),
        "n_mailed": sum(impact.going.mailed.values()),
        "to_mend": [one for one in findings if one.severity != NOTICE],
        "part": PART,
    }
    return _answer(request, account, "publication", context, is_again=is_again)


def _n_elsewhere(impact: AutomationImpact) -> int:
    return impact.n_inside - sum(one.n for one in impact.nodes)


def _nodes(impact: AutomationImpact, told: list[Effect], names: Any) -> Iterator[AtNode]:
    effects = {one.node: one for one in told if one.node is not None}
    offered: dict[str, list[Choice]] = {}
    for one, name, options in automation_impact_words.choices(impact, names):
        if one.n or name == edits.BRANCH:
            offered.setdefault(one.key, []).append(Choice(f"choice:{one.key}:{name}", _LABELS[name], options))
    for one in impact.nodes:
        if one.key in effects or one.key in offered:
            title = automation_impact_words.called(impact.graph, one.key, names)
            yield AtNode(title, effects.get(one.key), offered.get(one.key, []))


_LABELS: Mapping[str, str] = {
    edits.SEQUENCE: "Whoever is in its sequence",
    edits.WAIT: "Whoever waits there",
    edits.BRANCH: "Whoever comes to it",
    edits.DATES: "Whoever waits there",
}


def _chosen(sent: QueryDict) -> dict[str, Any]:
    """{"nodes": {"pause": {"dates": "anew"}}}"""
    nodes: dict[str, dict[str, str]] = {}
    for one in sent:
        start, _, rest = one.partition(":")
        key, _, name = rest.rpartition(":")
        if start == "choice" and key and (value := sent.get(one)):
            nodes.setdefault(key, {})[name] = value
    return {"nodes": nodes}


def _values(impact: AutomationImpact) -> dict[str, str]:
    return {
        f"choice:{one.key}:{name}": value
        for one in impact.nodes
        if one.change is not None
        for name, value in one.change.chosen.items()
    }


# --- Switching ----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def switching_(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """To `status`. Where something is to be chosen of the overdue, on a page of its own."""
    found, back = automation_of(account, automation_id), reverse("automation", args=[automation_id])
    sent = request.POST if request.method == "POST" else request.GET
    status = sent.get("status", "")
    if status not in Status.values or status == found.status:
        return redirect(back)
    is_page = "overdue" in sent or request.method != "POST"
    if status == Status.ACTIVE and (is_page or _has_overdue(found)):
        if is_page:
            return _activation(request, account, found, sent)
        return asking.leave(request, f"{request.path}?status={status}")
    title, button, said = _SWITCHES[status]
    question = Question(title.format(words.title(found.name)), back, section="automations", members={"status": status})

    def tell(now: datetime) -> Told:
        return _told(automation_impact.of_switch(found, status, now), account, found, button)

    try:
        return asking.ask(
            request, account, question, tell, partial(_switch, request, found, status), _then(request, back, said)
        )
    except Invalid as refused:
        return asking.refused(request, refused, back)


_SWITCHES: Mapping[str, tuple[str, str, str]] = {
    Status.ACTIVE: ("Switch {} on?", "Switch it on", "It runs. What happens from now on lets people in."),
    Status.PAUSED: ("Pause {}?", "Pause it", "It is paused: people enter and wait at the entry, nobody walks."),
    Status.INACTIVE: ("Switch {} off?", "Switch it off", "It is off: nobody enters and nobody walks. Places are kept."),
}


def _has_overdue(automation: Automation) -> bool:
    return switching.overdue(automation, clock.now()).exists()


def _switch(request: HttpRequest, automation: Automation, status: str, seen: str) -> bool | None:
    """None: the people are others by now, and nothing was done."""
    verb = {
        Status.ACTIVE: switching.activate,
        Status.PAUSED: switching.pause,
        Status.INACTIVE: switching.deactivate,
    }[Status(status)]
    with suppress(Unseen):
        verb(automation, clock.now(), actor(request), token=seen)
        return True
    return None


def _then(request: HttpRequest, back: str, said: str) -> Any:
    def then(_: bool) -> HttpResponse:
        messages.success(request, said)
        return asking.leave(request, back)

    return then


def _told(impact: AutomationImpact, account: Account, automation: Automation, button: str) -> Told:
    lines = [_line(one) for one in automation_impact_words.effects(impact, _names_of(impact, account))]
    n_mailed = sum(impact.going.mailed.values()) + impact.n_mailed
    return Told(
        impact.token,
        is_silent=impact.is_silent,
        button=f"{button}, mail {n_mailed:,} now" if n_mailed else button,
        lines=lines,
        rest=_match_already(automation, account) if impact.act == automation_impact.ACTIVATE else "",
    )


def _line(effect: Effect) -> Line:
    more = effect.n - len(effect.names[:NAMES])
    shown = [*effect.names[:NAMES], *([f"{more:,} more"] if effect.names and more > 0 else [])]
    return Line(effect.n, effect.phrase, words.listed(shown))


def _match_already(automation: Automation, account: Account) -> str:
    """A sentence about those who match already; "" for none."""
    now = clock.now()
    try:
        n = conditions.matching(matching.whom(automation, now), account, now).count()
    except Invalid:
        return ""
    if not n:
        return ""
    return (
        f"What lets people in is so already for {words.people(n)} who {words.agree(n, 'is', 'are')} not inside. Nobody "
        "of them enters by this; they can be put in afterwards."
    )


def _activation(request: HttpRequest, account: Account, automation: Automation, sent: QueryDict) -> HttpResponse:
    overdue: Overdue = "leave" if sent.get("overdue") == "leave" else "walk"
    days = number(sent.get("older_than", ""))
    older_than = timedelta(days=min(days, 3_650)) if days is not None else None
    back, is_again = reverse("automation", args=[automation.pk]), False
    if request.method == "POST" and LOOK not in request.POST:
        try:
            switching.activate(
                automation,
                clock.now(),
                actor(request),
                token=request.POST.get(SEEN) or None,
                overdue=overdue,
                older_than=older_than,
            )
        except Unseen:
            is_again = True
        except Invalid as refused:
            return asking.refused(request, refused, back)
        else:
            messages.success(request, _SWITCHES[Status.ACTIVE][2])
            return redirect(back)
    impact = automation_impact.of_switch(automation, Status.ACTIVE, clock.now(), overdue, older_than)
    told = _told(impact, account, automation, "Switch it on")
    context = about(automation) | {
        "impact": impact,
        "told": told,
        "form": Form({"overdue": overdue, "older_than": "" if days is None else days}),
        "overdue": _OVERDUE,
        "has_overdue": _has_overdue(automation),
        "match_already": _match_already(automation, account),
        "part": PART,
    }
    return _answer(request, account, "activation", context, is_again=is_again)


_OVERDUE = [("walk", "Walk on now"), ("leave", "Leave the automation, if they are overdue for long")]

# --- Deleting -----------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """What becomes of the people inside, and of the sequences that it put them into."""
    found, is_again = automation_of(account, automation_id), False
    sent = request.POST if request.method == "POST" else request.GET
    sequences = cast("Sequences", sent["sequences"] if sent.get("sequences") in ("end", "finish") else "finish")
    if request.method == "POST" and LOOK not in request.POST:
        name = found.name
        try:
            removal.delete(
                found, clock.now(), actor(request), sequences=sequences, token=request.POST.get(SEEN) or None
            )
        except Unseen:
            is_again = True
        else:
            messages.success(request, f"The automation {words.title(name)} is deleted. What it did stays done.")
            return redirect("automations")
    impact = automation_impact.of_removal(found, clock.now(), sequences)
    effects = automation_impact_words.effects(impact, _names_of(impact, account), sequences=sequences)
    context = about(found) | {
        "impact": impact,
        "lines": [_line(one) for one in effects],
        "form": Form({"sequences": sequences}),
        "sequences": _SEQUENCES,
        "naming": sorting.naming(account, ("automation", found.pk)),
        "part": PART,
    }
    return _answer(request, account, "automation_deletion", context, is_again=is_again)


_SEQUENCES = [
    ("finish", "They stay in the sequences where they are, and get the rest"),
    ("end", "They are taken out of them"),
]
