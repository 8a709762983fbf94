"""People in automations: who is inside, put in, moved and taken out by hand; and the log."""

from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Filters, Flag, YesNoOrNull, needs
from dripstone.api.ext.automations import Start, automation_of
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.people import person_of
from dripstone.api.replies import no_content, reply
from dripstone.automations import people
from dripstone.automations.graph import AT_ENTRY
from dripstone.automations.models import Automation, Step, Walk
from dripstone.events import causes
from dripstone.explain import automation_journey, not_entered, walk_words
from dripstone.given import Checked
from dripstone.shapes import automation_journey as journey_shapes
from dripstone.shapes import automations as shapes
from dripstone.subscribers.models import Subscriber

router = Router(tags=["Automations"])


class WalkFilters(Paging):
    """Those inside, unless `status` says otherwise. `node`: its id; `at_entry`: those who have not walked yet."""

    status: Literal["inside", "left", "completed", "all"] = "inside"
    node: str | None = None
    at_entry: Flag = False


class StepFilters(Paging):
    what: Literal["entered", "not_entered", "walked", "pulled", "moved", "left"] | None = None


class AddedBody(Body):
    """`again`: also if `reenter` is never and they have been inside."""

    again: YesNoOrNull = MISSING


class MovedBody(Body):
    """`node`: ahead of them in the same run, anywhere else in a new one. `keep_place`: of the sequence at which they
    stand they are sent the rest."""

    model_config = needs("node")
    node: Start = MISSING
    keep_place: YesNoOrNull = MISSING


class TakenOutFilters(Filters):
    keep_place: Flag = False


AS_USUAL = AddedBody()


class WalksAnswer(TypedDict):
    walks: list[shapes.WalkShape]
    pagination: Pagination


class WalksOfPersonAnswer(TypedDict):
    walks: list[shapes.WalkShape]


class WalkJourneyAnswer(TypedDict):
    journey: journey_shapes.WalkJourneyShape


class AddedAnswer(TypedDict):
    """`reason`: why they did not enter; null when they did. `walk`: where they stand; null: they have left again."""

    entered: bool
    reason: str | None
    reason_text: str | None
    walk: shapes.WalkShape | None


class WalkAnswer(TypedDict):
    """null: they have walked on, and left."""

    walk: shapes.WalkShape | None


class StepsAnswer(TypedDict):
    log: list[shapes.LineShape]
    pagination: Pagination


@router.get("/automations/{int:id}/people", response=WalksAnswer, summary="List who is inside an automation")
def list_walks(request: KitRequest, id: int, filters: Query[WalkFilters]) -> HttpResponse:
    """Newest first: where each stands, and until when."""
    row = automation_of(request, id)
    rows = Walk.objects.filter(automation=row.pk, **_STATUSES[filters.status])
    if filters.node is not None:
        rows = rows.filter(node=filters.node)
    if filters.at_entry:
        rows = rows.filter(node=AT_ENTRY)
    found = page(rows, filters, "-id")
    return reply(200, walks=shapes.walks(found.rows, row), pagination=found.pagination)


_STATUSES: dict[str, dict[str, Any]] = {
    "inside": {"left_at": None},
    "left": {"left_at__isnull": False, "is_completed": False},
    "completed": {"is_completed": True},
    "all": {},
}


@router.get(
    "/automations/{int:id}/people/{int:subscriber_id}",
    response=WalksOfPersonAnswer,
    summary="Get a person's runs through an automation",
)
def get_walks_of_person(request: KitRequest, id: int, subscriber_id: int) -> HttpResponse:
    """The newest first; none where they never were inside."""
    row, person = _both(request, id, subscriber_id)
    found = Walk.objects.filter(automation=row.pk, subscriber_id=person.pk).order_by("-run")
    return reply(200, walks=shapes.walks(found, row))


