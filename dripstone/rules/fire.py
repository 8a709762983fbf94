"""What becomes of events and dates at the rules that hear them.

Takes       occasions: somebody, why, and the rules that hear of it; each person's in their order, and locked
Leaves      what the actions do, a row of the log for each rule and occasion, the rules' counts
A crash here means that nothing happened: it is all the caller's transaction, with the cursor or the date
            (automations/read.py).

It is as if each occasion were worked off alone, rule by rule, and yet in sets. Occasions fall into layers in which
nobody comes twice; people know nothing of one another, so within a layer each rule may ask its condition of all of them
in one query, and do each action to all of them at once. docs/reference/life-of-a-firing.md
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from dripstone.accounts.models import Account
from dripstone.conditions import people as conditions
from dripstone.conditions.people import Expanded
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.rules import reasons
from dripstone.rules.book import Heard
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import what
from dripstone.triggers.when import Trigger

log = structlog.get_logger(__name__)

MOST = 10  # times that a rule takes the same person by anything but an act of outside (A16),
WITHIN = timedelta(hours=24)
CHANGED = "changed"  # in Firing.done: the action did something

# Purpose: which of these rules have met these events before. By firing_once. There are none, unless somebody has set
# the reader's cursor back.
_ALREADY = "SELECT event_id, rule_id FROM rules_firing WHERE event_id = ANY(%(events)s)"

# Purpose: how often rules took people by something else than an act of outside. By firing_counted.
_OFTEN = """
SELECT f.rule_id, f.subscriber_id, count(*)
FROM unnest(%(rules)s::bigint[], %(people)s::bigint[]) AS asked (rule_id, subscriber_id)
JOIN rules_firing f USING (rule_id, subscriber_id)
WHERE f.outcome = 'fired' AND NOT f.is_from_outside AND f.at > %(since)s
GROUP BY f.rule_id, f.subscriber_id
"""

# As JSON, which C code writes, as events are recorded.
_LOG = """
INSERT INTO rules_firing (account_id, rule_id, subscriber_id, event_id, trigger, at, outcome, reason, cause,
                          is_from_outside, done)
SELECT account_id, rule_id, subscriber_id, event_id, trigger, %s, outcome, reason, cause, is_from_outside, done
FROM json_to_recordset(%s) AS firing (account_id bigint, rule_id bigint, subscriber_id bigint, event_id bigint,
                                      trigger jsonb, outcome text, reason text, cause text[], is_from_outside boolean,
                                      done jsonb)
"""
_COUNT = """
UPDATE rules_rule r SET n_fired = r.n_fired + c.n_fired, n_not_fired = r.n_not_fired + c.n_not_fired,
                        last_fired_at = CASE WHEN c.n_fired > 0 THEN %(now)s ELSE r.last_fired_at END
FROM unnest(%(rules)s::bigint[], %(fired)s::bigint[], %(not_fired)s::bigint[]) AS c (rule_id, n_fired, n_not_fired)
WHERE r.id = c.rule_id
"""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something happened to somebody, and these rules hear of it, by id. event_id None: a date was reached."""

    account_id: int
    subscriber_id: int
    event_id: int | None
    cause: Cause
    heard: list[Heard]


AnOccasion = TypeVar("AnOccasion", bound=Occasion)


class _One(NamedTuple):
    """An occasion at one rule."""

    occasion: Occasion
    trigger: Trigger

    @property
    def subscriber_id(self) -> int:
        return self.occasion.subscriber_id

    @property
    def cause(self) -> Cause:
        return self.occasion.cause


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one. reason "": it fired, and `done` says of each action what it did"""

    one: _One
    reason: str = ""
    done: tuple[str, ...] = ()


def layers(occasions: Iterable[AnOccasion]) -> list[list[AnOccasion]]:
    """Nobody comes twice in one, and each person's stay in their order."""
    found: list[list[AnOccasion]] = []
    n_of: Counter[int] = Counter()
    for one in occasions:
        place = n_of[one.subscriber_id]
        n_of[one.subscriber_id] += 1
        if place == len(found):
            found.append([])
        found[place].append(one)
    return found


