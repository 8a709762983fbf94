"""Hands events and dates in people's fields to the rules that hear them, and then to the automations.

Takes       events in the order of their numbers, of accounts that have a rule or an automation that listens; dates
            that have come, the longest first
Leaves      what rules/fire.py and hear.py make of them, and dates that follow changed values, in the same transaction
            as the reader's place among the events, or as the dates are taken
A crash here means that they are read again, and that the first try has left nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import OperationalError, transaction

from dripstone.accounts.models import Account
from dripstone.automations import book, hear, walk
from dripstone.automations.book import Book
from dripstone.automations.hear import Happening
from dripstone.automations.models import Automation, Walk
from dripstone.automations.tick import Pace
from dripstone.events import causes, reading, types
from dripstone.events.models import Event, Number
from dripstone.postgresql.deadlocks import is_deadlock
from dripstone.rules import fire
from dripstone.rules.book import Book as RuleBook
from dripstone.rules.book import Heard
from dripstone.rules.models import Rule
from dripstone.subscribers.models import locked_all
from dripstone.triggers import dates
from dripstone.triggers.dates import Due
from dripstone.triggers.turn import NOTHING, READER, Passed, turn

log = structlog.get_logger(__name__)

AT_ONCE = 500  # dates


class Books(NamedTuple):
    """What rules and automations there are, kept in memory. Who acts in a transaction that will be undone takes its
    own."""

    rules: RuleBook
    automations: Book


BOOKS = Books(RuleBook(), Book())
rules, automations = BOOKS
_pace = Pace(20)


def next_events(now: datetime) -> bool:
    """Work off the next events. False: there are no more, or another process is at them just now."""
    return events(now).is_more


def events(now: datetime) -> Passed:
    """The same. What rules and automations do are events too: after they have acted there is more."""
    with turn() as is_ours:
        return _read(now) if is_ours else NOTHING


def next_dates(now: datetime) -> Passed:
    """Work off some of the dates that have come, of each person one: what it causes comes before their next (A9)."""
    with turn() as is_ours:
        return _take(now) if is_ours else NOTHING


def is_heard() -> bool:
    """Whether any rule or automation listens at all."""
    return Rule.objects.filter(is_on=True).exists() or book.listening().exists()


# --- A window of events -------------------------------------------------------------------------------------------


def _read(now: datetime) -> Passed:
    try:
        with _pace.kept() as limit, reading.following_of(READER, _accounts, limit) as window:
            n_done = _window(window.numbers, now) if window.numbers else 0
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("rules_wait")  # for somebody who holds what we need: the window begins again
        return Passed(0, True)
    return Passed(n_done, n_done > 0 or not window.is_last)


def _accounts() -> Collection[int]:
    of_rules = Rule.objects.filter(is_on=True).values_list("account_id", flat=True)
    return set(of_rules.union(book.listening().values_list("account_id", flat=True)))


def _window(numbers: list[Number], now: datetime) -> int:
    n_done = work_off(happenings(numbers), now)
    _look_at_what_is_gone([number.event for number in numbers], now)
    fire.apart(
        lambda some: dates.follow(some, now),
        [number.event for number in numbers],
        lambda event: log.error("date_not_followed", event_id=event.pk),
    )
    return n_done


_DELETED = {types.TAG_DELETED: "tag", types.CUSTOM_FIELD_DELETED: "custom_field", types.SEQUENCE_DELETED: "sequence"}


def _look_at_what_is_gone(events: Iterable[Event], now: datetime) -> None:
    """Who waits for what was deleted goes on (A14)."""
    gone = [(event.account_id, (_DELETED[event.type], event.subject_id)) for event in events if event.type in _DELETED]
    pages = automations.pages({account_id for account_id, _ in gone}) if gone else {}
    for account_id, (kind, pk) in gone:
        for automation_id, route in pages[account_id].routes.items():
            if keys := route.waiting_for((kind, pk or 0)):
                walk.look_again(automation_id, keys, now)
            if kind == "custom_field" and pk in route.fields:
                walk.without_date(automation_id, route.waiting_for_field(pk), now)


def happenings(numbers: list[Number], books: Books = BOOKS) -> list[Happening]:
    """What these events are for whoever listens, in their order."""
    accounts = {number.event.account_id for number in numbers}
    of_rules, of_automations = books.rules.pages(accounts), books.automations.pages(accounts)
    inside = _inside([number.event for number in numbers]) if any(one.routes for one in of_automations.values()) else {}
    found = []
    for number in numbers:
        event: Event = number.event
        if event.subscriber_id is None:
            continue
        is_quiet = causes.is_quiet(event.cause)
        heard = [] if is_quiet else of_rules[event.account_id].heard(event, number.pk)
        page, places = of_automations[event.account_id], inside.setdefault(event.subscriber_id, set())
        concerned = page.inside(event, places)
        entries = {} if is_quiet else page.entries(event, number.pk)
        if event.type == types.SENT_INTO_AUTOMATION and event.subject_id is not None:
            entries[event.subject_id] = ""
        places |= entries.keys()  # perhaps, by the time of the next event
        if heard or concerned or entries:
            found.append(_happening(event, heard, entries, concerned))
    return found


def _happening(event: Event, heard: list[Heard], entries: dict[int, str], inside: Collection[int]) -> Happening:
    assert event.subscriber_id is not None
    who = event.account_id, event.subscriber_id, event.pk, tuple(event.cause)
    return Happening(*who, heard, event=event, entries=entries, inside=frozenset(inside))


def _inside(events: Iterable[Event]) -> dict[int, set[int]]:
    """Where people are, before the first of these. By walk_inside_once."""
    people = {event.subscriber_id for event in events if event.subscriber_id is not None}
    found: dict[int, set[int]] = defaultdict(set)
    rows = Walk.objects.filter(subscriber_id__in=people, left_at=None)
    for person, automation_id in rows.values_list("subscriber_id", "automation_id"):
        found[person].add(automation_id)
    return found


# --- Dates in fields ----------------------------------------------------------------------------------------------


def _take(now: datetime) -> Passed:
    try:
        with transaction.atomic():
            dues = dates.take(now, AT_ONCE)
            n_done = work_off(of_dates(dues), now)
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("dates_wait")
        return Passed(0, True)
    return Passed(n_done, bool(dues))


def of_dates(dues: Sequence[Due], books: Books = BOOKS) -> list[Happening]:
    return [*_of_rules(dues), *_of_automations(dues, books.automations)]


def _of_rules(dues: Iterable[Due]) -> list[Happening]:
    of_rules = [due for due in dues if due.owner.kind == "rule"]
    on = Rule.objects.filter(is_on=True).in_bulk({due.owner.pk for due in of_rules}) if of_rules else {}
    found = []
    for due in of_rules:
        rule = on.get(due.owner.pk)
        if rule is not None and due.trigger < len(rule.triggers):
            heard = [Heard(rule, rule.triggers[due.trigger])]
            found.append(Happening(due.owner.account_id, due.subscriber_id, None, causes.NONE, heard))
    return found


def _of_automations(dues: Iterable[Due], automations: Book) -> list[Happening]:
    """A date's number is the place of its trigger among Route.dated."""
    of_automations = [due for due in dues if due.owner.kind == "automation"]
    rows = Automation.objects.defer("draft").in_bulk({due.owner.pk for due in of_automations}) if of_automations else {}
    routes = automations.routes(rows.values())
    found = []
    for due in of_automations:
        automation, route = rows.get(due.owner.pk), routes.get(due.owner.pk)
        if automation is None or route is None or due.trigger >= len(route.dated):
            continue
        trigger = route.dated[due.trigger]
        entry = route.entry_of_date(trigger) if automation.status != Automation.Status.INACTIVE else None
        found.append(
            Happening(
                due.owner.account_id,
                due.subscriber_id,
                None,
                causes.NONE,
                [],
                trigger=trigger,
                entries={} if entry is None else {automation.pk: entry},
                inside=frozenset({automation.pk}),
            )
        )
    return found


# --- Both ---------------------------------------------------------------------------------------------------------


def work_off(happenings: Sequence[Happening], now: datetime, books: Books = BOOKS) -> int:
    """In the caller's transaction, which has locked nothing of theirs. Returns how many firings and steps there are
    now, those that came to nothing among them."""
    happenings = fire.not_yet_done(happenings)
    happenings = [one for one in happenings if one.heard or one.entries or one.inside]
    if not happenings:
        return 0
    people: dict[int, set[int]] = defaultdict(set)
    for one in happenings:
        people[one.account_id].add(one.subscriber_id)
    ids = {pk for one in happenings for pk in one.automation_ids}
    held = walk.of(walk.locked(ids) if ids else (), books.automations)
    firing = fire.Work(now)
    firing.hold(Account.objects.in_bulk(sorted(people)), happenings)
    for account_id, some in sorted(people.items()):
        held.people |= locked_all(account_id, some)
    firing.people = held.people
    walk.add_walks(held, held.people)
    for layer in fire.layers(one for one in happenings if one.subscriber_id in held.people):
        firing.off(layer)
        hear.layer(held, layer, now)
    firing.keep_log()
    walk.keep_counts(held)
    return len(firing.results) + held.n_steps
