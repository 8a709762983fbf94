"""Triggers: what happens to a person, as rules, entries of automations and their events wait for it.

    {"trigger": "tag_added", "tag_id": 3}
    {"trigger": "field_changed", "custom_field_id": 5, "value": "Bonn"}
    {"trigger": "field_date", "custom_field_id": 5, "days": -3, "hour": 9, "yearly": true}

Most come to be by an event (`event_keys`, `is_met`); `field_date` by time (dates.py); `link_clicked` by nothing yet.
Pure, but for `read`, which asks what exists.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from dripstone import words as english
from dripstone.accounts.models import Account
from dripstone.conditions.words import Joint, Names, called, joined
from dripstone.engine import schedule
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.given import Checked
from dripstone.grammar import Thing, kinds
from dripstone.triggers import reading

Trigger = dict[str, Any]
Key = tuple[str, int | None]
For = Literal["rule", "entry", "event"]

FORM_JOINED: Final = "form_joined"
TAG_ADDED: Final = "tag_added"
TAG_REMOVED: Final = "tag_removed"
SEQUENCE_ENTERED: Final = "sequence_entered"
SEQUENCE_COMPLETED: Final = "sequence_completed"
SEQUENCE_LEFT: Final = "sequence_left"
PURCHASED: Final = "purchased"
FIELD_CHANGED: Final = "field_changed"
FIELD_DATE: Final = "field_date"
BECAME_ACTIVE: Final = "became_active"
LINK_CLICKED: Final = "link_clicked"
CANCELLED: Final = "cancelled"
DATE: Final = "date"

MOST_DAYS = 3_650  # before or after a date
LONGEST_URL = 2_000

# --- Reading ------------------------------------------------------------------------------------------------------


def read(
    given: object, member: str, account_id: int, *, for_: For, may_be_gone: Collection[Thing] = ()
) -> list[Trigger]:
    """As they are to be kept, each once. Raises Invalid with every problem, each with its member: `triggers[0].tag_id`.

    for_   `cancelled` is for rules alone, `date` for events of automations
    may_be_gone   what the triggers before an edit name: it may be written back, deleted or not
    """
    outer, inside = reading.items(given, member)
    account = Account.objects.get(pk=account_id) if inside else None
    found = [(one, read_one(one, account, for_=for_)) for one in inside if account is not None]
    reading.refuse_unknown(found, account_id, may_be_gone)
    outer.raise_problems()
    return reading.each_once([kept for _, kept in found])


_ONLY_FOR: Mapping[str, For] = {CANCELLED: "rule", DATE: "event"}


def read_one(one: Checked, account: Account, *, for_: For) -> Trigger:
    """The trigger whose members stand in `one`, which collects the problems; {} where its kind is one. Whether what it
    names is there is for reading.refuse_unknown to say."""
    if "trigger" not in one.given:
        one.blank("trigger")
    one.choice("trigger", [kind for kind in _READERS if _ONLY_FOR.get(kind, for_) == for_])
    kind = one.values.get("trigger")
    return {"trigger": kind, **_READERS[kind](one, account)} if kind else {}


Reader = Callable[[Checked, Account], dict[str, Any]]


def _of(name: str, *, may_be_any: bool = False) -> Reader:
    return lambda one, account: reading.thing(one, name, may_be_any=may_be_any)


def _nothing(one: Checked, account: Account) -> dict[str, Any]:
    return {}


def _field_changed(one: Checked, account: Account) -> dict[str, Any]:
    """Without a `value` any change counts; an empty one is waited for, too."""
    found: dict[str, Any] = reading.thing(one, "custom_field_id")
    if one.given.get("value") == "":
        return found | {"value": ""}
    value = reading.text(one, "value")
    return found if value is None else found | {"value": value}


def _field_date(one: Checked, account: Account) -> dict[str, Any]:
    one.drop_nulls("days", "hour", "yearly")
    one.whole_number("days", -MOST_DAYS, MOST_DAYS)
    one.whole_number("hour", 0, 23)
    one.flag("yearly")
    usual: dict[str, Any] = {"days": 0, "hour": account.send_hour, "yearly": False}
    return reading.thing(one, "custom_field_id") | {name: one.values.get(name, usual[name]) for name in usual}


def _link_clicked(one: Checked, account: Account) -> dict[str, Any]:
    one.drop_nulls("url")
    one.words("url", LONGEST_URL)
    return {"url": one.values["url"]} if "url" in one.values else {}


def read_instant(one: Checked, account: Account) -> dict[str, Any]:
    """`at`, a day or an instant: without an offset, of the account's zone. It stays when that changes."""
    if "at" not in one.given:
        one.blank("at")
    one.instant("at")
    if (found := one.values.get("at")) is None:
        return {}
    if not kinds.EARLIEST <= found.date() <= kinds.LATEST:  # no zone moves it out of the calendar
        one.wrong("at", f"must be between {kinds.EARLIEST} and {kinds.LATEST}")
        return {}
    zone = ZoneInfo(account.time_zone)
    if not _WITH_OFFSET.search(str(one.given["at"])):
        found = schedule.instant(found.replace(tzinfo=None), zone)
    return {"at": found.astimezone(zone).isoformat()}


