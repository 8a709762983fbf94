"""If-Match: do this only if it will do what its impact said (docs/decisions/impact.md).

A token has two parts, `world-call`: the state of the sequence and all places in it, and the call that was asked about.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from dripstone.api.auth import KitRequest
from dripstone.errors import PreconditionFailed
from dripstone.foresight import impact
from dripstone.sequences import verbs

CHANGED = "The sequence has changed since its impact was told: ask for it again"
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
    header = request.headers.get("If-Match", "").strip()
    if not header:
        yield
        return
    with transaction.atomic():
        verbs.lock(request.auth.account, sequence_id)
        if header != "*":
            current = token(impact.world(sequence_id), request.method or "", request.path_info, given)
            _check(re.findall(r'[^\s",]+', header.replace("W/", "")), current)
        yield


def _check(offered: list[str], current: str) -> None:
    if current in offered:
        return
    world = current.partition("-")[0]
    is_other = any(one.partition("-")[0] == world for one in offered)
    raise PreconditionFailed(OTHER_CALL if is_other else CHANGED)
