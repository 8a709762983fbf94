"""Rules: when something happens to a person, then do this. Kit has them in its app only."""

from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Flag, Name, YesNo, YesNoOrNull, needs
from dripstone.api.conditions import ConditionOrNull
from dripstone.api.ext.bulk_actions import BulkActionAnswer, BulkActionCountAnswer, counted_shape, seen_by, shown
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import person_of
from dripstone.api.replies import no_content, reply
from dripstone.bulk import action_words, of_rule
from dripstone.explain import rule_checks
from dripstone.given import MAX_ID, Checked
from dripstone.grammar import kinds
from dripstone.rules import log, verbs
from dripstone.rules.models import Firing, Rule
from dripstone.shapes import rules as shapes
from dripstone.triggers import reading, what, when

router = Router(tags=["Rules"])

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_ID_OR_NULL = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ID}
_TRIGGER = {
    "type": "object",
    "description": "`trigger`, and the members of its kind: docs/reference/api.md.",
    "required": ["trigger"],
    "properties": {
        "trigger": {"type": "string", "enum": [kind for kind in when.KINDS if kind != when.DATE]},
        "tag_id": _ID,
        "form_id": _ID_OR_NULL,
        "sequence_id": _ID,
        "product_id": _ID_OR_NULL,
        "custom_field_id": _ID,
        "value": {"type": ["string", "null"], "maxLength": kinds.MAX_VALUE},
        "days": {"type": ["integer", "null"], "minimum": -when.MOST_DAYS, "maximum": when.MOST_DAYS},
        "hour": {"type": ["integer", "null"], "minimum": 0, "maximum": 23},
        "yearly": {"type": ["boolean", "null"]},
        "url": {"type": ["string", "null"], "maxLength": when.LONGEST_URL},
    },
}
_ACTION = {
    "type": "object",
    "description": "`kind`, and the members of its kind: docs/reference/api.md.",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": [kind for kind in what.KINDS if kind not in (what.LEAVE_FORM, what.DELETE)]},
        "tag_id": _ID,
        "form_id": _ID,
        "sequence_id": _ID,
        "custom_field_id": _ID,
        "value": {"type": ["string", "null"], "maxLength": kinds.MAX_VALUE},
        "url": {"type": "string"},
        "body": {"type": ["object", "array", "string", "null"]},
        "text": {"type": "string", "maxLength": what.LONGEST_TEXT},
        "automation_id": _ID,
        "way": {"type": "string", "enum": list(what.WAYS)},
        "again": {"type": ["boolean", "null"]},
    },
}


