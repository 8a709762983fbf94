"""What Kit has no call for about a sequence: why it does not send, new dates for the people who wait, a copy."""

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.replies import reply
from dripstone.api.v4.sequences import SequenceAnswer, shapes_of
from dripstone.engine.acts import edits
from dripstone.explain import health
from dripstone.sequences.models import Sequence
from dripstone.shapes import health as shapes

router = Router(tags=["Sequences"])


class HealthAnswer(TypedDict):
    health: shapes.HealthShape


@router.get("/sequences/{int:id}/health", response=HealthAnswer, summary="Why a sequence does not send")
def get_health(request: KitRequest, id: int) -> HttpResponse:
    """Findings, the gravest first, each with the call that mends it. A healthy sequence says what goes out next."""
    rows = Sequence.objects.filter(account=request.auth.account, deleted_at=None)
    row = lookup.row(rows.select_related("account", "sending_address", "email_template"), id)
    (found,) = health.of([row], clock.now(), clock.system_now())
    return reply(200, health=shapes.health(found))


@router.post("/sequences/{int:id}/reschedule", response={202: dict[str, str]}, summary="Reschedule waiting people")
def reschedule(request: KitRequest, id: int) -> HttpResponse:
    """People who wait for an email get a new date, by today's delays and schedule. Done in the background."""
    with if_match.held(request, id):
        edits.reschedule(request.auth.account, id, clock.now(), request.auth.actor)
    return reply(202)


@router.post("/sequences/{int:id}/duplicate", response={201: SequenceAnswer}, summary="Duplicate a sequence")
def duplicate_sequence(request: KitRequest, id: int) -> HttpResponse:
    """The same settings and the same emails, all of them drafts, and nobody inside."""
    done = edits.duplicate_sequence(request.auth.account, id, clock.now(), request.auth.actor)
    return reply(201, sequence=shapes_of([done.sequence])[0])
