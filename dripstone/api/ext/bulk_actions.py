"""Ours: something done to many people at once, counted before, cancelled and undone. Kit has it in its app only."""

from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, YesNoOrNull, needs
from dripstone.api.conditions import ConditionOrNull
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.bulk import action_words, actions
from dripstone.bulk.counting import Counted, Effect
from dripstone.bulk.models import BulkAction
from dripstone.conditions import reading
from dripstone.conditions.words import Names
from dripstone.errors import Invalid
from dripstone.given import MAX_ID
from dripstone.shapes.instants import instant
from dripstone.triggers import what

router = Router(tags=["Bulk actions"])

UNCOUNTED = "What unsubscribes or deletes people must be counted first: send the token of its count as If-Match"

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_ACTION = {
    "type": "object",
    "description": "What it names, by its kind. `unsubscribe` and `delete` must be last.",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string", "enum": list(what.KINDS)},
        "tag_id": _ID,
        "custom_field_id": _ID,
        "value": {"type": ["string", "null"]},
        "form_id": _ID,
        "sequence_id": _ID,
        "url": {"type": "string", "format": "uri"},
        "text": {"type": "string"},
        "automation_id": _ID,
        "way": {"type": "string", "enum": list(what.WAYS)},
        "again": {"type": ["boolean", "null"]},
    },
}
Ids = Annotated[
    Any, WithJsonSchema({"type": ["array", "null"], "items": _ID, "minItems": 1, "maxItems": actions.MOST_IDS})
]
Actions = Annotated[Any, WithJsonSchema({"type": "array", "items": _ACTION, "minItems": 1})]


class BulkActionBody(Body):
    """Either `filter` or `ids`. `fire_rules`: true unless given; with false no rule fires on what it changes."""

    model_config = needs("actions")
    filter: ConditionOrNull = MISSING
    ids: Ids = MISSING
    actions: Actions = MISSING
    fire_rules: YesNoOrNull = MISSING


NOTHING = BulkActionBody()


class FirstMailShape(TypedDict):
    """first_email_id   null: nothing is sent at first"""

    sequence_id: int
    waiting_to_confirm: int
    first_email_id: int | None
    first_subject: str | None
    first_at: str | None


class EffectShape(TypedDict):
    """changes   how many people it would change, at most where is_at_most; each action as things stand now
    is_gone   what it names was deleted
    """

    action: dict[str, Any]
    sentence: str
    changes: int
    asked_to_confirm: int
    is_at_most: bool
    is_gone: bool
    entering: FirstMailShape | None


class BulkActionCountShape(TypedDict):
    """why_nobody   what is wrong with the filter, so that nobody is meant; else null"""

    token: str
    people: int
    unmailable: int
    unknown_ids: int
    why_nobody: str | None
    summary: list[str]
    effects: list[EffectShape]


class PassedShape(TypedDict):
    reason: str
    reason_text: str
    people: int


class ReportedShape(TypedDict):
    action: dict[str, Any]
    sentence: str
    changed: int
    passed: list[PassedShape]


class UndoShape(TypedDict):
    """until     it may be undone; null: nothing of it can, or it has not ended
    undone    changes
    left      changes that were changed since
    """

    until: str | None
    asked_by: str | None
    undone: int
    left: int
    undone_at: str | None


class BulkActionShape(TypedDict):
    """looked_at   of `to_look_at` people: everybody there was, of whom the filter is asked, or the ids
    people      whom it was about, so far
    failed      of these, at whom it stumbled; the first hundred in failed_ids
    """

    id: int
    state: str
    why: str | None
    whom: str
    filter: dict[str, Any] | None
    actions: list[dict[str, Any]]
    sentence: str
    fire_rules: bool
    cause: list[str]
    asked_by: str
    asked_at: str
    ended_at: str | None
    to_look_at: int
    looked_at: int
    people: int
    failed: int
    failed_ids: list[int]
    report: list[ReportedShape]
    undo: UndoShape


class BulkActionCountAnswer(TypedDict):
    count: BulkActionCountShape


class BulkActionAnswer(TypedDict):
    bulk_action: BulkActionShape


class BulkActionsAnswer(TypedDict):
    bulk_actions: list[BulkActionShape]
    pagination: Pagination


class BulkActionFilters(Paging):
    state: Literal["running", "done", "cancelled", "failed", "undoing", "undone", "all"] = "all"


@router.post("/bulk_actions/count", response=BulkActionCountAnswer, summary="Count what a bulk action would do")
def count_bulk_action(request: KitRequest, body: BulkActionBody = NOTHING) -> HttpResponse:
    """Changes nothing. Send the token with the real call as `If-Match`: it is then refused with 412 if it would do
    something else by now, and whoever comes later is not meant. What unsubscribes or deletes is refused without."""
    account, now = request.auth.account, clock.now()
    asked = actions.read(body.given(), account.pk)
    counted = actions.count(account, asked.whom, asked.actions, now)
    names = action_words.names_in(asked.actions, account.pk)
    summary = [str(one) for one in action_words.effects(counted, account.time_zone, names, now)]
    answer = reply(200, count=counted_shape(counted, summary, names))
    answer["ETag"] = f'"{counted.token}"'
    return answer


