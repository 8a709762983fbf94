"""What happened in an account, each event with who or what brought it about."""

from collections.abc import Collection
from typing import Any

from typing_extensions import TypedDict

from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.shapes.instants import instant


class HappenedShape(TypedDict):
    """`cause` is the chain, from the outermost on; `cause_text` says it in words and is empty for what time brought
    about; `subject_id` is of the tag, form, field, sequence, product or delivery."""

    id: int
    type: str
    occurred_at: str
    subscriber_id: int | None
    subject_id: int | None
    sentence: str
    cause: list[str]
    cause_text: str
    data: dict[str, Any]


def happened(rows: Collection[Event], account_id: int) -> list[HappenedShape]:
    names = event_words.names_of(rows, account_id)
    return [
        HappenedShape(
            id=row.pk,
            type=row.type,
            occurred_at=instant(row.occurred_at),
            subscriber_id=row.subscriber_id,
            subject_id=row.subject_id,
            sentence=event_words.sentence(row, names),
            cause=row.cause,
            cause_text=event_words.because_of(row.cause, names),
            data=row.data,
        )
        for row in rows
    ]