_WITH_OFFSET = re.compile(r"T.*(Z|[+ -]\d\d:?\d\d)$")

_READERS: Mapping[str, Reader] = {
    FORM_JOINED: _of("form_id", may_be_any=True),
    TAG_ADDED: _of("tag_id"),
    TAG_REMOVED: _of("tag_id"),
    SEQUENCE_ENTERED: _of("sequence_id"),
    SEQUENCE_COMPLETED: _of("sequence_id"),
    SEQUENCE_LEFT: _of("sequence_id"),
    PURCHASED: _of("product_id", may_be_any=True),
    FIELD_CHANGED: _field_changed,
    FIELD_DATE: _field_date,
    BECAME_ACTIVE: _nothing,
    LINK_CLICKED: _link_clicked,
    CANCELLED: _nothing,
    DATE: read_instant,
}
KINDS = tuple(_READERS)

# --- Events -------------------------------------------------------------------------------------------------------

# Which events it comes to be by, and the member that names their subject; "": it is about none.
_EVENTS: Mapping[str, tuple[tuple[str, ...], str]] = {
    FORM_JOINED: ((types.SUBSCRIBED_TO_FORM, types.FORM_FILLED_IN_AGAIN), "form_id"),
    TAG_ADDED: ((types.TAG_ADDED,), "tag_id"),
    TAG_REMOVED: ((types.TAG_REMOVED,), "tag_id"),
    SEQUENCE_ENTERED: ((types.ADDED_TO_SEQUENCE,), "sequence_id"),
    SEQUENCE_COMPLETED: ((types.SEQUENCE_COMPLETED,), "sequence_id"),
    SEQUENCE_LEFT: ((types.REMOVED_FROM_SEQUENCE,), "sequence_id"),
    PURCHASED: ((types.PRODUCT_PURCHASED,), "product_id"),
    FIELD_CHANGED: ((types.FIELD_VALUE_UPDATED,), "custom_field_id"),
    BECAME_ACTIVE: ((types.SUBSCRIBER_ACTIVATED, types.SUBSCRIBER_RESUBSCRIBED), ""),
    CANCELLED: ((types.SUBSCRIBER_UNSUBSCRIBED,), ""),
}


def event_keys(trigger: Trigger) -> frozenset[Key]:
    """Types of events with the id of their subject, None for any: a dictionary of these finds an event's triggers.

    Empty for what comes to be by time, or not yet.
    """
    by, member = _EVENTS.get(trigger["trigger"], ((), ""))
    subject = trigger.get(member) if member else None
    return frozenset((kind, subject) for kind in by)


def keys_of(event: Event) -> tuple[Key, Key]:
    """Under which a trigger may wait for this event."""
    return (event.type, event.subject_id), (event.type, None)


