"""By which doors people came into a sequence."""

from typing_extensions import TypedDict

from dripstone.explain import door_words
from dripstone.stats.doors import Doors


class DoorShape(TypedDict):
    """`source`: owner, api, form, rule, automation, bulk or import; `id` is of the form, rule …, null where it has none
    or where people came before it was noted. `lately`: since the day that `since` names."""

    source: str
    id: int | None
    sentence: str
    people: int
    lately: int


class DoorsShape(TypedDict):
    sequence_id: int
    entered: int
    since: str
    doors: list[DoorShape]


def doors(sequence_id: int, account_id: int, found: Doors) -> DoorsShape:
    return DoorsShape(
        sequence_id=sequence_id,
        entered=found.n,
        since=found.since.isoformat(),
        doors=[
            DoorShape(
                source=one.door.kind, id=one.door.number, sentence=one.said, people=one.door.n, lately=one.door.lately
            )
            for one in door_words.told(found.rows, account_id)
        ],
    )
