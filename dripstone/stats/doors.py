"""By which doors people came into a sequence: kept counts, read by one query.

A place counts by the door that it was entered by last, so all doors together are as many as all places.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, week

LATELY = timedelta(weeks=4)


class Door(NamedTuple):
    """door    "api", "owner", "form 2", "rule 7" …; the kind alone for those who came before numbers were noted
    lately  of n, those since the Monday that `Doors.since` names
    """

    door: str
    n: int
    lately: int

    @property
    def kind(self) -> str:
        return self.door.partition(" ")[0]

    @property
    def number(self) -> int | None:
        number = self.door.partition(" ")[2]
        return int(number) if number else None


class Doors(NamedTuple):
    """The one most came by first."""

    since: date
    rows: list[Door]

    @property
    def n(self) -> int:
        return sum(row.n for row in self.rows)

    @property
    def most(self) -> int:
        return max((row.n for row in self.rows), default=0)


def of_sequence(sequence_id: int, now: datetime) -> Doors:
    since = week(now.astimezone(UTC).date() - LATELY)
    in_all, lately = Counter[str](), Counter[str]()
    for (_, label), n in tallies.of(Kind.CAME_IN_WEEK, [sequence_id]).items():
        monday, _, door = label.partition(":")
        in_all[door] += n
        lately[door] += n if monday >= since else 0
    rows = [Door(door, n, lately[door]) for door, n in in_all.items() if n]
    return Doors(date.fromisoformat(since), sorted(rows, key=lambda row: (-row.n, row.door)))
