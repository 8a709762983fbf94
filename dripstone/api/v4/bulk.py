"""Bulk operations: up to 100 entries are done at once, more in the background.

https://developers.kit.com/api-reference/bulk-and-async-processing
"""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api.auth import FullAccess, KitRequest
from dripstone.api.body import MISSING, Body, needs
from dripstone.api.replies import reply
from dripstone.bulk import jobs, operations
from dripstone.bulk.outcomes import Operation
from dripstone.given import MAX_ADDRESS, MAX_ID, MAX_NAME
from dripstone.shapes import bulk as shapes
from dripstone.shapes import tags as tag_shapes
from dripstone.subscribers import subscribe
from dripstone.subscribers.forms import MAX_REFERRER

router = Router(auth=FullAccess())

Json = dict[str, Any]


# --- Bodies -------------------------------------------------------------------------------------------------------

_ID: Json = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_NAME: Json = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"}


def _entries(required: tuple[str, ...], **members: Json) -> WithJsonSchema:
    """An array whose entries should be like this. Any other is told of in `failures`, so the array may hold it."""
    entry = {"type": "object", "properties": members, "required": [*required]}
    return WithJsonSchema({"type": "array", "minItems": 1, "items": {"anyOf": [entry, {}]}})


Url = Annotated[Any, WithJsonSchema({"type": ["string", "null"], "maxLength": 2_000})]


class BulkBody(Body):
    callback_url: Url = MISSING


class SubscribersBody(BulkBody):
    model_config = needs("subscribers")
    subscribers: Annotated[
        Any,
        _entries(
            ("email_address",),
            email_address={"type": "string", "format": "email", "maxLength": MAX_ADDRESS},
            first_name={"type": ["string", "null"], "maxLength": MAX_NAME},
            state={"type": ["string", "null"], "enum": [*subscribe.STATES, None]},
        ),
    ] = MISSING


class ValuesBody(BulkBody):
    model_config = needs("custom_field_values")
    custom_field_values: Annotated[
        Any,
        _entries(
            ("subscriber_id", "subscriber_custom_field_id", "value"),
            subscriber_id=_ID,
            subscriber_custom_field_id=_ID,
            value={"type": "string"},
        ),
    ] = MISSING


class TagsBody(BulkBody):
    model_config = needs("tags")
    tags: Annotated[Any, _entries(("name",), name=_NAME)] = MISSING


class TagIdsBody(BulkBody):
    model_config = needs("tags")
    tags: Annotated[Any, _entries(("id",), id=_ID)] = MISSING


class TaggingsBody(BulkBody):
    model_config = needs("taggings")
    taggings: Annotated[Any, _entries(("tag_id", "subscriber_id"), tag_id=_ID, subscriber_id=_ID)] = MISSING


class FieldsBody(BulkBody):
    model_config = needs("custom_fields")
    custom_fields: Annotated[Any, _entries(("label",), label=_NAME)] = MISSING


class AdditionsBody(BulkBody):
    model_config = needs("additions")
    additions: Annotated[
        Any,
        _entries(
            ("form_id", "subscriber_id"),
            form_id=_ID,
            subscriber_id=_ID,
            referrer={"type": ["string", "null"], "maxLength": MAX_REFERRER},
        ),
    ] = MISSING


NO_SUBSCRIBERS, NO_VALUES, NO_TAGS, NO_TAG_IDS = SubscribersBody(), ValuesBody(), TagsBody(), TagIdsBody()
NO_TAGGINGS, NO_FIELDS, NO_ADDITIONS = TaggingsBody(), FieldsBody(), AdditionsBody()


# --- Answers ------------------------------------------------------------------------------------------------------


class FailedSubscriber(TypedDict):
    errors: list[str]
    subscriber: dict[str, str | None]


class FailedValue(TypedDict):
    errors: list[str]
    custom_field_value: dict[str, int | str | None]


class FailedTag(TypedDict):
    errors: list[str]
    tag: dict[str, str | int | None]


class FailedTagging(TypedDict):
    errors: list[str]
    tagging: dict[str, int | None]


class FailedField(TypedDict):
    errors: list[str]
    custom_field: dict[str, str | None]


class FailedAddition(TypedDict):
    errors: list[str]
    subscription: dict[str, int | str | None]


class BulkSubscribersAnswer(TypedDict):
    subscribers: list[shapes.BulkCreatedShape]
    failures: list[FailedSubscriber]


class BulkValueShape(TypedDict):
    subscriber_id: int
    subscriber_custom_field_id: int
    value: str


class BulkValuesAnswer(TypedDict):
    custom_field_values: list[BulkValueShape]
    failures: list[FailedValue]


class BulkTagsAnswer(TypedDict):
    tags: list[tag_shapes.TagShape]
    failures: list[FailedTag]


