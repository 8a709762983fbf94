"""Which rules name a thing: in a trigger, in their condition or in an action; themselves or through a segment.

Deleting it is never refused because of them: triggers that name it rest, actions pass people by, a condition is met by
nobody (A14). So whoever deletes it is told first.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dripstone import grammar, words
from dripstone.conditions import uses
from dripstone.grammar import Thing
from dripstone.rules.models import Rule
from dripstone.triggers import what, when


@dataclass(frozen=True, slots=True)
class Use:
    """parts     of the rule: "trigger", "condition", "action"
    through   ids of the segments through which its condition names the thing; () where it names it itself
    """

    rule_id: int
    name: str
    is_on: bool
    parts: tuple[str, ...]
    through: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """`the rule “Course page”`."""
        return f"the rule {words.title(self.name)}"


def of(thing: Thing, account_id: int) -> list[Use]:
    """By name; those that name it themselves first."""
    return of_each([thing], account_id)[thing]


def of_each(things: Iterable[Thing], account_id: int) -> dict[Thing, list[Use]]:
    """The same for many things: a query for the rules, and three for what stands in segments."""
    found = uses.namers(things, account_id, _naming(account_id), lambda one: one.rule_id)
    return {thing: [replace(one, through=through) for one, through in named] for thing, named in found.items()}


def _naming(account_id: int) -> dict[Thing, list[Use]]:
    """By thing: the rules that name it themselves."""
    found: dict[Thing, list[Use]] = defaultdict(list)
    rows = Rule.objects.filter(account_id=account_id).order_by("name", "pk")
    for rule in rows.only("pk", "name", "is_on", "triggers", "condition", "actions"):
        parts: dict[Thing, list[str]] = defaultdict(list)
        for part, named in things(rule).items():
            for one in named:
                parts[one].append(part)
        for one, where in parts.items():
            found[one].append(Use(rule.pk, rule.name, rule.is_on, tuple(where)))
    return found


def things(rule: Rule) -> dict[str, frozenset[Thing]]:
    """What it names, by part."""
    return {
        "trigger": frozenset(thing for one in rule.triggers for thing in when.things(one)),
        "condition": grammar.things(rule.condition),
        "action": frozenset(thing for one in rule.actions for thing in what.things(one)),
    }
