"""The rules that are on, by what they hear: whoever reads events finds an event's rules in one step, however many
others there are.

Kept in memory from one reading to the next. Each reading asks for the rules' numbers of edition, and loads what has
changed: 2 ms for a thousand rules that are as they were.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import structlog

from dripstone.events.models import Event
from dripstone.rules.models import Rule
from dripstone.triggers import when
from dripstone.triggers.when import Key, Trigger

log = structlog.get_logger(__name__)

Version = tuple[int, int, int]  # of a rule: its id, edition, listens_after


@dataclass(frozen=True, slots=True)
class Heard:
    """A rule, and the trigger of its that an event meets, or (`is_broken`) that stumbled over it."""

    rule: Rule
    trigger: Trigger
    is_broken: bool = False


@dataclass(slots=True)
class Page:
    """The rules of an account that are on, by id; and what they hear."""

    versions: list[Version] = field(default_factory=list)
    rules: dict[int, Rule] = field(default_factory=dict)
    hearing: dict[Key, list[tuple[Rule, int]]] = field(default_factory=dict)  # each with the trigger's place

    def heard(self, event: Event, number: int) -> list[Heard]:
        """Who is to work off the event, by id: each once, by the first of its triggers that is met."""
        found: dict[int, Heard] = {}
        for rule, place in sorted(self._asked(event), key=_by_id):
            if rule.pk in found or number <= rule.listens_after:
                continue
            if heard := _met(rule, rule.triggers[place], event):
                found[rule.pk] = heard
        return list(found.values())

    def _asked(self, event: Event) -> Iterator[tuple[Rule, int]]:
        yield from self.hearing.get((event.type, event.subject_id), ())
        if event.subject_id is not None:
            yield from self.hearing.get((event.type, None), ())


def _met(rule: Rule, trigger: Trigger, event: Event) -> Heard | None:
    try:
        return Heard(rule, trigger) if when.is_met(trigger, event) else None
    except Exception as error:
        log.error("rule_failed", exc_info=error, rule_id=rule.pk, event_id=event.pk)
        return Heard(rule, trigger, is_broken=True)


def _by_id(asked: tuple[Rule, int]) -> tuple[int, int]:
    rule, place = asked
    return rule.pk, place


class Book:
    """One thread reads in it."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}

    def pages(self, account_ids: Collection[int]) -> dict[int, Page]:
        """As they are now, of these accounts."""
        rows = Rule.objects.filter(account_id__in=account_ids, is_on=True).order_by("pk")
        versions: dict[int, list[Version]] = defaultdict(list)
        for account_id, *version in rows.values_list("account_id", "pk", "edition", "listens_after"):
            versions[account_id].append((version[0], version[1], version[2]))
        changed = {
            version[0]
            for account_id, found in versions.items()
            for version in set(found).difference(self._page(account_id).versions)
        }
        loaded = Rule.objects.filter(is_on=True).in_bulk(changed) if changed else {}
        for account_id in account_ids:
            self._turn(account_id, versions[account_id], loaded)
        return {account_id: self._pages[account_id] for account_id in account_ids}

    def _page(self, account_id: int) -> Page:
        return self._pages.setdefault(account_id, Page())

    def _turn(self, account_id: int, versions: list[Version], loaded: dict[int, Rule]) -> None:
        before = self._page(account_id)
        if before.versions == versions:
            return
        known = {**before.rules, **loaded}
        rules = {pk: known[pk] for pk, *_ in versions if pk in known}
        self._pages[account_id] = Page(versions, rules, _hearing(rules))


def _hearing(rules: dict[int, Rule]) -> dict[Key, list[tuple[Rule, int]]]:
    hearing: dict[Key, list[tuple[Rule, int]]] = defaultdict(list)
    for rule in rules.values():
        for place, trigger in enumerate(rule.triggers):
            for key in _keys(rule, trigger):
                hearing[key].append((rule, place))
    return dict(hearing)


def _keys(rule: Rule, trigger: Trigger) -> frozenset[Key]:
    """None of a trigger that cannot be read: the account's other rules are not to suffer from it."""
    try:
        return when.event_keys(trigger)
    except Exception as error:
        log.error("rule_unreadable", exc_info=error, rule_id=rule.pk)
        return frozenset()
