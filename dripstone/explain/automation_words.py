"""Automations in words, where something else is talked about that they name."""

from collections.abc import Sequence

from dripstone import words
from dripstone.automations.uses import Use

MOST_NAMED = 4  # automations in a sentence


def without(found: Sequence[Use]) -> str:
    """What becomes of the automations that name something once it is deleted; "" if none does."""
    if not found:
        return ""
    names = words.some([words.title(one.name) for one in found], MOST_NAMED)
    who = f"The {words.agree(len(found), 'automation', 'automations')} {names}"
    return (
        f"{who} {words.agree(len(found), 'names', 'name')} it: entries that wait for it rest, steps that do something "
        "with it pass everybody by, whoever waits for it there goes on, and a condition about it is never met."
    )