def not_yet_done(occasions: Sequence[AnOccasion]) -> list[AnOccasion]:
    """Each with the rules that have not met it before."""
    ids = [one.event_id for one in occasions if one.event_id is not None and one.heard]
    done = set(_rows(_ALREADY, {"events": ids})) if ids else set()
    if not done:
        return list(occasions)
    return [
        replace(one, heard=[heard for heard in one.heard if (one.event_id, heard.rule.pk) not in done])
        for one in occasions
    ]


@dataclass(slots=True)
class Work:
    """On the occasions of one transaction: `hold` what rules need, lock the people, work `off` each layer, and keep the
    log."""

    now: datetime
    accounts: Mapping[int, Account] = field(default_factory=dict)
    held: dict[int, what.Held] = field(default_factory=dict)  # by rule
    people: dict[int, Subscriber] = field(default_factory=dict)  # locked by the caller
    often: Counter[tuple[int, int]] = field(default_factory=Counter)  # by rule and person; _OFTEN
    expanded: dict[int, Expanded] = field(default_factory=dict)  # by rule
    results: list[tuple[Rule, _Result]] = field(default_factory=list)

    # Before anything is done, and before people are locked

    def hold(self, accounts: Mapping[int, Account], occasions: Sequence[Occasion]) -> None:
        """accounts   those of the occasions, by id"""
        rules: dict[int, dict[int, Rule]] = defaultdict(dict)
        for one in occasions:
            rules[one.account_id] |= {heard.rule.pk: heard.rule for heard in one.heard}
        self.accounts = accounts
        for account_id in sorted(rules):
            self._hold_things(account_id, list(rules[account_id].values()))
        self._count_earlier(occasions)

    def _hold_things(self, account_id: int, rules: list[Rule]) -> None:
        """Of a rule that stumbles here nothing is held; then it stumbles again, and that is logged."""

        def hold(of: Sequence[Rule]) -> None:
            found = what.hold(account_id, [action for rule in of for action in rule.actions])
            self.held |= {rule.pk: replace(found, actions=rule.actions) for rule in of}

        apart(hold, rules, lambda rule: log.error("rule_failed", rule_id=rule.pk))

    def _count_earlier(self, occasions: Sequence[Occasion]) -> None:
        inside = [one for one in occasions if not causes.is_from_outside(one.cause)]
        asked = {(heard.rule.pk, one.subscriber_id) for one in inside for heard in one.heard}
        if not asked:
            return
        values = {"rules": [rule for rule, _ in asked], "people": [person for _, person in asked]}
        rows = _rows(_OFTEN, {**values, "since": self.now - WITHIN})
        self.often.update({(rule, person): n for rule, person, n in rows})

    # A layer

    def off(self, layer: Sequence[Occasion]) -> None:
        by_rule: dict[int, list[tuple[Heard, _One]]] = defaultdict(list)
        for occasion in layer:
            for heard in occasion.heard:
                by_rule[heard.rule.pk].append((heard, _One(occasion, heard.trigger)))
        for _, found in sorted(by_rule.items()):
            rule = found[0][0].rule
            self._note(rule, (_Result(one, reasons.OUR_MISTAKE) for heard, one in found if heard.is_broken))
            self._at(rule, [one for heard, one in found if not heard.is_broken])

    def _at(self, rule: Rule, ones: list[_One]) -> None:
        def do(some: Sequence[_One]) -> None:
            done.extend(self._results(rule, some))

        def fail(one: _One) -> None:
            log.error("rule_failed", rule_id=rule.pk, event_id=one.occasion.event_id)
            done.append(_Result(one, reasons.OUR_MISTAKE))

        done: list[_Result] = []
        apart(do, ones, fail, self._read_again)
        self._note(rule, done)

    def _read_again(self, ones: Sequence[_One]) -> None:
        """What an action had done to them was undone; they are locked still."""
        for person in Subscriber.objects.filter(pk__in=[one.subscriber_id for one in ones]):
            self.people[person.pk] = person

    def _note(self, rule: Rule, results: Iterable[_Result]) -> None:
        for result in results:
            self.results.append((rule, result))
            if not result.reason and not causes.is_from_outside(result.one.cause):
                self.often[rule.pk, result.one.subscriber_id] += 1

    def _results(self, rule: Rule, ones: Sequence[_One]) -> list[_Result]:
        results, going = [], []
        met = self._met(rule, [one.subscriber_id for one in ones if not cut(rule, one.cause)])
        for one in ones:
            if reason := self._why_not(rule, one, met):
                results.append(_Result(one, reason))
            else:
                going.append(one)
        return results + self._fired(rule, going)

    def _why_not(self, rule: Rule, one: _One, met: set[int]) -> str:
        if reason := cut(rule, one.cause):
            return reason
        if one.subscriber_id not in met:
            return reasons.CONDITION
        is_counted = not causes.is_from_outside(one.cause)
        return reasons.TOO_OFTEN if is_counted and self.often[rule.pk, one.subscriber_id] >= MOST else ""

    def _met(self, rule: Rule, ids: list[int]) -> set[int]:
        """Who of them meets the condition now."""
        if rule.condition is None or not ids:
            return set(ids)
        if rule.pk not in self.expanded:
            self.expanded[rule.pk] = conditions.expanded(rule.condition, rule.account_id)
        found = self.expanded[rule.pk].people(self.accounts[rule.account_id], self.now, ids)
        return set(found.values_list("pk", flat=True))

    def _fired(self, rule: Rule, ones: Sequence[_One]) -> list[_Result]:
        by_cause: dict[Cause, list[_One]] = defaultdict(list)
        for one in ones:
            by_cause[one.cause].append(one)
        return [result for cause, of_cause in by_cause.items() for result in self._act(rule, cause, of_cause)]

    def _act(self, rule: Rule, cause: Cause, ones: Sequence[_One]) -> Iterator[_Result]:
        people = {one.subscriber_id: self.people[one.subscriber_id] for one in ones}
        held, chain = self.held[rule.pk], causes.rule(cause, rule.pk)
        done = [what.perform(action, held, people, self.now, cause=chain, source="rule") for action in rule.actions]
        for one in ones:
            pk = one.subscriber_id
            yield _Result(one, "", tuple(CHANGED if pk in each.changed else each.passed[pk] for each in done))

    # The end

    def keep_log(self) -> None:
        if not self.results:
            return
        fired: Counter[int] = Counter(rule.pk for rule, result in self.results if not result.reason)
        not_fired: Counter[int] = Counter(rule.pk for rule, result in self.results if result.reason)
        rules = sorted(fired.keys() | not_fired.keys())
        with connection.cursor() as cursor:
            cursor.execute(_LOG, [self.now, json.dumps([_row(rule, result) for rule, result in self.results])])
            counts = {"fired": [fired[pk] for pk in rules], "not_fired": [not_fired[pk] for pk in rules]}
            cursor.execute(_COUNT, {"rules": rules, **counts, "now": self.now})


