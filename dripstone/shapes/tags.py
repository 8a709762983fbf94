"""A tag, alone or as one subscriber has it."""

from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.shapes.instants import instant
from dripstone.subscribers.models import Tag, Tagging


class TagShape(TypedDict):
    id: int
    name: str
    created_at: str
    subscriber_count: NotRequired[int]


class SubscriberTagShape(TypedDict):
    id: int
    name: str
    tagged_at: str


def tag(tag: Tag, subscriber_count: int | None = None) -> TagShape:
    shape = TagShape(id=tag.pk, name=tag.name, created_at=instant(tag.created_at))
    if subscriber_count is not None:
        shape["subscriber_count"] = subscriber_count
    return shape


def subscriber_tag(tagging: Tagging) -> SubscriberTagShape:
    """A tag as one subscriber has it."""
    return SubscriberTagShape(id=tagging.tag_id, name=tagging.tag.name, tagged_at=instant(tagging.tagged_at))
