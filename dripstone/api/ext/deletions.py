"""What somebody may ask for by law: to be told what is kept of them, and to be deleted."""

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.people import person_of
from dripstone.api.replies import no_content, reply
from dripstone.engine.acts import forget
from dripstone.shapes import deletions, person_file

router = Router(tags=["Subscribers"])


class PersonFileAnswer(TypedDict):
    file: person_file.PersonFileShape


class DeletionAnswer(TypedDict):
    deletion: deletions.DeletionShape


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