def is_met(trigger: Trigger, event: Event) -> bool:
    """Of an event that has one of the trigger's keys: the rest of what it asks."""
    if trigger["trigger"] == FIELD_CHANGED and "value" in trigger:
        return bool((event.data.get("value") or "") == trigger["value"])
    return True


# --- What they name, and how they read ----------------------------------------------------------------------------


def things(trigger: Trigger) -> list[Thing]:
    """What it names: ("tag", 3)."""
    return [thing for _, thing in reading.named(trigger)]


def words(trigger: Trigger, names: Names, who: str = "somebody") -> str:
    """`somebody gets the tag “Course”`. names: conditions.words.names_of; what is missing there is gone."""
    if trigger["trigger"] == DATE:
        return _said(trigger, names)
    return f"{who} {_said(trigger, names)}"


def sentence(triggers: Iterable[Trigger], names: Names) -> str:
    """Any of them: `somebody gets the tag “Course” or joins the form “News”`."""
    return f"somebody {joined([_said(one, names) for one in triggers], Joint.OR)}"


def _said(trigger: Trigger, names: Names) -> str:
    kind = trigger["trigger"]
    if kind in _WORDS:
        which = next((called(thing, names) for thing in things(trigger)), "")
        some, anything = _WORDS[kind]
        return some.format(which) if which else anything
    return _OTHER_WORDS[kind](trigger, names)


# With a thing, and without.
_WORDS: Mapping[str, tuple[str, str]] = {
    FORM_JOINED: ("joins the form {}", "joins any form"),
    TAG_ADDED: ("gets the tag {}", ""),
    TAG_REMOVED: ("loses the tag {}", ""),
    SEQUENCE_ENTERED: ("enters the sequence {}", ""),
    SEQUENCE_COMPLETED: ("completes the sequence {}", ""),
    SEQUENCE_LEFT: ("leaves the sequence {} before its end", ""),
    PURCHASED: ("buys {}", "buys something"),
    BECAME_ACTIVE: ("", "becomes active"),
    CANCELLED: ("", "unsubscribes"),
}


def _field_in_words(trigger: Trigger, names: Names) -> str:
    return f"the field {called(('custom_field', trigger['custom_field_id']), names)}"


def _changed_in_words(trigger: Trigger, names: Names) -> str:
    field = _field_in_words(trigger, names)
    if "value" not in trigger:
        return f"has {field} changed"
    return f"has {field} set to {english.title(trigger['value'])}" if trigger["value"] else f"has {field} emptied"


def _date_in_words(trigger: Trigger, names: Names) -> str:
    days, field = trigger["days"], _field_in_words(trigger, names)
    reaches = f"is {english.count(abs(days), 'day')} {'before' if days < 0 else 'after'}" if days else "reaches"
    yearly = ", every year" if trigger["yearly"] else ""
    return f"{reaches} the date in {field}{yearly}, at {trigger['hour']}:00"


def _click_in_words(trigger: Trigger, names: Names) -> str:
    return f"clicks the link {english.title(trigger['url'])}" if "url" in trigger else "clicks a link"


def _instant_in_words(trigger: Trigger, names: Names) -> str:
    at = datetime.fromisoformat(trigger["at"])
    return f"it is {english.day(at.date())} {at.year} at {at:%H:%M}"


_OTHER_WORDS: Mapping[str, Callable[[Trigger, Names], str]] = {
    FIELD_CHANGED: _changed_in_words,
    FIELD_DATE: _date_in_words,
    LINK_CLICKED: _click_in_words,
    DATE: _instant_in_words,
}


def nothing_yet(trigger: Trigger) -> str:
    """Why it can't happen yet: a sentence; "" where it can."""
    is_unrecorded = trigger["trigger"] == LINK_CLICKED
    return "Nothing is recorded yet about who clicked a link, so nothing sets it off." if is_unrecorded else ""
