"""Automations: graphs that people walk through. Kit has them in its app only."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired

from django.db import transaction
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Filters, Name, WholeOrNull, YesNoOrNull, needs, one_of_or_null
from dripstone.api.conditions import CONDITION
from dripstone.api.ext.bulk_actions import BulkActionAnswer, BulkActionCountAnswer, counted_shape, shown
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, publishing, reading, removal, switching, verbs
from dripstone.automations.models import Automation
from dripstone.automations.steps import Sequences
from dripstone.bulk import action_words, of_automation
from dripstone.errors import Invalid, Problem, Unseen
from dripstone.explain import automation_checks
from dripstone.foresight import automation_impact
from dripstone.foresight.automation_impact import AutomationImpact
from dripstone.given import MAX_ID, Checked, Given
from dripstone.grammar import kinds as leaves
from dripstone.shapes import automations as shapes
from dripstone.triggers import what, when
from dripstone.words import WEEKDAYS

router = Router(tags=["Automations"])

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_ID_OR_NULL = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ID}
_KEY = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"}
_KEY_OR_NULL = {"type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]{1,40}$"}
_DAYS = {"type": ["integer", "null"], "minimum": -when.MOST_DAYS, "maximum": when.MOST_DAYS}
_HOUR = {"type": ["integer", "null"], "minimum": 0, "maximum": 23}
INSTANT = {"type": "string", "description": "A day, or an ISO 8601 timestamp; in the account's zone."}
SPAN = {
    "type": ["object", "null"],
    "description": "One of its members.",
    "properties": {unit: {"type": "integer", "minimum": 1, "maximum": reading.MOST_OF[unit]} for unit in kinds.UNITS},
}
_UNTIL = {
    "type": ["object", "null"],
    "description": "`at`; or `weekdays` and `hour`; or `custom_field_id`, `days` and `hour`.",
    "properties": {
        "at": INSTANT,
        "weekdays": {"type": "array", "items": {"type": "string", "enum": list(WEEKDAYS)}, "minItems": 1},
        "custom_field_id": _ID,
        "days": _DAYS,
        "hour": _HOUR,
    },
}
_BRANCH = {
    "type": "object",
    "description": "`percent` in all of them, or `if` in all of them.",
    "properties": {
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
        "if": CONDITION,
        "next": _KEY_OR_NULL,
    },
}
_OF_TRIGGERS = {
    "tag_id": _ID,
    "form_id": _ID_OR_NULL,
    "sequence_id": _ID,
    "product_id": _ID_OR_NULL,
    "custom_field_id": _ID,
    "value": {"type": ["string", "null"], "maxLength": leaves.MAX_VALUE},
    "days": _DAYS,
    "hour": _HOUR,
    "yearly": {"type": ["boolean", "null"]},
}
_ENTRY = {
    "type": "object",
    "description": "`trigger`, and the members of its kind: docs/reference/automations.md.",
    "required": ["trigger"],
    "properties": {
        "id": _KEY_OR_NULL,
        "trigger": {
            "type": "string",
            "enum": [kind for kind in when.KINDS if kind not in (when.DATE, when.CANCELLED)],
        },
        **_OF_TRIGGERS,
        "url": {"type": ["string", "null"], "maxLength": when.LONGEST_URL},
    },
}
_NODE = {
    "type": "object",
    "description": "`id`, `kind`, and the members of its kind: docs/reference/automations.md.",
    "required": ["id", "kind"],
    "properties": {
        "id": _KEY,
        "kind": {"type": "string", "enum": list(kinds.ALL)},
        "trigger": {"type": "string", "enum": [kind for kind in when.KINDS if kind != when.CANCELLED]},
        **_OF_TRIGGERS,
        "at": INSTANT,
        "already": {"type": ["boolean", "null"]},
        "wait": {"enum": [*kinds.SEQUENCE_WAITS, None]},
        "for": SPAN,
        "until": _UNTIL,
        "if": CONDITION,
        "within": SPAN,
        "branches": {"type": "array", "items": _BRANCH, "minItems": 1, "maxItems": reading.MOST_BRANCHES},
        "automation_id": _ID,
        "way": {"type": "string", "enum": list(kinds.WAYS)},
        "and_leave": {"type": ["boolean", "null"]},
        "url": {"type": "string"},
        "body": {"type": ["object", "array", "string", "null"]},
        "text": {"type": "string", "maxLength": what.LONGEST_TEXT},
        "next": _KEY_OR_NULL,
        "yes": _KEY_OR_NULL,
        "no": _KEY_OR_NULL,
        "otherwise": _KEY_OR_NULL,
    },
}


def _listed(item: dict[str, Any], most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": ["array", "null"], "items": item, "maxItems": most})


Entries = Annotated[Any, _listed(_ENTRY, reading.MOST_ENTRIES)]
Nodes = Annotated[Any, _listed(_NODE, reading.MOST_NODES)]
Start = Annotated[Any, WithJsonSchema(_KEY_OR_NULL)]
Reenter = Annotated[Any, one_of_or_null(*Automation.Reenter.values)]
Span = Annotated[Any, WithJsonSchema(SPAN)]
Choices = Annotated[Any, WithJsonSchema({"type": ["object", "null"], "properties": {"nodes": {"type": "object"}}})]
GRAPH = ("entries", "start", "nodes")


class GraphBody(Body):
    """How people walk: docs/reference/automations.md."""

    entries: Entries = MISSING
    start: Start = MISSING
    nodes: Nodes = MISSING


class AutomationBody(GraphBody):
    """Inactive, whatever its graph; without one nobody enters."""

    model_config = needs("name")
    name: Name = MISSING
    reenter: Reenter = MISSING


class AutomationChanges(GraphBody):
    """`choices`: what becomes of people at nodes that change, as the impact offers it."""

    name: Name = MISSING
    reenter: Reenter = MISSING
    choices: Choices = MISSING


class DraftBody(GraphBody):
    """`revision`: of the draft that was read; when somebody else has saved meanwhile, nothing is."""

    revision: WholeOrNull = MISSING


class PublishBody(Body):
    choices: Choices = MISSING


class ActivateBody(Body):
    """`overdue`: whether those walk on whose time was over while it did not run, or leave; `older_than`: only those
    leave who are overdue for longer."""

    overdue: Annotated[Any, one_of_or_null(switching.WALK, switching.LEAVE)] = MISSING
    older_than: Span = MISSING


CHANGES = ("publish", "activate", "pause", "deactivate", "delete")
SEQUENCES = ("finish", "end")


class AutomationImpactBody(GraphBody):
    """`change` is `publish` unless given: of the draft, or of the graph that stands beside it."""

    change: Annotated[Any, one_of_or_null(*CHANGES)] = MISSING
    choices: Choices = MISSING
    overdue: Annotated[Any, one_of_or_null(switching.WALK, switching.LEAVE)] = MISSING
    older_than: Span = MISSING
    sequences: Annotated[Any, one_of_or_null(*SEQUENCES)] = MISSING


class MatchingBody(Body):
    """`again`: also whoever has been inside, if `reenter` is never."""

    again: YesNoOrNull = MISSING


EMPTY = AutomationBody()
ONCE = MatchingBody()
NO_CHOICE = PublishBody()
WALKING_ON = ActivateBody()
OF_DRAFT = AutomationImpactBody()


class AutomationFilters(Paging):
    status: Literal["inactive", "active", "paused"] | None = None


class RemovalFilters(Filters):
    """`sequences`: whether people are sent the rest of the sequences that it put them into, or these end."""

    sequences: Literal["finish", "end"] = "finish"


class AutomationAnswer(TypedDict):
    automation: shapes.AutomationShape


class AutomationsAnswer(TypedDict):
    automations: list[shapes.AutomationShape]
    pagination: Pagination


class AutomationDraftAnswer(TypedDict):
    draft: shapes.DraftShape


class AutomationImpactAnswer(TypedDict):
    impact: shapes.AutomationImpactShape


class UnseenAnswer(TypedDict):
    errors: list[str]
    impact: NotRequired[shapes.AutomationImpactShape]


class AutomationChecksAnswer(TypedDict):
    checks: shapes.AutomationChecksShape


# --- Automations --------------------------------------------------------------------------------------------------


@router.get("/automations", response=AutomationsAnswer, summary="List automations")
def list_automations(request: KitRequest, filters: Query[AutomationFilters]) -> HttpResponse:
    rows = verbs.of(request.auth.account)
    if filters.status is not None:
        rows = rows.filter(status=filters.status)
    found = page(rows, filters, "-id")
    return reply(200, automations=shapes.automations(found.rows, request.auth.account), pagination=found.pagination)


@router.post("/automations", response={201: AutomationAnswer}, summary="Create an automation")
def create_automation(request: KitRequest, body: AutomationBody = EMPTY) -> HttpResponse:
    """It is inactive: nobody enters before it is switched on, and nobody because of what happened before."""
    row = verbs.create(request.auth.account, body.given(), clock.now(), request.auth.actor)
    return reply(201, automation=shapes.automation(row))


@router.get("/automations/{int:id}", response=AutomationAnswer, summary="Get an automation")
def get_automation(request: KitRequest, id: int) -> HttpResponse:
    """As it is published."""
    return reply(200, automation=shapes.automation(automation_of(request, id)))


@router.put(
    "/automations/{int:id}", response={200: AutomationAnswer, 409: UnseenAnswer}, summary="Update an automation"
)
def update_automation(request: KitRequest, id: int, body: AutomationChanges) -> HttpResponse:
    """What is left out stays. Another graph is published at once while nobody is inside. Else it is refused with 409,
    which tells the impact, unless the impact's token comes along as `If-Match`. A draft there was is dropped."""
    row, given, now = automation_of(request, id), body.given(), clock.now()
    drawn = _drawn(given, graphs.as_json(verbs.published(row)))

    def publish(token: str | None) -> Automation:
        return _updated(row, given, drawn, now, request.auth.actor, token)

    def impact() -> AutomationImpact:
        graph = verbs.read(row, drawn or {})
        return automation_impact.of_publish(row, graph, now, given.get("choices"))

    return _unless_unseen(request, row, publish, impact)


