"""Ours: the clock, and moving the virtual one."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, must, read_instant
from dripstone.api.repeats import in_parts
from dripstone.api.replies import reply
from dripstone.bulk import run as bulk
from dripstone.engine import virtual
from dripstone.errors import Invalid
from dripstone.imports import work as imports
from dripstone.shapes.instants import instant
from dripstone.webhooks import run as webhooks

router = Router(tags=["Clock"])

LONGEST = 100 * 366 * 86_400  # seconds; a century is more than any rehearsal needs


class ClockShape(TypedDict):
    now: str
    virtual: bool


class ClockAnswer(TypedDict):
    clock: ClockShape


class AdvanceAnswer(ClockAnswer):
    sent: int
    failed: int


class Advance(Body):
    """How far, or until when: one of the two."""

    seconds: Annotated[int, Field(ge=0, le=LONGEST), must(f"must be an integer between 0 and {LONGEST}")] | None = None
    to: Annotated[datetime, BeforeValidator(read_instant)] | None = None


@router.get("/clock", response=ClockAnswer, summary="What time it is")
def get_clock(request: KitRequest) -> HttpResponse:
    return reply(200, clock=_shape())


@router.post("/clock/advance", response=AdvanceAnswer, summary="Move the virtual clock")
@in_parts
def advance_clock(request: KitRequest, body: Advance) -> HttpResponse:
    """The engine does everything due on the way, each thing at its own instant, and this answers when it is idle."""
    if not clock.is_virtual():
        raise Invalid("The clock is not virtual: start with DRIPSTONE_VIRTUAL_CLOCK=1")
    now = clock.now()
    target = _target(body, now)
    if target < now:
        raise Invalid("The clock cannot be moved backwards")
    tally = virtual.advance_to(target, request.auth.account.pk, bulk, imports, webhooks)
    return reply(200, clock=_shape(), sent=tally["sent"], failed=tally["failed"])


def _target(body: Advance, now: datetime) -> datetime:
    if body.seconds is not None and body.to is not None:
        raise Invalid("Give either seconds or to, not both")
    if body.seconds is None and body.to is None:
        raise Invalid("Either seconds or to must be given")
    return body.to or now + timedelta(seconds=body.seconds or 0)


def _shape() -> dict[str, Any]:
    return {"now": instant(clock.now()), "virtual": clock.is_virtual()}
