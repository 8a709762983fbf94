"""If-Match: do this only if it will do what its impact said (docs/decisions/impact.md).

A token has two parts, `world-call`: the state of the sequence and all places in it, or of one place alone; and the call
that was asked about.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from dripstone.api.auth import KitRequest
from dripstone.engine.models import Enrollment
from dripstone.errors import PreconditionFailed
from dripstone.foresight import impact, impact_of_place
from dripstone.sequences import verbs

CHANGED = "The sequence has changed since its impact was told: ask for it again"
MOVED = "This person's place has changed since its impact was told: ask for it again"
OTHER_CALL = "This token was given for another change: ask for the impact of this one"


def token(world: str, method: str, path: str, given: Mapping[str, Any] | None = None) -> str:
    """`given`: the members of the body that we know, None for calls without one."""
    call = json.dumps([method.upper(), path, given], sort_keys=True)
    return f"{impact.figure(world)}-{impact.figure(call)}"


@contextmanager
def held(request: KitRequest, sequence_id: int, given: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Around an edit: checks the caller's token in the edit's own transaction, after nothing else can edit or plan.

    Without the header it does nothing. Raises PreconditionFailed and NotFound.
    """
    if not _header(request):
        yield
        return
    with transaction.atomic():
        verbs.lock(request.auth.account, sequence_id)
        _check(request, lambda: impact.world(sequence_id), given, CHANGED)
        yield


@contextmanager
def held_place(request: KitRequest, place: Enrollment | None, given: Mapping[str, Any]) -> Iterator[None]:
    """The same around an act on one person's place. None: it is about no place, and there is nothing to compare."""
    if place is None or not _header(request):
        yield
        return
    with transaction.atomic():
        impact_of_place.hold(place.sequence_id, place.subscriber_id)
        _check(request, lambda: impact_of_place.world(place.sequence_id, place.subscriber_id), given, MOVED)
        yield


def _header(request: KitRequest) -> str:
    return request.headers.get("If-Match", "").strip()


def _check(request: KitRequest, world: Callable[[], str], given: Mapping[str, Any] | None, changed: str) -> None:
    header = _header(request)
    if header == "*":
        return
    offered = re.findall(r'[^\s",]+', header.replace("W/", ""))
    current = token(world(), request.method or "", request.path_info, given)
    if current in offered:
        return
    known = current.partition("-")[0]
    is_other = any(one.partition("-")[0] == known for one in offered)
    raise PreconditionFailed(OTHER_CALL if is_other else changed)