@router.post("/bulk_actions", response={202: BulkActionAnswer}, summary="Begin a bulk action")
def begin_bulk_action(request: KitRequest, body: BulkActionBody = NOTHING) -> HttpResponse:
    """For everybody who meets the filter when their turn comes, each once, and for nobody who comes later; or for a
    list of ids. It is done in the background, the account's one after the other."""
    account = request.auth.account
    asked = actions.read(body.given(), account.pk)
    seen = seen_by(request, asked.actions)
    row = actions.begin(
        account,
        asked.whom,
        asked.actions,
        request.auth.actor,
        clock.now(),
        fire_rules=asked.fire_rules,
        seen=seen,
    )
    return reply(202, bulk_action=shown(row, account))


def seen_by(request: KitRequest, chosen: list[what.Action]) -> str | None:
    """The token of a count that comes with a call. Raises Invalid for what may not be done without."""
    seen = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not seen and actions.is_destructive(chosen):
        raise Invalid(UNCOUNTED)
    return seen or None


@router.get("/bulk_actions", response=BulkActionsAnswer, summary="List bulk actions")
def list_bulk_actions(request: KitRequest, filters: Query[BulkActionFilters]) -> HttpResponse:
    account = request.auth.account
    rows = actions.of_account(account.pk)
    found = page(rows if filters.state == "all" else rows.filter(state=filters.state), filters, "-id")
    return reply(200, bulk_actions=[shown(row, account) for row in found.rows], pagination=found.pagination)


@router.get("/bulk_actions/{int:id}", response=BulkActionAnswer, summary="Get a bulk action")
def get_bulk_action(request: KitRequest, id: int) -> HttpResponse:
    """How far it is, and what was done."""
    account = request.auth.account
    return reply(200, bulk_action=shown(lookup.row(actions.of_account(account.pk), id), account))


@router.post("/bulk_actions/{int:id}/cancel", response=BulkActionAnswer, summary="Cancel a bulk action")
def cancel_bulk_action(request: KitRequest, id: int) -> HttpResponse:
    """What was done stays done. 422 when it is over."""
    account = request.auth.account
    return reply(200, bulk_action=shown(actions.cancel(account, _id(account, id), clock.now()), account))


@router.post("/bulk_actions/{int:id}/undo", response={202: BulkActionAnswer}, summary="Undo a bulk action")
def undo_bulk_action(request: KitRequest, id: int) -> HttpResponse:
    """Its tags and fields, within a day of its end, where they still are as it left them. In the background, too."""
    account = request.auth.account
    row = actions.undo(account, _id(account, id), request.auth.actor, clock.now())
    return reply(202, bulk_action=shown(row, account))


def _id(account: Account, id: int) -> int:
    """Raises NotFound, also for an id that no column can hold."""
    return lookup.row(actions.of_account(account.pk), id).pk


def counted_shape(counted: Counted, summary: list[str], names: Names) -> BulkActionCountShape:
    return BulkActionCountShape(
        token=counted.token,
        people=counted.n_people,
        unmailable=counted.n_unmailable,
        unknown_ids=counted.n_unknown,
        why_nobody=counted.why_nobody or None,
        summary=summary,
        effects=[_effect(one, names) for one in counted.effects],
    )


def _effect(effect: Effect, names: Names) -> EffectShape:
    return EffectShape(
        action=effect.action,
        sentence=what.words(effect.action, names),
        changes=effect.n_changed,
        asked_to_confirm=effect.n_asked,
        is_at_most=effect.is_at_most,
        is_gone=effect.is_gone,
        entering=_first_mail(effect),
    )


def _first_mail(effect: Effect) -> FirstMailShape | None:
    entering = effect.entering
    if entering is None:
        return None
    email, at = entering.first or (None, None)
    return FirstMailShape(
        sequence_id=entering.sequence.pk,
        waiting_to_confirm=entering.n_unconfirmed,
        first_email_id=email.pk if email else None,
        first_subject=email.subject if email else None,
        first_at=instant(at) if at else None,
    )


def shown(row: BulkAction, account: Account) -> BulkActionShape:
    names = action_words.names_in(row.actions, account.pk)
    report = action_words.report(row, names)
    may_be_undone = actions.why_no_undo(row, clock.now()) is None and row.ended_at is not None
    return BulkActionShape(
        id=row.pk,
        state=row.state,
        why=action_words.WHY.get(row.why) if row.why else None,
        whom=action_words.whom_of(row),
        filter=None if row.filter is None else reading.as_given(row.filter, account.pk),
        actions=row.actions,
        sentence=what.sentence(row.actions, names),
        fire_rules=row.fires_rules,
        cause=[f"bulk {row.pk}", *row.because],
        asked_by=row.asked_by,
        asked_at=instant(row.asked_at),
        ended_at=instant(row.ended_at) if row.ended_at else None,
        to_look_at=row.n_to_look_at,
        looked_at=row.n_looked_at,
        people=row.n_met,
        failed=row.n_failed,
        failed_ids=row.failed_ids,
        report=[
            ReportedShape(
                action=one.action,
                sentence=one.sentence,
                changed=one.n_changed,
                passed=[PassedShape(reason=each.reason, reason_text=each.text, people=each.n) for each in one.passed],
            )
            for one in report
        ],
        undo=UndoShape(
            until=instant(row.ended_at + actions.MAY_BE_UNDONE) if may_be_undone and row.ended_at else None,
            asked_by=row.undo_asked_by or None,
            undone=row.n_undone,
            left=row.n_left,
            undone_at=instant(row.undone_at) if row.undone_at else None,
        ),
    )
