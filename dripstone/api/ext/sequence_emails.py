"""What Kit has no call for about an email of a sequence: as one person would get it, as a test, on hold, only to some
people, a copy, and what was published of it."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Flag, Text, TextOrNull, WholeOrNull, needs
from dripstone.api.conditions import FilterOrNull
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.api.v4.sequences import sequence_of
from dripstone.engine.acts import edits, previews
from dripstone.sequences import verbs, versions
from dripstone.sequences.verbs import Edit
from dripstone.shapes import deliveries, sequences
from dripstone.shapes import previews as shapes
from dripstone.shapes import versions as version_shapes

router = Router(tags=["Sequence emails"])

Addresses = Annotated[
    Any, WithJsonSchema({"type": ["array", "null"], "items": {"type": "string", "format": "email"}, "maxItems": 10})
]


class PreviewBody(Body):
    """What is left out is as it was saved. Without `subscriber_id` the reader is an example person."""

    subscriber_id: WholeOrNull = MISSING
    subject: Text = MISSING
    preview_text: TextOrNull = MISSING
    content: TextOrNull = MISSING
    email_template_id: WholeOrNull = MISSING


class TestBody(PreviewBody):
    """`to`: users of the account; the first one if it is left out."""

    to: Addresses = MISSING


class FilterBody(Body):
    """A condition; null: everybody gets it."""

    model_config = needs("filter")
    filter: FilterOrNull = MISSING


class EmailAnswer(TypedDict):
    email: sequences.WholeEmailShape


class PreviewAnswer(TypedDict):
    preview: shapes.PreviewShape


class TestAnswer(TypedDict):
    deliveries: list[deliveries.DeliveryShape]


class VersionFilters(Paging):
    include_content: Flag = False


class VersionAnswer(TypedDict):
    version: version_shapes.EmailVersionShape


class VersionsAnswer(TypedDict):
    versions: list[version_shapes.EmailVersionShape]
    pagination: Pagination


@router.get(
    "/sequences/{int:sequence_id}/emails/{int:id}", response=EmailAnswer, summary="Get an email with its filter"
)
def get_email(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """As Kit's call gives it, and whether it is on hold and who alone gets it."""
    sequence = sequence_of(request, sequence_id)
    return reply(200, email=sequences.whole_email(verbs.email_of(sequence, id), sequence))


@router.put(
    "/sequences/{int:sequence_id}/emails/{int:id}/filter", response=EmailAnswer, summary="Send an email only to some"
)
def filter_email(request: KitRequest, sequence_id: int, id: int, body: FilterBody) -> HttpResponse:
    """Who does not meet the condition when the email is due skips it and moves on, as if it had been sent. No date
    moves. Null takes the filter away."""
    given = body.given()
    with if_match.held(request, sequence_id, given):
        done = edits.filter_email(request.auth.account, sequence_id, id, given, clock.now(), request.auth.actor)
    return _edited(200, done)


@router.post(
    "/sequences/{int:sequence_id}/emails/{int:id}/preview", response=PreviewAnswer, summary="Preview a sequence email"
)
def preview_email(
    request: KitRequest,
    sequence_id: int,
    id: int,
    body: PreviewBody = PreviewBody(),  # noqa: B008
) -> HttpResponse:
    """As this person would get it now, by the code that sends. Nothing is saved, sent or counted."""
    made = previews.of(sequence_of(request, sequence_id), id, body.given(), clock.now())
    return reply(200, preview=shapes.preview(made))


@router.post(
    "/sequences/{int:sequence_id}/emails/{int:id}/test", response={201: TestAnswer}, summary="Send a test of an email"
)
def send_test(
    request: KitRequest,
    sequence_id: int,
    id: int,
    body: TestBody = TestBody(),  # noqa: B008
) -> HttpResponse:
    """The same, sent to users of the account, with [Test] before the subject. It is a notice: counted nowhere, and its
    unsubscribe link unsubscribes nobody."""
    sent = previews.send_test(sequence_of(request, sequence_id), id, body.given(), clock.now())
    return reply(201, deliveries=deliveries.deliveries(sent))


@router.post("/sequences/{int:sequence_id}/emails/{int:id}/hold", response=EmailAnswer, summary="Put an email on hold")
def hold_email(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """Nobody gets it until it is released: people wait at it, without a date. A second time changes nothing."""
    with if_match.held(request, sequence_id):
        done = edits.hold_email(request.auth.account, sequence_id, id, clock.now(), request.auth.actor)
    return _edited(200, done)


@router.post(
    "/sequences/{int:sequence_id}/emails/{int:id}/release", response=EmailAnswer, summary="Release an email on hold"
)
def release_email(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """People who wait at it get it: with a delay in hours right away if its date has passed, else at the next allowed
    day and hour. Done in the background."""
    with if_match.held(request, sequence_id):
        done = edits.release_email(request.auth.account, sequence_id, id, clock.now(), request.auth.actor)
    return _edited(200, done)


@router.post(
    "/sequences/{int:sequence_id}/emails/{int:id}/skip_wait",
    response={202: dict[str, str]},
    summary="Skip the wait for an email",
)
def skip_wait(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """Everybody who waits for it now gets it right away, but for people who are paused. Done in the background."""
    with if_match.held(request, sequence_id):
        edits.skip_wait(request.auth.account, sequence_id, id, clock.now(), request.auth.actor)
    return reply(202)


@router.post(
    "/sequences/{int:sequence_id}/emails/{int:id}/duplicate",
    response={201: EmailAnswer},
    summary="Duplicate an email",
)
def duplicate_email(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """A draft that says the same, right after the original."""
    return _edited(201, edits.duplicate_email(request.auth.account, sequence_id, id, clock.now(), request.auth.actor))


def _edited(status: int, done: Edit) -> HttpResponse:
    assert done.email is not None
    return reply(status, email=sequences.whole_email(done.email, done.sequence))


@router.get("/sequences/{int:sequence_id}/emails/{int:id}/versions", response=VersionsAnswer, summary="List versions")
def list_versions(request: KitRequest, sequence_id: int, id: int, filters: Query[VersionFilters]) -> HttpResponse:
    """What was published, when and by whom; the newest first."""
    email = verbs.email_of(sequence_of(request, sequence_id), id)
    versions.current(email)
    found = page(email.versions.all(), filters, "-number")
    shaped = [version_shapes.email_version(row, with_content=filters.include_content) for row in found.rows]
    return reply(200, versions=shaped, pagination=found.pagination)


@router.get(
    "/sequences/{int:sequence_id}/emails/{int:id}/versions/{int:number}",
    response=VersionAnswer,
    summary="Get a version of an email",
)
def get_version(request: KitRequest, sequence_id: int, id: int, number: int) -> HttpResponse:
    email = verbs.email_of(sequence_of(request, sequence_id), id)
    return reply(200, version=version_shapes.email_version(versions.one(email, number)))