@transaction.atomic
def _updated(
    row: Automation, given: Given, drawn: Given | None, now: datetime, actor: str, token: str | None
) -> Automation:
    """All of it, or the problems of all of it."""
    problems: list[Problem] = []
    try:
        if drawn is not None and verbs.save_draft(row, drawn, now, actor).draft is not None:
            publishing.publish(row, now, actor, token=token, choices=given.get("choices"))
    except Invalid as error:
        problems += error.problems
    try:
        row = verbs.update(row, given, now, actor)  # behind it: a change of the name would make the token void
    except Invalid as error:
        problems += error.problems
    if problems:
        raise Invalid(problems=problems)
    return row


@router.delete("/automations/{int:id}", response={204: None, 409: UnseenAnswer}, summary="Delete an automation")
def delete_automation(request: KitRequest, id: int, filters: Query[RemovalFilters]) -> HttpResponse:
    """Everybody leaves. While somebody is inside it is refused with 409, which tells the impact, unless the impact's
    token comes along as `If-Match`."""
    row, now, sequences = automation_of(request, id), clock.now(), filters.sequences

    def delete(token: str | None) -> None:
        removal.delete(row, now, request.auth.actor, sequences=sequences, token=token)

    return _unless_unseen(request, row, delete, lambda: automation_impact.of_removal(row, now, sequences), sequences)