@router.post(
    "/automations/{int:id}/people/{int:subscriber_id}",
    response={200: AddedAnswer, 201: AddedAnswer},
    summary="Put a person into an automation",
)
def add_person(request: KitRequest, id: int, subscriber_id: int, body: AddedBody = AS_USUAL) -> HttpResponse:
    """201 when they entered; 200 when they did not, with the reason."""
    row, person = _both(request, id, subscriber_id)
    given = Checked(body.given())
    given.drop_nulls("again")
    given.flag("again")
    again = given.sound().get("again", False)
    why = people.add(row, [person.pk], clock.now(), cause=causes.API, again=again).get(person.pk, "")
    now_at = people.walk_of(row, person.pk)
    return reply(
        200 if why else 201,
        entered=not why,
        reason=why or None,
        reason_text=walk_words.WHY_NOT.get(why) if why else None,
        walk=None if now_at is None else shapes.walk(now_at, row),
    )


@router.put(
    "/automations/{int:id}/people/{int:subscriber_id}",
    response=WalkAnswer,
    summary="Move a person to a node of an automation",
)
def move_person(request: KitRequest, id: int, subscriber_id: int, body: MovedBody) -> HttpResponse:
    """They stand there then, and walk on as they would by themselves."""
    row, person = _both(request, id, subscriber_id)
    given = Checked(body.given(), required=("node",))
    given.words("node")
    given.drop_nulls("keep_place")
    given.flag("keep_place")
    values = given.sound()
    keep_place = values.get("keep_place", False)
    now_at = people.move(row, person.pk, values["node"], clock.now(), cause=causes.API, keep_place=keep_place)
    return reply(200, walk=None if now_at is None else shapes.walk(now_at, row))


@router.delete(
    "/automations/{int:id}/people/{int:subscriber_id}",
    response={204: None},
    summary="Take a person out of an automation",
)
def remove_person(request: KitRequest, id: int, subscriber_id: int, filters: Query[TakenOutFilters]) -> HttpResponse:
    """`keep_place`: of the sequence at which they stand they are sent the rest."""
    row, person = _both(request, id, subscriber_id)
    people.remove(row, person.pk, clock.now(), cause=causes.API, keep_place=filters.keep_place)
    return no_content()


@router.get(
    "/automations/{int:id}/people/{int:subscriber_id}/journey",
    response=WalkJourneyAnswer,
    summary="What comes for a person in an automation, or why they did not enter",
)
def get_walk_journey(request: KitRequest, id: int, subscriber_id: int) -> HttpResponse:
    """Dates as far as the way is decided, and what the rest depends on."""
    row, person = _both(request, id, subscriber_id)
    walk, now = people.walk_of(row, person.pk), clock.now()
    if walk is None:
        why = not_entered.of(row, person, now).sentences
        return reply(200, journey=journey_shapes.outside(row.pk, person.pk, why))
    return reply(200, journey=journey_shapes.inside(automation_journey.of_walk(walk, row, person, now)))


def _both(request: KitRequest, automation_id: int, subscriber_id: int) -> tuple[Automation, Subscriber]:
    """Raises NotFound."""
    return automation_of(request, automation_id), person_of(request, subscriber_id)


# --- The log ------------------------------------------------------------------------------------------------------


@router.get("/automations/{int:id}/log", response=StepsAnswer, summary="What happened to people at an automation")
def list_steps(request: KitRequest, id: int, filters: Query[StepFilters]) -> HttpResponse:
    """The newest first, kept for a year: who entered and by what, each step with its reason, who did not enter or left,
    and why."""
    return _log(request, filters, Step.objects.filter(automation_id=automation_of(request, id).pk))


@router.get(
    "/subscribers/{int:id}/automations_log",
    response=StepsAnswer,
    summary="What happened to a subscriber at automations",
)
def list_steps_of_person(request: KitRequest, id: int, filters: Query[StepFilters]) -> HttpResponse:
    """The same about one person, of all automations that are there."""
    person = person_of(request, id)
    return _log(request, filters, Step.objects.filter(subscriber_id=person.pk, account_id=person.account_id))


def _log(request: KitRequest, filters: StepFilters, rows: QuerySet[Step]) -> HttpResponse:
    if filters.what:
        rows = rows.filter(what=filters.what)
    found = page(rows, filters, "-id")
    return reply(200, log=shapes.log(found.rows, request.auth.account), pagination=found.pagination)
