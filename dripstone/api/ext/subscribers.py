"""What Kit has no call for about a subscriber."""

from django.http import HttpResponse
from ninja import Router

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.people import SubscriberAnswer, keys_for, person_of
from dripstone.api.replies import reply
from dripstone.engine import transitions
from dripstone.events import causes
from dripstone.shapes import subscribers as shapes

router = Router(tags=["Subscribers"])


@router.post("/subscribers/{int:id}/confirmation", response=SubscriberAnswer, summary="Confirm a subscriber")
def confirm_subscriber(request: KitRequest, id: int) -> HttpResponse:
    """For people whose consent is on record elsewhere: inactive becomes active, and their sequences start now."""
    person = person_of(request, id)
    transitions.confirm(person.pk, clock.now(), cause=causes.API)
    person.refresh_from_db()
    return reply(200, subscriber=shapes.subscriber(person, keys_for(request)))