def _listed(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": item, "minItems": 1, "maxItems": reading.MOST})


Triggers = Annotated[Any, _listed(_TRIGGER)]
Actions = Annotated[Any, _listed(_ACTION)]


class RuleBody(Body):
    """Off unless `active` is true; for everybody without a `condition`."""

    model_config = needs("name", "triggers", "actions")
    name: Name = MISSING
    triggers: Triggers = MISSING
    condition: ConditionOrNull = MISSING
    actions: Actions = MISSING
    active: YesNoOrNull = MISSING


EMPTY = RuleBody()


class RuleChanges(Body):
    name: Name = MISSING
    triggers: Triggers = MISSING
    condition: ConditionOrNull = MISSING
    actions: Actions = MISSING
    active: YesNo = MISSING


class RuleFilters(Paging):
    active: Flag | None = None


class LogFilters(Paging):
    outcome: Literal["fired", "not_fired"] | None = None


class RuleAnswer(TypedDict):
    rule: shapes.RuleShape


class RulesAnswer(TypedDict):
    rules: list[shapes.RuleShape]
    pagination: Pagination


class RuleChecksAnswer(TypedDict):
    checks: shapes.RuleChecksShape


class FiringsAnswer(TypedDict):
    log: list[shapes.FiringShape]
    pagination: Pagination


@router.get("/rules", response=RulesAnswer, summary="List rules")
def list_rules(request: KitRequest, filters: Query[RuleFilters]) -> HttpResponse:
    rows = verbs.of(request.auth.account)
    if filters.active is not None:
        rows = rows.filter(is_on=filters.active)
    found = page(rows, filters, "-id")
    return reply(200, rules=shapes.rules(found.rows, request.auth.account), pagination=found.pagination)


@router.post("/rules", response={201: RuleAnswer}, summary="Create a rule")
def create_rule(request: KitRequest, body: RuleBody = EMPTY) -> HttpResponse:
    """Nothing that happened before fires it."""
    row = verbs.create(request.auth.account, body.given(), clock.now(), request.auth.actor)
    return reply(201, rule=shapes.rule(row))


@router.get("/rules/{int:id}", response=RuleAnswer, summary="Get a rule")
def get_rule(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, rule=shapes.rule(_rule(request, id)))


@router.put("/rules/{int:id}", response=RuleAnswer, summary="Update a rule")
def update_rule(request: KitRequest, id: int, body: RuleChanges) -> HttpResponse:
    """What is left out stays. It holds for what is read after it."""
    row = verbs.update(_rule(request, id), body.given(), clock.now(), request.auth.actor)
    return reply(200, rule=shapes.rule(row))


@router.delete("/rules/{int:id}", response={204: None}, summary="Delete a rule")
def delete_rule(request: KitRequest, id: int) -> HttpResponse:
    """With its log. What it did stays done."""
    verbs.delete(_rule(request, id), clock.now())
    return no_content()


@router.post("/rules/{int:id}/duplicate", response={201: RuleAnswer}, summary="Duplicate a rule")
def duplicate_rule(request: KitRequest, id: int) -> HttpResponse:
    """The copy is off."""
    return reply(201, rule=shapes.rule(verbs.duplicate(_rule(request, id), clock.now(), request.auth.actor)))


@router.post("/rules/{int:id}/activate", response=RuleAnswer, summary="Switch a rule on")
def activate_rule(request: KitRequest, id: int) -> HttpResponse:
    """Nothing that happened while it was off fires it."""
    return _switched(request, id, on=True)


@router.post("/rules/{int:id}/deactivate", response=RuleAnswer, summary="Switch a rule off")
def deactivate_rule(request: KitRequest, id: int) -> HttpResponse:
    return _switched(request, id, on=False)


def _switched(request: KitRequest, rule_id: int, *, on: bool) -> HttpResponse:
    return reply(200, rule=shapes.rule(verbs.switch(_rule(request, rule_id), on, clock.now(), request.auth.actor)))


@router.get("/rules/{int:id}/checks", response=RuleChecksAnswer, summary="What is wrong with a rule")
def check_rule(request: KitRequest, id: int) -> HttpResponse:
    """Why it will never fire, do nothing, undo itself or go in a circle; the gravest first."""
    row = _rule(request, id)
    return reply(200, checks=shapes.checks(row, rule_checks.of([row], row.account, clock.now())[row.pk]))


# --- People who are there already ---------------------------------------------------------------------------------


class AppliedBody(Body):
    """`fire_rules`: whether what is done sets rules off; true unless given."""

    fire_rules: YesNoOrNull = MISSING


AS_USUAL = AppliedBody()


@router.post("/rules/{int:id}/impact", response=BulkActionCountAnswer, summary="Count what applying a rule would do")
def count_application(request: KitRequest, id: int) -> HttpResponse:
    """To people who are there already: for whom what sets it off is so now, and who meet its condition. Changes
    nothing. Send the token with `apply` as `If-Match`."""
    row, now = _rule(request, id), clock.now()
    counted = of_rule.count(row, now)
    names = action_words.names_in(row.actions, row.account_id)
    said = action_words.effects(counted, row.account.time_zone, names, now)
    answer = reply(200, count=counted_shape(counted, [str(one) for one in said], names))
    answer["ETag"] = f'"{counted.token}"'
    return answer


@router.post("/rules/{int:id}/apply", response={202: BulkActionAnswer}, summary="Apply a rule to people already there")
def apply_rule(request: KitRequest, id: int, body: AppliedBody = AS_USUAL) -> HttpResponse:
    """As a bulk action, whether the rule is on or off. With a token it is refused with 412 if it would do something
    else by now; a rule that unsubscribes people is refused without."""
    row, given = _rule(request, id), Checked(body.given())
    given.drop_nulls("fire_rules")
    given.flag("fire_rules")
    fires, seen = given.sound().get("fire_rules", True), seen_by(request, row.actions)
    begun = of_rule.begin(row, request.auth.actor, clock.now(), fire_rules=fires, seen=seen)
    return reply(202, bulk_action=shown(begun, row.account))


# --- The log ------------------------------------------------------------------------------------------------------


@router.get("/rules/{int:id}/log", response=FiringsAnswer, summary="What became of events at a rule")
def list_firings(request: KitRequest, id: int, filters: Query[LogFilters]) -> HttpResponse:
    """The newest first, kept for a year: each event that the rule heard of, whether it fired, and why not."""
    return _log(request, filters, log.of_rule(_rule(request, id)))


@router.get(
    "/subscribers/{int:id}/rules_log", response=FiringsAnswer, summary="What became of a subscriber's events at rules"
)
def list_firings_of_person(request: KitRequest, id: int, filters: Query[LogFilters]) -> HttpResponse:
    """The same about one person, of all rules that are there."""
    person = person_of(request, id)
    return _log(request, filters, log.of_person(request.auth.account.pk, person.pk))


def _log(request: KitRequest, filters: LogFilters, rows: QuerySet[Firing]) -> HttpResponse:
    if filters.outcome:
        rows = rows.filter(outcome=filters.outcome)
    found, account = page(rows, filters, "-id"), request.auth.account
    rules = verbs.of(account).in_bulk({row.rule_id for row in found.rows})
    shaped = shapes.firings([row for row in found.rows if row.rule_id in rules], rules, account)
    return reply(200, log=shaped, pagination=found.pagination)


def _rule(request: KitRequest, rule_id: int) -> Rule:
    return lookup.row(verbs.of(request.auth.account).select_related("account"), rule_id)
