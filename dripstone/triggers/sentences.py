"""A rule as one sentence.

When somebody gets the tag “Course” or joins the form “News”, and they do not have the tag “Customer”: add the tag
“Reader”, then put them into the sequence “Welcome”.
"""

from collections.abc import Iterable, Sequence

from dripstone import grammar
from dripstone.conditions import words
from dripstone.conditions.words import Names
from dripstone.grammar import Condition, Thing
from dripstone.triggers import what, when
from dripstone.triggers.what import Action
from dripstone.triggers.when import Trigger


def things(triggers: Iterable[Trigger], condition: Condition | None, actions: Iterable[Action]) -> frozenset[Thing]:
    """All that a rule names: for where-used, and for the names that its sentence needs."""
    of_triggers = (thing for one in triggers for thing in when.things(one))
    of_actions = (thing for one in actions for thing in what.things(one))
    return frozenset((*of_triggers, *grammar.things(condition), *of_actions))


def names(rules: Iterable[tuple[Sequence[Trigger], Condition | None, Sequence[Action]]], account_id: int) -> Names:
    """Of all that these rules name: a query for each kind of thing, however many rules there are."""
    return words.names_of((thing for rule in rules for thing in things(*rule)), account_id)


def rule(
    triggers: Iterable[Trigger], condition: Condition | None, actions: Iterable[Action], account_id: int, named: Names
) -> str:
    """named   from `names`"""
    if_so = f", and they {words.sentence(condition, account_id, named)}" if condition is not None else ""
    return f"When {when.sentence(triggers, named)}{if_so}: {what.sentence(actions, named)}."
