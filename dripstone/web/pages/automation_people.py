"""Who stands where in an automation, one person on its picture, and acts by hand: putting in, moving, taking out. Each
act says first what it will do.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import matching as matching_already
from dripstone.automations import people as by_hand
from dripstone.automations import verbs, who
from dripstone.automations import words as automation_words
from dripstone.automations.graph import AT_ENTRY, Graph
from dripstone.automations.models import Automation, Step, Walk
from dripstone.bulk import action_words, of_automation
from dripstone.conditions.words import Names
from dripstone.errors import Invalid, PreconditionFailed, TooLarge
from dripstone.explain import automation_journey, not_entered, walk_words
from dripstone.explain.automation_journey import Way
from dripstone.given import as_yes_no
from dripstone.subscribers.models import Subscriber
from dripstone.web import automation_asking, automation_view, automation_way, forms, paging
from dripstone.web.asking_places import name_of
from dripstone.web.automation_asking import Act
from dripstone.web.automation_graph import Shown
from dripstone.web.automation_places import ENTRY, called, in_address, of_address, places
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.pages import person as person_page
from dripstone.web.pages.automations import about, automation_of
from dripstone.web.pages.person import person_at, person_of
from dripstone.web.paging import page

LATEST = 3  # automations on a person's page
SECTION = "automations-of-person"  # its id there, which htmx swaps


# --- Who stands where ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    query: str  # "" for everybody
    label: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A row. person   None: deleted this moment. until   when a date moves them on; `waits` where none does"""

    walk: Walk
    person: Subscriber | None
    where: str
    waits: str

    @property
    def until(self) -> datetime | None:
        return self.walk.ends_at if not self.waits else None


