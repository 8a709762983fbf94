"""What Kit has no call for about a subscriber."""

from django.http import HttpResponse
from ninja import Router

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.ext.deliveries import DeliveryAnswer
from dripstone.api.people import SubscriberAnswer, keys_for, person_of
from dripstone.api.replies import reply
from dripstone.engine import notices, transitions
from dripstone.events import causes
from dripstone.shapes import deliveries as sequences
from dripstone.shapes import subscribers as shapes

router = Router(tags=["Subscribers"])


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
