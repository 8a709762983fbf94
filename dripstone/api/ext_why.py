"""Why: what becomes of each email for one person, and what keeps a sequence from sending."""

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.replies import reply
from dripstone.engine.models import Enrollment
from dripstone.explain import health, journey
from dripstone.sequences.models import Sequence
from dripstone.shapes import why as shapes

router = Router(tags=["Why"])


class JourneyAnswer(TypedDict):
    journey: shapes.JourneyShape


class HealthAnswer(TypedDict):
    health: shapes.HealthShape


@router.get("/enrollments/{int:id}/journey", response=JourneyAnswer, summary="One person's way through a sequence")
def get_journey(request: KitRequest, id: int) -> HttpResponse:
    """Each email: sent when, or coming when, with the rule and the figures that led to it, or why it has no date."""
    places = Enrollment.objects.filter(account=request.auth.account)
    row = lookup.row(places.select_related("sequence", "subscriber"), id)
    return reply(200, journey=shapes.journey(journey.of(row, clock.now())))


@router.get("/sequences/{int:id}/health", response=HealthAnswer, summary="Why a sequence does not send")
def get_health(request: KitRequest, id: int) -> HttpResponse:
    """Findings, the gravest first, each with the call that mends it. A healthy sequence says what goes out next."""
    rows = Sequence.objects.filter(account=request.auth.account, deleted_at=None)
    row = lookup.row(rows.select_related("account", "sending_address", "email_template"), id)
    (found,) = health.of([row], clock.now(), clock.system_now())
    return reply(200, health=shapes.health(found))
