"""Emails of a sequence: https://developers.kit.com/api-reference/sequence-emails

sequences/email_checks.py checks the members of a body, all together; the body classes here are for the docs.
"""

from typing import Annotated, Any, NotRequired

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import if_match
from dripstone.api.auth import KitRequest
from dripstone.api.body import (
    MISSING,
    AnyDaysOrNull,
    Body,
    DaysOrNull,
    Filters,
    Flag,
    TemplateId,
    TextOrNull,
    WithStats,
    YesNoOrNull,
    needs,
    one_of,
)
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.api.v4.sequences import sequence_of
from dripstone.engine.acts import edits
from dripstone.sequences import verbs
from dripstone.sequences.email_checks import MAX_DAYS, MAX_HOURS, MAX_POSITION, MAX_SUBJECT, UNITS
from dripstone.sequences.verbs import Edit
from dripstone.shapes import sequences as shapes
from dripstone.stats import emails as email_stats

router = Router(tags=["Sequence emails"])

_SUBJECT = {"type": "string", "minLength": 1, "maxLength": MAX_SUBJECT, "pattern": r"\S"}
_DELAY = {
    "type": "integer",
    "minimum": 0,
    "maximum": MAX_HOURS,
    "description": f"0 for the first email only, and in days only; at most {MAX_DAYS} days.",
}
_POSITION = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_POSITION}


class EmailChanges(Body):
    """An update changes what it contains; no days change none.

    Null keeps `content`, `published` and `position` as they are (as Kit does), and clears the rest.
    """

    subject: Annotated[Any, WithJsonSchema(_SUBJECT)] = MISSING
    preview_text: TextOrNull = MISSING
    content: TextOrNull = MISSING
    delay_value: Annotated[Any, WithJsonSchema(_DELAY)] = MISSING
    delay_unit: Annotated[Any, one_of(*UNITS)] = MISSING
    email_template_id: TemplateId = MISSING
    published: YesNoOrNull = MISSING
    send_days: AnyDaysOrNull = MISSING
    position: Annotated[Any, WithJsonSchema(_POSITION)] = MISSING


class EmailBody(EmailChanges):
    model_config = needs("subject", "delay_value", "delay_unit")
    send_days: DaysOrNull = MISSING


class EmailsFilters(Paging):
    include: WithStats = frozenset()
    include_content: Flag = False


class EmailFilters(Filters):
    include: WithStats = frozenset()


class EmailAnswer(TypedDict):
    email: shapes.SequenceEmailShape


class WrittenEmailAnswer(TypedDict):
    email: shapes.SequenceEmailShape
    warnings: NotRequired[list[str]]


class EmailsAnswer(TypedDict):
    emails: list[shapes.SequenceEmailShape]
    pagination: Pagination


@router.get("/sequences/{int:sequence_id}/emails", response=EmailsAnswer, summary="List sequence emails")
def list_emails(request: KitRequest, sequence_id: int, filters: Query[EmailsFilters]) -> HttpResponse:
    """By position."""
    sequence = sequence_of(request, sequence_id)
    rows = sequence.emails.filter(deleted_at=None)
    found = page(rows if filters.include_content else rows.defer("content"), filters, "position", "id")
    ids = [row.pk for row in found.rows]
    stats = email_stats.of_emails(ids) if "stats" in filters.include else {}
    shaped = [
        shapes.sequence_email(row, sequence, with_content=filters.include_content, stats=stats.get(row.pk))
        for row in found.rows
    ]
    return reply(200, emails=shaped, pagination=found.pagination)


@router.post(
    "/sequences/{int:sequence_id}/emails", response={201: WrittenEmailAnswer}, summary="Create a sequence email"
)
def create_email(request: KitRequest, sequence_id: int, body: EmailBody = EmailBody()) -> HttpResponse:  # noqa: B008
    """A draft unless `published`; after the last email unless `position` says otherwise."""
    given = body.given()
    with if_match.held(request, sequence_id, given):
        done = edits.create_email(request.auth.account, sequence_id, given, clock.now(), request.auth.actor)
    return _written(201, done)


@router.get("/sequences/{int:sequence_id}/emails/{int:id}", response=EmailAnswer, summary="Get a sequence email")
def get_email(request: KitRequest, sequence_id: int, id: int, filters: Query[EmailFilters]) -> HttpResponse:
    sequence = sequence_of(request, sequence_id)
    row = verbs.email_of(sequence, id)
    stats = email_stats.of_emails([row.pk])[row.pk] if "stats" in filters.include else None
    return reply(200, email=shapes.sequence_email(row, sequence, stats=stats))


@router.put(
    "/sequences/{int:sequence_id}/emails/{int:id}", response=WrittenEmailAnswer, summary="Update a sequence email"
)
def update_email(request: KitRequest, sequence_id: int, id: int, body: EmailChanges) -> HttpResponse:
    given = body.given()
    with if_match.held(request, sequence_id, given):
        done = edits.update_email(request.auth.account, sequence_id, id, given, clock.now(), request.auth.actor)
    return _written(200, done)


@router.delete("/sequences/{int:sequence_id}/emails/{int:id}", response={204: None}, summary="Delete a sequence email")
def delete_email(request: KitRequest, sequence_id: int, id: int) -> HttpResponse:
    """For good. People waiting for it skip it at the moment it would have gone."""
    with if_match.held(request, sequence_id):
        edits.delete_email(request.auth.account, sequence_id, id, clock.now(), request.auth.actor)
    return no_content()


def _written(status: int, done: Edit) -> HttpResponse:
    assert done.email is not None
    warnings = {"warnings": done.warnings} if done.warnings else {}
    return reply(status, email=shapes.sequence_email(done.email, done.sequence), **warnings)
