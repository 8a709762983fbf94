"""What a change would do to the people in a sequence, shown before it is made (docs/decisions/impact.md)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.http import HttpResponse
from ninja import Router
from pydantic import BeforeValidator, WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match
from dripstone.api.auth import KitRequest
from dripstone.api.body import Body, Part
from dripstone.api.ext.sequence_emails import FilterBody
from dripstone.api.replies import reply
from dripstone.api.v4.sequence_emails import EmailBody, EmailChanges
from dripstone.api.v4.sequences import SequenceChanges, sequence_of
from dripstone.errors import Invalid, NotFound
from dripstone.foresight import impact
from dripstone.sequences.verbs import Edit
from dripstone.shapes import impact as shapes

router = Router(tags=["Impact"])

Method = Annotated[
    Literal["POST", "PUT", "DELETE"], BeforeValidator(lambda name: name.upper() if isinstance(name, str) else name)
]
Json = Annotated[Any, WithJsonSchema({"type": ["object", "null"], "additionalProperties": True})]


class Change(Part):
    """The call itself, as it would be made."""

    method: Method
    path: str
    body: Json = None


def _call_as_object(value: Any) -> Any:
    if value is not None and not isinstance(value, dict):
        raise ValueError("must be an object: the method, path and body of the call")
    return value


class ImpactBody(Body):
    change: Annotated[Change, BeforeValidator(_call_as_object)]


class ImpactAnswer(TypedDict):
    impact: shapes.ImpactShape


@dataclass(frozen=True, slots=True)
class Call:
    """A change that can be proposed. `body`: what its members may be, None when it takes none."""

    method: str
    path: re.Pattern[str]
    verb: Callable[..., Edit]
    body: type[Body] | None = None
    needs_body: bool = False  # as for the real call


_EMAILS = r"/v4/sequences/(\d+)/emails"
_OUR_EMAIL = r"/ext/v1/sequences/(\d+)/emails/(\d+)"
CALLS = (
    Call("PUT", re.compile(r"/v4/sequences/(\d+)"), impact.update_sequence, SequenceChanges, needs_body=True),
    Call("DELETE", re.compile(r"/v4/sequences/(\d+)"), impact.delete_sequence),
    Call("POST", re.compile(_EMAILS), impact.create_email, EmailBody),
    Call("PUT", re.compile(_EMAILS + r"/(\d+)"), impact.update_email, EmailChanges, needs_body=True),
    Call("DELETE", re.compile(_EMAILS + r"/(\d+)"), impact.delete_email),
    Call("POST", re.compile(r"/ext/v1/sequences/(\d+)/reschedule"), impact.reschedule),
    Call("POST", re.compile(_OUR_EMAIL + "/hold"), impact.hold_email),
    Call("POST", re.compile(_OUR_EMAIL + "/release"), impact.release_email),
    Call("POST", re.compile(_OUR_EMAIL + "/skip_wait"), impact.skip_wait),
    Call("PUT", re.compile(_OUR_EMAIL + "/filter"), impact.filter_email, FilterBody, needs_body=True),
)


@router.post("/sequences/{int:id}/impact", response=ImpactAnswer, summary="What a change would do")
def tell_impact(request: KitRequest, id: int, body: ImpactBody) -> HttpResponse:
    """Changes nothing, and refuses what the real call would refuse. Send the token with the real call as `If-Match`: it
    is then refused with 412 if the sequence or any place in it has changed since."""
    sequence_of(request, id)
    change = body.change
    path = urlsplit(change.path).path
    call, ids = _call(change.method, path, id)
    given = _given(call, change.body)
    account, now = request.auth.account, clock.now()
    arguments: list[Any] = [*ids, *([] if given is None else [given])]
    told = impact.of(account, id, partial(call.verb, account, *arguments, now, request.auth.actor), now)
    token = if_match.token(told.world, call.method, path, given)
    answer = reply(200, impact=shapes.impact(told, token))
    answer["ETag"] = f'"{token}"'
    return answer


def _call(method: str, path: str, sequence_id: int) -> tuple[Call, list[int]]:
    for call in CALLS:
        match = call.path.fullmatch(path) if call.method == method else None
        if match is None:
            continue
        ids = [id_in(text) for text in match.groups()]
        if ids[0] != sequence_id:
            raise Invalid(f"change.path must be a call on sequence {sequence_id}")
        return call, ids
    raise Invalid(f"change must be one of: {', '.join(_shown(call, sequence_id) for call in CALLS)}")


def id_in(text: str) -> int:
    """Raises NotFound for an id that no column can hold, as everywhere."""
    if len(text) > 18:
        raise NotFound
    return int(text)


def _shown(call: Call, sequence_id: int) -> str:
    path = call.path.pattern.replace(r"(\d+)", str(sequence_id), 1).replace(r"(\d+)", "{email_id}")
    return f"{call.method} {path}"


def _given(call: Call, body: Any) -> Mapping[str, Any] | None:
    if call.body is None:
        return None
    if body is None and not call.needs_body:
        body = {}
    return call.body.model_validate(body).given()
