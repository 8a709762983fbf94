"""Rules in words: what one says, what became of an event at it, and why it did not fire.

names = rule_words.names_of(rules, account_id)
rule_words.sentence(rule, names)   "When somebody gets the tag “Course”, and they have the tag …: add …"
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.conditions import words as condition_words
from dripstone.conditions.words import Names
from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.rules import reasons
from dripstone.rules.models import Firing, Rule
from dripstone.rules.uses import Use
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import reasons as passing
from dripstone.triggers import sentences, what, when

MOST_NAMED = 4  # rules in a sentence
CHANGED = "changed"  # of an action that did something, in Firing.done

WHY_NOT: Mapping[str, str] = {
    reasons.CONDITION: "they did not meet its condition",
    reasons.IN_ITS_OWN_CHAIN: "it came of what this rule did itself, and would have gone in a circle",
    reasons.TOO_DEEP: "ten rules and automations stand in the chain before it, and no chain is longer",
    reasons.TOO_OFTEN: "it had taken this person ten times within 24 hours, by what other rules or emails did",
    reasons.OUR_MISTAKE: "of an error of Dripstone’s own: nothing was done, and the log of the server says more",
}


def names_of(rules: Iterable[Rule], account_id: int) -> Names:
    """Of all that these rules name: a query for each kind of thing, however many there are."""
    return sentences.names(((rule.triggers, rule.condition, rule.actions) for rule in rules), account_id)


def sentence(rule: Rule, names: Names) -> str:
    """`When somebody gets the tag “Course”: add the tag “Reader”, then put them into the sequence “Welcome”.`"""
    return sentences.rule(rule.triggers, rule.condition, rule.actions, rule.account_id, names)


def without(found: Sequence[Use]) -> str:
    """What becomes of the rules that name something once it is deleted; "" if none does."""
    if not found:
        return ""
    names = words.some([words.title(one.name) for one in found], MOST_NAMED)
    rules = f"The {words.agree(len(found), 'rule', 'rules')} {names} {words.agree(len(found), 'names', 'name')} it"
    return (
        f"{rules}: what waits for it rests, what does something with it passes everybody by, "
        "and a condition about it is never met."
    )


# --- The log ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the log in words.

    person   None: gone since
    what     what happened: "somebody gets the tag “Course”"
    chain    who or what brought that about: "by the form “News”"; "" for a date or an email
    why_not  why it did not fire; "" when it did
    done     what it did, each action a sentence
    """

    row: Firing
    person: Subscriber | None
    what: str
    chain: str
    why_not: str
    done: tuple[str, ...]

    @property
    def at(self) -> datetime:
        return self.row.at

    @property
    def fired(self) -> bool:
        return self.row.outcome == Firing.Outcome.FIRED


def told(rows: Collection[Firing], rules: Mapping[int, Rule], account_id: int) -> list[Told]:
    """rules   those of the rows, by id"""
    triggers = [thing for row in rows for thing in when.things(row.trigger)]
    things = {thing for rule in rules.values() for action in rule.actions for thing in what.things(action)}
    names = condition_words.names_of({*triggers, *things}, account_id)
    causes = event_words.names_of([Event(cause=row.cause, data={}) for row in rows], account_id)
    people = Subscriber.objects.filter(account=account_id).in_bulk({row.subscriber_id for row in rows})
    return [
        Told(
            row,
            people.get(row.subscriber_id),
            when.words(row.trigger, names),
            event_words.because_of(row.cause, causes),
            WHY_NOT.get(row.reason, row.reason),
            tuple(_done(row, rules[row.rule_id], names)),
        )
        for row in rows
    ]


def _done(row: Firing, rule: Rule, names: Names) -> Iterable[str]:
    """Of each action what it did. Those of a rule that was edited since are numbers."""
    is_as_it_was = len(row.done) == len(rule.actions) and row.at >= rule.changed_at
    for number, outcome in enumerate(row.done):
        said = what.words(rule.actions[number], names) if is_as_it_was else f"action {number + 1}"
        passed = passing.WORDS.get(outcome, outcome)
        yield said if outcome == CHANGED else f"{said}: no, {passed[:1].lower()}{passed[1:]}"
