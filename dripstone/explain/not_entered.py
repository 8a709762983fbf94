"""Why did she not enter? Of one person and one automation: whether they are inside, what the log says, what keeps them
out now, and what became of everything that would have let them in.

It only reads, with a fixed number of queries for any number of entries, and one more for each kind of state.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.automations import reading
from dripstone.automations import words as node_words
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, Step, Walk
from dripstone.conditions import matching
from dripstone.events import causes
from dripstone.events.models import Event, Number, Reader
from dripstone.explain import trigger_checks, walk_words
from dripstone.explain.trigger_checks import World
from dripstone.explain.walk_words import Line, lowered
from dripstone.rules import already
from dripstone.subscribers.models import State, Subscriber
from dripstone.triggers import dates, when
from dripstone.triggers.turn import READER
from dripstone.triggers.when import Key, Trigger

SHOWN = 10  # rows of the log


@dataclass(frozen=True, slots=True)
class WhyNot:
    """is_inside   they did enter, and are inside now
    sentences   what is known, what decides first
    lately      the last rows of the log about them here, newest first
    """

    is_inside: bool
    sentences: tuple[str, ...]
    lately: tuple[Line, ...] = ()


def of(automation: Automation, person: Subscriber, now: datetime) -> WhyNot:
    """Both are of one account."""
    asked = _Asked(automation, person, now)
    inside = next((walk for walk in asked.walks if walk.left_at is None), None)
    if inside is not None:
        return WhyNot(True, tuple(asked.inside(inside)), tuple(asked.lately))
    told = [*asked.last_time(), *asked.barred(), *asked.entries()]
    return WhyNot(False, tuple(told), tuple(asked.lately))


@dataclass
class _Asked:
    automation: Automation
    person: Subscriber
    now: datetime

    @property
    def account(self) -> Account:
        return self.automation.account

    @cached_property
    def walks(self) -> list[Walk]:
        """The last run first."""
        return list(Walk.objects.filter(**self._mine).order_by("-run"))

    @cached_property
    def lately(self) -> list[Line]:
        rows = list(Step.objects.filter(**self._mine).order_by("-pk")[:SHOWN])
        return walk_words.of(rows, walk_words.names_of(rows, self.account.pk))

    @property
    def _mine(self) -> dict[str, Any]:
        return {"automation_id": self.automation.pk, "subscriber_id": self.person.pk}

    @cached_property
    def graph(self) -> Graph:
        return walk_words.graphs_of([self.automation])[self.automation.pk]

    @cached_property
    def world(self) -> World:
        return World(self.account, self.now, reading.all_things(self.graph), self.graph.triggers)

    def on(self, at: datetime) -> str:
        """`today, 09:00`, `on Mon 23 Nov, 09:00`."""
        return words.on(at, self.account.time_zone, self.now)

    # What the rows say

    def inside(self, walk: Walk) -> Iterator[str]:
        node = self.graph.nodes.get(walk.node)
        where = "at the entry" if node is None else f"at {words.title(node_words.node(node, self.world.names))}"
        yield f"They are inside: they entered {self.on(walk.entered_at)}, and stand {where}."
        if self.person.state == State.INACTIVE:
            yield "They have not confirmed their address, and nobody unconfirmed goes on."
        elif self.automation.status != Automation.Status.ACTIVE:
            yield f"The automation {STATUSES[self.automation.status]}, so nobody goes on."

    def last_time(self) -> Iterator[str]:
        """They were inside before; and the last thing that did not let them in."""
        if self.walks:
            last = self.walks[0]
            assert last.left_at is not None
            why = walk_words.WHY_LEFT.get(last.left_because, last.left_because)
            yield f"They were inside and left {self.on(last.left_at)}, because {why}."
        refused = next((line for line in self.lately if line.row.what == Step.What.NOT_ENTERED), None)
        if refused is not None and (not self.walks or refused.at >= self.walks[0].entered_at):
            why = walk_words.WHY_NOT.get(refused.row.reason, refused.row.reason)
            by = f" ({lowered(refused.by)})" if refused.by else ""
            yield f"They did not enter {self.on(refused.at)}{by}, because {why}."

    # What keeps them out, whatever happens

    def barred(self) -> Iterator[str]:
        if self.automation.status == Automation.Status.INACTIVE:
            yield f"The automation {STATUSES[self.automation.status]}: nobody enters."
        elif self.automation.status == Automation.Status.PAUSED:
            yield "The automation is paused: whoever enters waits at the entry."
        if self.person.state in _BARRED:
            yield f"{_BARRED[self.person.state]}, and so they do not enter."
        elif self.person.state == State.INACTIVE:
            yield "They have not confirmed their address: they can enter, and wait at the entry until they do."
        if self.automation.reenter == Automation.Reenter.NEVER and any(
            walk.node or walk.is_completed for walk in self.walks
        ):
            yield "Nobody enters it a second time, and they have been through it."
        if not self.graph.entries:
            yield "Nothing lets people in by itself: they come by hand, or are moved here by a rule or an automation."

    # What would have let them in

    def entries(self) -> Iterator[str]:
        for trigger in self.graph.triggers:
            yield from self._entry(trigger)

    def _entry(self, trigger: Trigger) -> Iterator[str]:
        if (thing := self.world.gone(when.things(trigger))) is not None:
            yield f"An entry waits for {trigger_checks.number(thing)}, which is gone: that never happens."
        elif nothing := when.nothing_yet(trigger):
            yield nothing
        else:
            waits = f"An entry waits until {when.words(trigger, self.world.names, 'the person')}"
            if told := self._told(trigger):
                yield f"{waits}: {told}."

    def _told(self, trigger: Trigger) -> str:
        """What is known of it; "" where the log has said what came of it."""
        if trigger["trigger"] == when.FIELD_DATE:
            return self._told_of_date(trigger)
        event = self._last(trigger)
        if event is None:
            is_so = f"that is so, but nothing that is kept says since when, and {_ONLY_LATER}"
            return is_so if self._is_so(trigger) else "that has not happened to them"
        happened = f"that happened {self.on(event.occurred_at)}"
        if any(line.row.event_id == event.pk for line in self.lately):
            return ""
        if not when.is_met(trigger, event):
            return f"the last change, {self.on(event.occurred_at)}, was another one"
        if causes.is_quiet(event.cause):
            return f"{happened}, but it was told to let nobody in"
        if event.pk > self._read_up_to:
            return f"{happened}, and has not been read yet"
        if event.pk <= self._heard_after:
            return f"{happened}, before the automation was switched on, and {_ONLY_LATER}"
        return f"{happened}, before this entry was there, and {_ONLY_LATER}"

    def _told_of_date(self, trigger: Trigger) -> str:
        """A date comes by itself: no event says of it that it was reached."""
        value, zone = self.person.fields.get(str(trigger["custom_field_id"])), self.account.time_zone
        if not value:
            return "there is nothing in the field"
        day = dates.days([value], zone)[value]
        if day is None:
            return f"{words.title(value)} in the field is no date"
        asked = day, trigger["days"], trigger["hour"], zone, self.now
        coming = dates.reached(*asked, yearly=trigger["yearly"])
        if coming is not None:
            return f"that comes {self.on(coming[1])}"
        at = dates.instant_of(day, trigger["days"], trigger["hour"], zone)
        if any(line.row.event_id is None and line.at >= at for line in self.lately):
            return ""
        return f"that was {self.on(at)}, before the automation was switched on or the value was there"

    def _is_so(self, trigger: Trigger) -> bool:
        state = already.left_behind(trigger, self.account, self.now)
        return state is not None and matching(state, self.account, self.now, among=[self.person.pk]).exists()

    def _last(self, trigger: Trigger) -> Event | None:
        found = (self._last_events[key] for key in when.event_keys(trigger) if key in self._last_events)
        return max(found, key=lambda event: event.pk, default=None)

    @cached_property
    def _last_events(self) -> dict[Key, Event]:
        """Of what the entries wait for, the last that happened to the person, as far as events are kept."""
        types = {kind for trigger in self.graph.triggers for kind, _ in when.event_keys(trigger)}
        mine = Event.objects.filter(subscriber_id=self.person.pk, account_id=self.account.pk, type__in=types)
        found: dict[Key, Event] = {}
        for event in sorted(mine.order_by("type", "subject_id", "-pk").distinct("type", "subject_id"), key=_by_id):
            found |= dict.fromkeys(when.keys_of(event), event)
        return found

    # By the ids of events: their numbers follow these, but for those that were written side by side.

    @cached_property
    def _heard_after(self) -> int:
        return _event_number(self.automation.listens_after)

    @cached_property
    def _read_up_to(self) -> int:
        return _event_number(Reader.objects.filter(pk=READER).values_list("number", flat=True).first() or 0)


def _by_id(event: Event) -> int:
    return event.pk


def _event_number(number: int) -> int:
    """The id of the event with that number; 0: it is kept no more, and those before it neither."""
    return Number.objects.filter(pk=number).values_list("event_id", flat=True).first() or 0


STATUSES: Mapping[str, str] = {
    Automation.Status.INACTIVE: "is switched off",
    Automation.Status.PAUSED: "is paused",
    Automation.Status.ACTIVE: "runs",
}
_BARRED: Mapping[str, str] = {
    State.CANCELLED: "They unsubscribed",
    State.BOUNCED: "Their address does not take mail any more",
    State.COMPLAINED: "They reported an email as spam",
}
_ONLY_LATER = "only what happens while it runs lets anybody in: people who match already can be added"
