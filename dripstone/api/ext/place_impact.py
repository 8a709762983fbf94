"""What an act on one person's place would do to them, shown before it is done (docs/decisions/impact.md)."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match, lookup
from dripstone.api.auth import KitRequest
from dripstone.api.ext.acting import Act
from dripstone.api.ext.enrollments import Move, moving
from dripstone.api.ext.impact import ImpactBody, id_in
from dripstone.api.replies import reply
from dripstone.engine import notes
from dripstone.engine.acts import places, undecided
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.explain import place_impact
from dripstone.given import Given
from dripstone.shapes import place_impact as shapes

router = Router(tags=["Impact"])


class PlaceImpactAnswer(TypedDict):
    impact: shapes.PlaceImpactShape


def _plain(act: Act) -> Callable[[Given], Act]:
    """It takes nothing from the body but the reason."""
    return lambda _: act


# What can be proposed, by the end of its path; each makes the act of what the body says.
ACTS: Mapping[tuple[str, str], Callable[[Given], Act]] = {
    ("enrollments", "pause"): _plain(places.pause),
    ("enrollments", "resume"): _plain(places.resume),
    ("enrollments", "skip"): _plain(places.skip),
    ("enrollments", "send_now"): _plain(places.send_now),
    ("enrollments", "move"): moving,
    ("enrollments", "restart"): _plain(places.restart),
    ("enrollments", "remove"): _plain(places.remove),
    ("deliveries", "send_again"): _plain(undecided.send_again),
    ("deliveries", "treat_as_sent"): _plain(undecided.treat_as_sent),
}
_PATH = re.compile(r"/ext/v1/([a-z]+)/(\d+)/([a-z_]+)")


@router.post("/enrollments/{int:id}/impact", response=PlaceImpactAnswer, summary="What an act on a place would do")
def tell_impact(request: KitRequest, id: int, body: ImpactBody) -> HttpResponse:
    """Changes nothing, and refuses what the real call would refuse. Send the token with the real call as `If-Match`: it
    is then refused with 412 if the person's place, or what it depends on, has changed since."""
    place = lookup.row(Enrollment.objects.filter(account=request.auth.account), id)
    change, now = body.change, clock.now()
    path = urlsplit(change.path).path
    make, row_id = _act(change.method, path, place)
    given = Move.model_validate({} if change.body is None else change.body).given()
    act = partial(make(given), row_id, request.auth.actor, notes.reason_of(given), now)
    told = place_impact.of(place.sequence_id, place.subscriber_id, act, now)
    token = if_match.token(told.world, change.method, path, given)
    answer = reply(200, impact=shapes.place_impact(told, token))
    answer["ETag"] = f'"{token}"'
    return answer


def _act(method: str, path: str, place: Enrollment) -> tuple[Callable[[Given], Act], int]:
    """And the id of the row it is about, which has to be this place or a delivery to it."""
    found = _PATH.fullmatch(path)
    make = ACTS.get((found[1], found[3])) if found is not None and method == "POST" else None
    if found is None or make is None:
        raise Invalid(f"change must be one of: {', '.join(_shown(noun, name, place) for noun, name in ACTS)}")
    row_id = id_in(found[2])
    if found[1] == "enrollments" and row_id != place.pk:
        raise Invalid(f"change.path must be a call on enrollment {place.pk}")
    if found[1] == "deliveries" and not Delivery.objects.filter(pk=row_id, enrollment=place).exists():
        raise NotFound
    return make, row_id


def _shown(noun: str, name: str, place: Enrollment) -> str:
    return f"POST /ext/v1/{noun}/{place.pk if noun == 'enrollments' else '{delivery_id}'}/{name}"