@require_safe
@member
def people(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Everybody inside, or those at one node; an address leads to that person on the picture, inside or not."""
    found = automation_of(account, automation_id)
    address = request.GET.get("person", "").replace("\0", "").strip()
    if address and (person := person_at(account, address)) is not None:
        return redirect("automation_person", found.pk, person.pk)
    graph, standing = verbs.published(found), who.by_node(found.pk)
    names = automation_words.names_of([graph], account.pk)
    node = of_address(request.GET.get("node", ""))
    n_rows = standing.total() if node is None else standing[node]
    shown = page(request, who.inside(found.pk, node), n_rows=n_rows)
    context = about(found) | {
        "page": shown,
        "rows": list(_standing(shown.rows, found, graph, names)),
        "choices": list(_choices(graph, names, standing, node)),
        "node": node,
        "address": address,
    }
    return show(request, "automations/people.html", account, context)


def _choices(graph: Graph, names: Names, standing: Mapping[str, int], chosen: str | None) -> Iterator[Choice]:
    """The nodes at which somebody stands, from the entry on."""
    yield Choice("", "Everybody", sum(standing.values()), chosen is None)
    for key in (AT_ENTRY, *graph.nodes, *(key for key in standing if key and key not in graph.nodes)):
        if standing.get(key) or key == chosen:
            label = called(graph, key, names)
            yield Choice(f"?node={in_address(key)}", label, standing.get(key, 0), key == chosen)


def _standing(rows: Collection[Walk], found: Automation, graph: Graph, names: Names) -> Iterator[Standing]:
    people = Subscriber.objects.filter(account=found.account_id).in_bulk([row.subscriber_id for row in rows])
    for row in rows:
        yield Standing(row, people.get(row.subscriber_id), called(graph, row.node, names), _waits(row, found))


def _waits(row: Walk, found: Automation) -> str:
    """For what, where no date moves them on; "" where one does."""
    if found.status != Automation.Status.ACTIVE:
        return "until it runs again"
    if row.ends_at is not None:
        return ""
    return "for the sequence" if row.enrollment_id else "for what happens" if row.node else "to begin"


# --- One person ---------------------------------------------------------------------------------------------------


@require_safe
@member
def person(request: HttpRequest, account: Account, automation_id: int, subscriber_id: int) -> HttpResponse:
    """On the picture: where they stand, what they passed and when; what comes; or why they are not inside."""
    found, them, now = automation_of(account, automation_id), person_of(account, subscriber_id), clock.now()
    passed = automation_way.of(found, them.pk)
    graph = verbs.published(found)
    names = automation_words.names_of([graph], account.pk)
    shown = Shown(here=passed.here, passed=passed.passed, notes=passed.notes(account.time_zone, now))
    steps = page(request, who.log(found.pk, person=them.pk))
    context = about(found) | {
        "person": them,
        "name": name_of(them),
        "walk": passed.walk,
        "is_inside": passed.here is not None,
        "view": automation_view.of(graph, names, shown),
        "why_not": None if passed.here is not None else not_entered.of(found, them, now),
        "way": next((way for way in _ways(account, them, now) if way.automation.pk == found.pk), None),
        "page": steps,
        "lines": walk_words.of(steps.rows, walk_words.names_of(steps.rows, account.pk)),
        "places": [("", "Choose…"), *(place for place in places(graph, names) if place[0] != ENTRY)],
        "form": Form(),
        "stands_in_sequence": passed.walk is not None and passed.here is not None and passed.walk.is_ours,
    }
    return show(request, "automations/person.html", account, context)


def _ways(account: Account, them: Subscriber, now: datetime) -> list[Way]:
    return automation_journey.of_person(account, them, now)


@require_safe
@member
def of_person(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """The automations that they are or were in, and what happened at each: all of it, or for htmx the first as a part
    of their page."""
    them = person_of(account, subscriber_id)
    ways = _ways(account, them, clock.now())
    context = person_page.about(them) | {"ways": ways[:LATEST], "has_more": len(ways) > LATEST}
    is_part = request.headers.get("HX-Target") == SECTION
    if not is_part:
        steps: paging.Page[Step] = page(request, who.log_of_person(account.pk, them.pk))
        lines = walk_words.of(steps.rows, walk_words.names_of(steps.rows, account.pk))
        context |= {"ways": ways, "page": steps, "lines": lines}
    template = "automations/_of_person.html" if is_part else "automations/of_person.html"
    response = show(request, template, account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


# --- Acts by hand -------------------------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def entry(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """Somebody is put in, by their address."""
    found = automation_of(account, automation_id)
    address = (request.POST if request.method == "POST" else request.GET).get("email_address", "").strip()
    if request.method != "POST":
        return _entry(request, account, found, Form({"email_address": address}))
    them = person_at(account, address) if address else None
    if them is None:
        sentence = "Nobody on the list has this address" if address else "Whom? Their address is missing"
        return _entry(request, account, found, Form(forms.given(request), [("email_address", sentence)]), 422)
    again = as_yes_no(forms.given(request).get("again", "")) is True
    name, title = name_of(them), words.title(found.name)
    act = Act(
        found,
        them,
        partial(_add, found, them.pk, forms.cause(request), again),
        title=f"Put {name} into {title}?",
        button="Put them in",
        said=f"{name} is in {title}." if found.status == Automation.Status.ACTIVE else f"{name} waits in {title}.",
        back=_on_picture(found, them),
    )
    return automation_asking.ask(request, account, act)


def _entry(request: HttpRequest, account: Account, found: Automation, form: Form, status: int = 200) -> HttpResponse:
    return show(request, "automations/entry.html", account, about(found) | {"form": form}, status)


def _add(found: Automation, subscriber_id: int, cause: tuple[str, ...], again: bool, now: datetime) -> None:
    """Raises Invalid where they may not enter: then nothing is written, nor is the log."""
    outcome = by_hand.add(found, [subscriber_id], now, cause=cause, again=again)
    if (reason := outcome.get(subscriber_id, "")) != "":
        raise Invalid(f"They do not enter, because {walk_words.WHY_NOT.get(reason, reason)}")


@require_http_methods(["GET", "HEAD", "POST"])
@member
def matching(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    """People for whom what lets somebody in is so already. GET says what it would do, POST begins it as a bulk action,
    if the world is still the one that was told about."""
    found, now = automation_of(account, automation_id), clock.now()
    again = as_yes_no((request.POST if request.method == "POST" else request.GET).get("again", "")) is True
    counted, why_not = None, ""
    try:
        if request.method == "POST" and (seen := request.POST.get("seen")):
            with suppress(PreconditionFailed):
                return redirect(
                    "bulk_action", of_automation.begin(found, actor(request), now, again=again, seen=seen).pk
                )
        counted = of_automation.count(found, now, again=again)
    except (Invalid, TooLarge) as refused:
        why_not = f"{refused}."
    is_again = request.method == "POST" and counted is not None
    names = automation_words.names_of([verbs.published(found)], account.pk)
    context = about(found) | {
        "counted": counted,
        "whom": action_words.whom({"filter": matching_already.whom(found, now)}, account.pk) if counted else "",
        "why_not": why_not,
        "is_again": is_again,
        "again": again,
        "traceless": [said for _, said in automation_words.entries(matching_already.traceless(found, now), names)],
    }
    return show(request, "automations/matching.html", account, context, 409 if is_again else 422 if why_not else 200)


@member
@require_POST
def moving(request: HttpRequest, account: Account, automation_id: int, subscriber_id: int) -> HttpResponse:
    found, them = automation_of(account, automation_id), person_of(account, subscriber_id)
    key = of_address(request.POST.get("node", ""))
    if not key:
        return automation_asking.refuse(request, "Choose a step to move them to", _on_picture(found, them))
    graph = verbs.published(found)
    names = automation_words.names_of([graph], account.pk)
    where = words.title(called(graph, key, names))
    act = Act(
        found,
        them,
        lambda now: by_hand.move(found, them.pk, key, now, cause=forms.cause(request), keep_place=_keeps(request)),
        title=f"Move {name_of(them)} to {where}?",
        button="Move them",
        said=f"{name_of(them)} was moved to {where}.",
        back=_on_picture(found, them),
        facts=_back_or_forth(found, them, key, graph),
    )
    return automation_asking.ask(request, account, act)


def _back_or_forth(found: Automation, them: Subscriber, key: str, graph: Graph) -> str:
    walk = by_hand.walk_of(found, them.pk)
    if walk is None or key in graph.ahead(walk.node):
        return "What stands in between is passed over: it does nothing."
    return "That is not ahead of them, so another run begins: every step acts again for them."


@member
@require_POST
def removal(request: HttpRequest, account: Account, automation_id: int, subscriber_id: int) -> HttpResponse:
    found, them = automation_of(account, automation_id), person_of(account, subscriber_id)
    title = words.title(found.name)
    act = Act(
        found,
        them,
        lambda now: by_hand.remove(found, them.pk, now, cause=forms.cause(request), keep_place=_keeps(request)),
        title=f"Take {name_of(them)} out of {title}?",
        button="Take them out",
        said=f"{name_of(them)} is out of {title}.",
        back=_on_picture(found, them),
        facts="What it did for them stays done. They may enter again, if it lets people in a second time.",
        is_grave=True,
    )
    return automation_asking.ask(request, account, act)


def _keeps(request: HttpRequest) -> bool:
    return as_yes_no(request.POST.get("keep_place", "")) is True


def _on_picture(found: Automation, them: Subscriber) -> str:
    return reverse("automation_person", args=[found.pk, them.pk])
