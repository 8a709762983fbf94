"""What Kit has no call for about a subscriber."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, needs
from dripstone.api.conditions import ConditionOrNull
from dripstone.api.ext.deliveries import DeliveryAnswer
from dripstone.api.people import SubscriberAnswer, keys_for, person_of
from dripstone.api.replies import reply
from dripstone.conditions import matching, reading, words
from dripstone.engine import notices, transitions
from dripstone.engine.acts import reinstating
from dripstone.events import causes
from dripstone.given import Checked
from dripstone.shapes import deliveries as sequences
from dripstone.shapes import subscribers as shapes

router = Router(tags=["Subscribers"])

_WHY = {"type": "string", "minLength": 1, "maxLength": reinstating.MAX_WHY, "pattern": r"\S"}


class WhyBody(Body):
    model_config = needs("why")
    why: Annotated[Any, WithJsonSchema(_WHY)] = MISSING


UNSAID = WhyBody()


class CountBody(Body):
    filter: ConditionOrNull = MISSING


EVERYBODY = CountBody()


class CountAnswer(TypedDict):
    count: int
    sentence: str
    problem: str | None


@router.post("/subscribers/count", response=CountAnswer, summary="Count subscribers who meet a condition")
def count_subscribers(request: KitRequest, body: CountBody = EVERYBODY) -> HttpResponse:
    """Exactly, and of every state. Nothing is saved. A `filter` of null, or none, is everybody; `problem` says why
    nobody can meet it."""
    account, read = request.auth.account, Checked(body.given())
    condition = reading.read(read, "filter", account.pk)
    read.raise_problems()
    return reply(
        200,
        count=matching(condition, account, clock.now()).count(),
        sentence=f"People who {words.sentence(condition, account.pk)}.",
        problem=words.problem(condition, account.pk) or None,
    )


@router.post("/subscribers/{int:id}/confirmation", response=SubscriberAnswer, summary="Confirm a subscriber")
def confirm_subscriber(request: KitRequest, id: int) -> HttpResponse:
    """For people whose consent is on record elsewhere: inactive becomes active, and their sequences start now."""
    person = person_of(request, id)
    transitions.confirm(person.pk, clock.now(), cause=causes.API)
    person.refresh_from_db()
    return reply(200, subscriber=shapes.subscriber(person, keys_for(request)))


@router.post(
    "/subscribers/{int:id}/confirmation_request",
    response={201: DeliveryAnswer},
    summary="Ask a subscriber to confirm",
)
def request_confirmation(request: KitRequest, id: int) -> HttpResponse:
    """Sends the double opt-in mail; its link makes them active. 422 for people who are not inactive, and within five
    minutes of the last such mail."""
    delivery = notices.confirmation(person_of(request, id).pk, clock.now())
    return reply(201, delivery=sequences.delivery(delivery))


@router.post("/subscribers/{int:id}/reinstatement", response=SubscriberAnswer, summary="Reinstate who complained")
def reinstate_subscriber(request: KitRequest, id: int, body: WhyBody = UNSAID) -> HttpResponse:
    """The owner answers for it that somebody who reported an email as spam wants mail again: they become active, and
    `why` stays in their history. 422 for anybody else."""
    person = person_of(request, id)
    reinstating.reinstate(person.pk, body.given(), clock.now(), cause=causes.API)
    person.refresh_from_db()
    return reply(200, subscriber=shapes.subscriber(person, keys_for(request)))