@router.post("/automations/{int:id}/duplicate", response={201: AutomationAnswer}, summary="Duplicate an automation")
def duplicate_automation(request: KitRequest, id: int) -> HttpResponse:
    """The copy is inactive, and has the draft, too."""
    row = verbs.duplicate(automation_of(request, id), clock.now(), request.auth.actor)
    return reply(201, automation=shapes.automation(row))


@router.get("/automations/{int:id}/checks", response=AutomationChecksAnswer, summary="What is wrong with an automation")
def check_automation(request: KitRequest, id: int) -> HttpResponse:
    """Where people strand, wait for ever or get nothing, and what feeds itself; the gravest first."""
    row = automation_of(request, id)
    return reply(200, checks=shapes.checks(row, automation_checks.of([row], row.account, clock.now())[row.pk]))


# --- Drafts -------------------------------------------------------------------------------------------------------


@router.get("/automations/{int:id}/draft", response=AutomationDraftAnswer, summary="Get an automation's draft")
def get_draft(request: KitRequest, id: int) -> HttpResponse:
    """What is published, where nothing is unpublished."""
    return reply(200, draft=shapes.draft(automation_of(request, id)))


@router.put("/automations/{int:id}/draft", response=AutomationDraftAnswer, summary="Save an automation's draft")
def save_draft(request: KitRequest, id: int, body: DraftBody) -> HttpResponse:
    """Beside the graph that people walk through, until it is published. What is left out stays as it is in the draft,
    or published."""
    row, given = automation_of(request, id), body.given()
    before = row.draft or graphs.as_json(verbs.published(row))
    seen = Checked(given)
    seen.drop_nulls("revision")
    seen.whole_number("revision", 0, MAX_ID)
    revision = seen.sound().get("revision")
    saved = verbs.save_draft(row, _drawn(given, before) or before, clock.now(), request.auth.actor, seen=revision)
    return reply(200, draft=shapes.draft(saved))


