"""A rule's actions for people who are there already, as a bulk action: counted first, then begun.

Takes       a rule, on or off
Leaves      a bulk action whose chain of causes names the rule, so that the rule itself does not fire on what it did
A crash here means nothing was asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.bulk import actions
from dripstone.bulk.counting import Counted, Effect, Whom
from dripstone.bulk.models import BulkAction
from dripstone.conditions import words as condition_words
from dripstone.conditions.words import Names
from dripstone.content import subjects
from dripstone.rules import already
from dripstone.rules.models import Rule
from dripstone.triggers import what


@dataclass(frozen=True, slots=True)
class Line:
    """Of one action: for how many people it would do something, and what."""

    n_people: int
    phrase: str


@dataclass(frozen=True, slots=True)
class Told:
    """whom   who they are: "have the tag “Course”" """

    whom: str
    counted: Counted
    lines: list[Line]


def tell(rule: Rule, now: datetime) -> Told:
    """What it would do now. Raises Invalid when nobody can be found by what sets it off."""
    whom = _whom(rule, now)
    counted = actions.count(rule.account, whom, rule.actions, now)
    names = condition_words.names_of((thing for one in rule.actions for thing in what.things(one)), rule.account_id)
    lines = [Line(one.n_changed + one.n_asked, _phrase(one, names, rule, now)) for one in counted.effects]
    return Told(condition_words.sentence(whom["filter"], rule.account_id), counted, lines)


def begin(rule: Rule, asked_by: str, now: datetime, *, fire_rules: bool, seen: str | None) -> BulkAction:
    """seen   the token that was told; None: whatever it is. Raises Invalid, PreconditionFailed and TooLarge."""
    because = (f"rule {rule.pk}",)
    whom = _whom(rule, now)
    arguments = (rule.account, whom, rule.actions, asked_by, now)
    return actions.begin(*arguments, fire_rules=fire_rules, because=because, seen=seen)


def _whom(rule: Rule, now: datetime) -> Whom:
    return {"filter": already.whom(rule, now)}


def _phrase(one: Effect, names: Names, rule: Rule, now: datetime) -> str:
    """`add the tag “Reader”`."""
    return "; ".join([what.words(one.action, names), *_more(one, rule, now)])


def _more(one: Effect, rule: Rule, now: datetime) -> Iterator[str]:
    if one.is_gone:
        yield "that is gone, so it passes everybody by"
    if one.is_at_most:
        yield "at most, since its text differs from one to the other"
    if one.n_asked:
        yield f"{words.people(one.n_asked, 'has', 'have')} to confirm first, and {_is(one.n_asked)} asked to"
    if (entering := one.entering) is None or not one.n_changed:
        return
    if entering.first is None:
        yield "no email goes: the sequence is paused, or has none to send"
    else:
        email, at = entering.first
        yield f"the first email, {subjects.title(email.subject)}, goes {words.on(at, rule.account.time_zone, now)}"
    if entering.n_unconfirmed:
        yield f"{words.people(entering.n_unconfirmed, 'waits', 'wait')} until they have confirmed their address"


def _is(n: int) -> str:
    return words.agree(n, "is", "are")