def cut(rule: Rule, cause: Cause) -> str:
    """Why the chain does not lead on through this rule; "": it does."""
    if causes.has_rule(cause, rule.pk):
        return reasons.IN_ITS_OWN_CHAIN
    return reasons.TOO_DEEP if causes.depth(cause) >= causes.DEEPEST else ""


def _row(rule: Rule, result: _Result) -> dict[str, Any]:
    occasion = result.one.occasion
    return {
        "account_id": rule.account_id,
        "rule_id": rule.pk,
        "subscriber_id": occasion.subscriber_id,
        "event_id": occasion.event_id,
        "trigger": result.one.trigger,
        "outcome": Firing.Outcome.NOT_FIRED if result.reason else Firing.Outcome.FIRED,
        "reason": result.reason,
        "cause": occasion.cause,
        "is_from_outside": causes.is_from_outside(occasion.cause),
        "done": result.done,
    }


def _rows(query: str, values: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


# --- A mistake of ours costs one, not all ---------------------------------------------------------------------------

T = TypeVar("T")


def apart(
    do: Callable[[Sequence[T]], None],
    ones: Sequence[T],
    fail: Callable[[T], None],
    undone: Callable[[Sequence[T]], None] = lambda ones: None,
) -> None:
    """`do` all of them at once; if that meets a mistake of ours, each alone, and those that meet it again `fail`.

    Not so with a database that is away or has chosen us to end a deadlock: then nothing of the transaction holds.
    undone  called after what was tried with these was rolled back
    """
    if not ones:
        return
    try:
        with transaction.atomic():
            do(ones)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log.error("our_mistake", exc_info=error, n=len(ones))
        undone(ones)
        if len(ones) == 1:
            fail(ones[0])
            return
        for one in ones:
            apart(do, [one], fail, undone)