@router.delete("/automations/{int:id}/draft", response={204: None}, summary="Drop an automation's draft")
def drop_draft(request: KitRequest, id: int) -> HttpResponse:
    verbs.drop_draft(automation_of(request, id), clock.now(), request.auth.actor)
    return no_content()


@router.post(
    "/automations/{int:id}/publish",
    response={200: AutomationAnswer, 409: UnseenAnswer},
    summary="Publish an automation's draft",
)
def publish_draft(request: KitRequest, id: int, body: PublishBody = NO_CHOICE) -> HttpResponse:
    """While somebody is inside it is refused with 409, which tells the impact, unless the impact's token comes along as
    `If-Match`."""
    row, choices, now = automation_of(request, id), body.given().get("choices"), clock.now()

    def publish(token: str | None) -> Automation:
        return publishing.publish(row, now, request.auth.actor, token=token, choices=choices)

    return _unless_unseen(request, row, publish, lambda: automation_impact.of_publish(row, None, now, choices))


# --- Switching ----------------------------------------------------------------------------------------------------


@router.post(
    "/automations/{int:id}/activate",
    response={200: AutomationAnswer, 409: UnseenAnswer},
    summary="Switch an automation on",
)
def activate_automation(request: KitRequest, id: int, body: ActivateBody = WALKING_ON) -> HttpResponse:
    """Nothing that happened while it was inactive lets anybody in. While somebody is inside it is refused with 409,
    which tells the impact, unless the impact's token comes along as `If-Match`."""
    row, now = automation_of(request, id), clock.now()
    overdue, older_than = _overdue(body.given())

    def activate(token: str | None) -> Automation:
        actor = request.auth.actor
        return switching.activate(row, now, actor, token=token, overdue=overdue, older_than=older_than)

    return _unless_unseen(request, row, activate, lambda: _of_switch(row, "activate", now, overdue, older_than))


@router.post("/automations/{int:id}/pause", response=AutomationAnswer, summary="Pause an automation")
def pause_automation(request: KitRequest, id: int) -> HttpResponse:
    """People enter and wait at the entry; nobody walks."""
    return _stopped(request, id, switching.pause)


@router.post("/automations/{int:id}/deactivate", response=AutomationAnswer, summary="Switch an automation off")
def deactivate_automation(request: KitRequest, id: int) -> HttpResponse:
    """Nobody enters, nobody walks; places are kept."""
    return _stopped(request, id, switching.deactivate)


def _stopped(request: KitRequest, automation_id: int, stop: Callable[..., Automation]) -> HttpResponse:
    """Stopping needs no token; one that comes along must be that of what is inside."""
    row = automation_of(request, automation_id)
    stopped = stop(row, clock.now(), request.auth.actor, token=_token(request))
    return reply(200, automation=shapes.automation(stopped))


# --- People who match already -------------------------------------------------------------------------------------


@router.post(
    "/automations/{int:id}/apply/impact",
    response=BulkActionCountAnswer,
    summary="Count who matches an automation's entries already",
)
def count_matching(request: KitRequest, id: int, body: MatchingBody = ONCE) -> HttpResponse:
    """For whom what lets people in is so now, who are outside and may be mailed; and how many of them would enter.
    Changes nothing. Send the token with `apply` as `If-Match`."""
    row, now = automation_of(request, id), clock.now()
    counted = of_automation.count(row, now, again=_again(body.given()))
    names = action_words.names_in(of_automation.sending(row, again=False), row.account_id)
    said = action_words.effects(counted, row.account.time_zone, names, now)
    answer = reply(200, count=counted_shape(counted, [str(one) for one in said], names))
    answer["ETag"] = f'"{counted.token}"'
    return answer


