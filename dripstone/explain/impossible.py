"""Conditions that contradict themselves: what has to be true for one to be met, and cannot be true at once. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from dripstone import grammar
from dripstone.conditions import words
from dripstone.conditions.words import Names
from dripstone.grammar import Condition, kinds


def required_parts(condition: Condition) -> Iterator[Condition]:
    """Leaves and denied leaves that have to be true for the whole to be."""
    if "all" in condition and "type" not in condition:
        for part in condition["all"]:
            yield from required_parts(part)
    elif "type" in condition or "type" in condition.get("not", {}):
        yield condition


def why(condition: Condition, names: Names, *, states: Collection[str] = kinds.STATES) -> str:
    """Why nobody can meet it: a sentence; "" where people may. Not every contradiction is found.

    states   those that people have who are asked
    """
    left, seen = set(states), _Seen()
    for part in required_parts(grammar.plain(condition)):
        denied = "not" in part
        leaf = part["not"] if denied else part
        if leaf["type"] == kinds.STATE:
            left = left - set(leaf["states"]) if denied else left & set(leaf["states"])
            if not left:
                return f"Nobody who comes here can be one of those who {words.sentence(part, 0, names)}."
        elif (other := seen.against(part, leaf, denied=denied)) is not None:
            both = (bare(words.sentence(one, 0, names)) for one in (other, part))
            return f"Nobody can {' and '.join(both)} at once."
    return ""


def bare(said: str) -> str:
    """`have the tag …`, `not have the tag …`: after "nobody can"."""
    if said.startswith("do not "):
        return f"not {said.removeprefix('do not ')}"
    for verb, short in (("are not ", "not be "), ("are ", "be ")):
        if said.startswith(verb):
            return f"{short}{said.removeprefix(verb)}"
    return said


@dataclass
class _Seen:
    """What the parts before ask for."""

    parts: list[tuple[Condition, Condition, bool]] = field(default_factory=list)

    def against(self, part: Condition, leaf: Condition, *, denied: bool) -> Condition | None:
        """The part that this one contradicts. It is noted for those that follow."""
        found = next((one for one, other, was in self.parts if was is not denied and _same(leaf, other, denied)), None)
        self.parts.append((part, leaf, denied))
        return found


def _same(leaf: Condition, other: Condition, denied: bool) -> bool:
    """Whether what the one denies is what the other asks for. denied: `leaf` is the one that denies"""
    if leaf == other:
        return True
    if leaf["type"] != other["type"] or leaf["type"] not in (kinds.TAGS, kinds.FORMS):
        return False
    wants, denies = (other, leaf) if denied else (leaf, other)
    return bool(_all_of(wants) & _any_of(denies))


def _all_of(leaf: Condition) -> set[int]:
    """What somebody has to have, each."""
    return set(leaf["ids"]) if len(leaf["ids"]) == 1 or leaf.get("has") == "all" else set()


def _any_of(leaf: Condition) -> set[int]:
    """What each alone is enough for."""
    return set(leaf["ids"]) if len(leaf["ids"]) == 1 or leaf.get("has") != "all" else set()