class BulkDeletedTagsAnswer(TypedDict):
    failures: list[FailedTag]


class BulkTaggedAnswer(TypedDict):
    subscribers: list[shapes.BulkTaggedShape]
    failures: list[FailedTagging]


class BulkUntaggedAnswer(TypedDict):
    failures: list[FailedTagging]


class BulkFieldsAnswer(TypedDict):
    custom_fields: list[shapes.BulkFieldShape]
    failures: list[FailedField]


class BulkAddedAnswer(TypedDict):
    subscribers: list[shapes.BulkAddedShape]
    failures: list[FailedAddition]


class BulkLaterAnswer(TypedDict):
    """More than 100 entries: nothing is known yet."""


# --- Calls --------------------------------------------------------------------------------------------------------


@router.post(
    "/bulk/subscribers",
    response={200: BulkSubscribersAnswer, 202: BulkLaterAnswer},
    summary="Bulk create subscribers",
    tags=["Subscribers"],
)
def create_subscribers(request: KitRequest, body: SubscribersBody = NO_SUBSCRIBERS) -> HttpResponse:
    """An upsert by address: someone who is there already keeps their state."""
    return _answer(request, operations.SUBSCRIBERS, body)


@router.post(
    "/bulk/tags", response={200: BulkTagsAnswer, 202: BulkLaterAnswer}, summary="Bulk create tags", tags=["Tags"]
)
def create_tags(request: KitRequest, body: TagsBody = NO_TAGS) -> HttpResponse:
    """The existing tag is answered when the name, in any case, is taken."""
    return _answer(request, operations.TAGS, body)


@router.delete(
    "/bulk/tags", response={200: BulkDeletedTagsAnswer, 202: BulkLaterAnswer}, summary="Bulk delete tags", tags=["Tags"]
)
def delete_tags(request: KitRequest, body: TagIdsBody = NO_TAG_IDS) -> HttpResponse:
    """From everybody who has them."""
    return _answer(request, operations.DELETED_TAGS, body)


@router.post(
    "/bulk/tags/subscribers",
    response={200: BulkTaggedAnswer, 202: BulkLaterAnswer},
    summary="Bulk tag subscribers",
    tags=["Tags"],
)
def tag_subscribers(request: KitRequest, body: TaggingsBody = NO_TAGGINGS) -> HttpResponse:
    return _answer(request, operations.TAGGINGS, body)


@router.delete(
    "/bulk/tags/subscribers",
    response={200: BulkUntaggedAnswer, 202: BulkLaterAnswer},
    summary="Bulk remove tags from subscribers",
    tags=["Tags"],
)
def untag_subscribers(request: KitRequest, body: TaggingsBody = NO_TAGGINGS) -> HttpResponse:
    """Someone who does not have the tag is no failure."""
    return _answer(request, operations.REMOVED_TAGGINGS, body)


@router.post(
    "/bulk/custom_fields",
    response={200: BulkFieldsAnswer, 202: BulkLaterAnswer},
    summary="Bulk create custom fields",
    tags=["Custom Fields"],
)
def create_fields(request: KitRequest, body: FieldsBody = NO_FIELDS) -> HttpResponse:
    """The existing field is answered when the label, in any case, is taken."""
    return _answer(request, operations.FIELDS, body)


@router.post(
    "/bulk/custom_fields/subscribers",
    response={200: BulkValuesAnswer, 202: BulkLaterAnswer},
    summary="Bulk update subscriber custom field values",
    tags=["Custom Fields"],
)
def write_values(request: KitRequest, body: ValuesBody = NO_VALUES) -> HttpResponse:
    """An empty value takes the value away."""
    return _answer(request, operations.VALUES, body)


@router.post(
    "/bulk/forms/subscribers",
    response={200: BulkAddedAnswer, 202: BulkLaterAnswer},
    summary="Bulk add subscribers to forms",
    tags=["Forms"],
)
def add_to_forms(request: KitRequest, body: AdditionsBody = NO_ADDITIONS) -> HttpResponse:
    """Who is unconfirmed is asked to confirm by a form with double opt-in, once."""
    return _answer(request, operations.ADDITIONS, body)


def _answer(request: KitRequest, operation: Operation, body: Body) -> HttpResponse:
    entries, callback_url = jobs.read(operation, body.given())
    account_id, now = request.auth.account.pk, clock.now()
    if len(entries) <= jobs.AT_ONCE:
        return reply(200, **jobs.at_once(operation, account_id, entries, now))
    n_bytes, asked_by = len(request.body), request.auth.actor
    jobs.keep(operation, account_id, entries, callback_url, now, n_bytes=n_bytes, asked_by=asked_by)
    return reply(202)