@router.post(
    "/automations/{int:id}/apply",
    response={202: BulkActionAnswer},
    summary="Put people who match already into an automation",
)
def apply_automation(request: KitRequest, id: int, body: MatchingBody = ONCE) -> HttpResponse:
    """As a bulk action. With a token it is refused with 412 if it would do something else by now."""
    row, again = automation_of(request, id), _again(body.given())
    begun = of_automation.begin(row, request.auth.actor, clock.now(), again=again, seen=_token(request))
    return reply(202, bulk_action=shown(begun, row.account))


def _again(given: Given) -> bool:
    read = Checked(given)
    read.drop_nulls("again")
    read.flag("again")
    return bool(read.sound().get("again", False))


# --- Impact -------------------------------------------------------------------------------------------------------


@router.post(
    "/automations/{int:id}/impact", response=AutomationImpactAnswer, summary="What a change would do to people"
)
def tell_impact(request: KitRequest, id: int, body: AutomationImpactBody = OF_DRAFT) -> HttpResponse:
    """Who stands where it changes something, where each goes, who walks on at once and who gets mail by it. Changes
    nothing. Send the token with the change as `If-Match`."""
    row, given, now = automation_of(request, id), body.given(), clock.now()
    read = Checked(given)
    read.drop_nulls("change", "sequences")
    read.choice("change", CHANGES)
    read.choice("sequences", SEQUENCES)
    values = read.sound()
    change = values.get("change", "publish")
    if change == "delete":
        sequences = values.get("sequences", "finish")
        return _told(row, automation_impact.of_removal(row, now, sequences), sequences)
    if change != "publish":
        return _told(row, _of_switch(row, change, now, *_overdue(given)))
    drawn = _drawn(given, row.draft or graphs.as_json(verbs.published(row)))
    choices = given.get("choices")
    if drawn is None:
        return _told(row, automation_impact.of_publish(row, None, now, choices))
    return _told(row, automation_impact.of_publish(row, verbs.read(row, drawn), now, choices))


def _told(row: Automation, impact: AutomationImpact, sequences: Sequences | None = None) -> HttpResponse:
    """sequences   of a deletion, what becomes of them"""
    answer = reply(200, impact=shapes.impact(impact, row, sequences))
    answer["ETag"] = f'"{impact.token}"'
    return answer


_STATUS_AFTER = {
    "activate": Automation.Status.ACTIVE,
    "pause": Automation.Status.PAUSED,
    "deactivate": Automation.Status.INACTIVE,
}


def _of_switch(
    row: Automation, change: str, now: datetime, overdue: switching.Overdue, older_than: timedelta | None
) -> AutomationImpact:
    return automation_impact.of_switch(row, _STATUS_AFTER[change], now, overdue=overdue, older_than=older_than)


def _unless_unseen(
    request: KitRequest,
    row: Automation,
    act: Callable[[str | None], Automation | None],
    impact: Callable[[], AutomationImpact],
    sequences: Sequences | None = None,
) -> HttpResponse:
    """Does it; or refuses, and tells what it would do to people, with the token that lets it."""
    try:
        done = act(_token(request))
    except Unseen as unseen:
        told = impact()
        answer = reply(409, errors=unseen.messages, impact=shapes.impact(told, row, sequences))
        answer["ETag"] = f'"{told.token}"'
        return answer
    return no_content() if done is None else reply(200, automation=shapes.automation(done))


def _token(request: KitRequest) -> str | None:
    header = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    return header or None


def _overdue(given: Given) -> tuple[switching.Overdue, timedelta | None]:
    """Raises Invalid."""
    read = Checked(given)
    read.drop_nulls("overdue", "older_than")
    read.choice("overdue", (switching.WALK, switching.LEAVE))
    span = None if given.get("older_than") is None else reading.span(read, "older_than")
    overdue = read.sound().get("overdue", switching.WALK)
    return overdue, None if span is None else timedelta(**span)


def _drawn(given: Given, before: dict[str, Any]) -> dict[str, Any] | None:
    """The graph that is meant; None: nothing is said of it."""
    said = {name: given[name] for name in GRAPH if name in given}
    return {**before, **said} if said else None


def automation_of(request: KitRequest, automation_id: int) -> Automation:
    """Raises NotFound."""
    return lookup.row(verbs.of(request.auth.account).select_related("account"), automation_id)
