"""What Kit has no call for about a subscriber."""

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.ext.deliveries import DeliveryAnswer
from dripstone.api.people import SubscriberAnswer, keys_for, person_of
from dripstone.api.replies import no_content, reply
from dripstone.engine import notices, transitions
from dripstone.engine.acts import forget
from dripstone.events import causes
from dripstone.shapes import deletions, person_file
from dripstone.shapes import deliveries as sequences
from dripstone.shapes import subscribers as shapes

router = Router(tags=["Subscribers"])


class PersonFileAnswer(TypedDict):
    file: person_file.PersonFileShape


class DeletionAnswer(TypedDict):
    deletion: deletions.DeletionShape


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


@router.get("/subscribers/{int:id}/file", response=PersonFileAnswer, summary="Get all that is kept of a subscriber")
def get_file(request: KitRequest, id: int) -> HttpResponse:
    """For somebody who asks what is known of them."""
    return reply(200, file=person_file.person_file(person_of(request, id), clock.now()))


@router.get("/subscribers/{int:id}/deletion", response=DeletionAnswer, summary="Foresee the deletion of a subscriber")
def foresee_deletion(request: KitRequest, id: int) -> HttpResponse:
    """What `DELETE /ext/v1/subscribers/{id}` would do now. Nothing is changed."""
    told = forget.foreseen(request.auth.account, id, clock.now())
    return reply(200, deletion=deletions.deletion(told))


@router.delete("/subscribers/{int:id}", response={204: None}, summary="Delete a subscriber")
def delete_subscriber(request: KitRequest, id: int) -> HttpResponse:
    """All that is kept of them goes; counts stay. If they had unsubscribed, bounced or complained, the address can be
    added again and has that state again."""
    forget.forget(request.auth.account, id, request.auth.actor, clock.now())
    return no_content()
