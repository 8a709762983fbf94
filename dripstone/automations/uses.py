"""Which automations name a thing: in an entry, at a node or in a condition; themselves or through a segment.

Deleting it is never refused because of them: entries that name it rest, nodes that do something with it are passed, a
condition about it is met by nobody (A14). So whoever deletes it is told first.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from dripstone import words
from dripstone.grammar import Thing


@dataclass(frozen=True, slots=True)
class Use:
    """status    of the automation
    parts     of it: "entry", "node"
    nodes     keys of the nodes that name the thing, in their order
    through   ids of the segments through which a condition in it names the thing; () where it names it itself
    is_draft  only what is not published yet names it
    """

    automation_id: int
    name: str
    status: str
    parts: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    through: tuple[int, ...] = ()
    is_draft: bool = False

    @property
    def words(self) -> str:
        """`the automation “After the course”`."""
        return f"the automation {words.title(self.name)}"


def of(thing: Thing, account_id: int) -> list[Use]:
    """By name; those that name it themselves first."""
    return of_each([thing], account_id)[thing]


def of_each(things: Iterable[Thing], account_id: int) -> dict[Thing, list[Use]]:
    """The same for many things: a query for automations and one for nodes, and three for what stands in segments."""
    raise NotImplementedError
