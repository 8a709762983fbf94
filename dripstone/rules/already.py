"""People who are there already: for whom what a rule waits for is so now, and who meet its condition.

A trigger is a moment; what it leaves behind is a state, and a condition finds it: who got the tag has it now. Some
leave nothing: nobody knows any more who lost a tag.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.engine import schedule
from dripstone.errors import Invalid
from dripstone.grammar import Condition, kinds
from dripstone.rules.models import Rule
from dripstone.subscribers.models import Form
from dripstone.triggers import when
from dripstone.triggers.when import Trigger

NOTHING_LEFT = (
    "Nothing of what sets this rule off leaves a trace by which people could be found. "
    "Find them by a filter, and use a bulk action"
)
MOST_FORMS = 1_000


def whom(rule: Rule, now: datetime) -> Condition:
    """Any of its triggers, and its condition. Raises Invalid when no trigger leaves anything behind."""
    states = [state for one in rule.triggers if (state := left_behind(one, rule.account, now)) is not None]
    if not states:
        raise Invalid(NOTHING_LEFT)
    any_of_them = states[0] if len(states) == 1 else {"any": states}
    if rule.condition is None:
        return any_of_them
    condition = grammar.plain(rule.condition)
    return {"all": [any_of_them, *condition.get("all", [condition])]}


def left_behind(trigger: Trigger, account: Account, now: datetime) -> Condition | None:
    """The state that a trigger leaves; None: it leaves none."""
    found = _STATES.get(trigger["trigger"])
    return None if found is None else found(trigger, account, now)


def is_traceless(trigger: Trigger) -> bool:
    """It leaves none whatever there is: nobody knows any more who lost a tag."""
    return trigger["trigger"] not in _STATES or (trigger["trigger"] == when.FIELD_CHANGED and "value" not in trigger)


def traceless(rule: Rule, now: datetime) -> list[Trigger]:
    """Those by which nobody is found."""
    return [one for one in rule.triggers if left_behind(one, rule.account, now) is None]


State = Callable[[Trigger, Account, datetime], Condition | None]


def _tag(trigger: Trigger, account: Account, now: datetime) -> Condition:
    return {"type": kinds.TAGS, "ids": [trigger["tag_id"]], "has": "any"}


def _form(trigger: Trigger, account: Account, now: datetime) -> Condition | None:
    """Any form is whichever there are."""
    if "form_id" in trigger:
        ids = [trigger["form_id"]]
    else:
        ids = list(Form.objects.filter(account=account).order_by("pk").values_list("pk", flat=True)[:MOST_FORMS])
    return {"type": kinds.FORMS, "ids": ids, "has": "any"} if ids else None


def _place(place: str) -> State:
    return lambda trigger, account, now: {"type": kinds.SEQUENCES, "ids": [trigger["sequence_id"]], "place": place}


def _bought(trigger: Trigger, account: Account, now: datetime) -> Condition:
    products: dict[str, Any] = {"products": [trigger["product_id"]]} if "product_id" in trigger else {}
    return {"type": kinds.PURCHASES, **products}


def _field(trigger: Trigger, account: Account, now: datetime) -> Condition | None:
    """Any change leaves no trace; a value does, and so does none."""
    if "value" not in trigger:
        return None
    leaf = {"type": kinds.FIELD, "subscriber_custom_field_id": trigger["custom_field_id"]}
    if trigger["value"]:
        return {**leaf, "comparison": "is", "value": trigger["value"]}
    return {"not": {**leaf, "comparison": "has_value"}}


def _date(trigger: Trigger, account: Account, now: datetime) -> Condition:
    """The date, or the day before or after it that is meant, is over."""
    zone = ZoneInfo(account.time_zone)
    today = now.astimezone(zone).date()
    at = datetime.combine(today, datetime.min.time()).replace(hour=trigger["hour"])
    first_not_yet = today if schedule.instant(at, zone) > now else today + timedelta(days=1)
    before = min(max(first_not_yet - timedelta(days=trigger["days"]), kinds.EARLIEST), kinds.LATEST)
    leaf = {"type": kinds.FIELD, "subscriber_custom_field_id": trigger["custom_field_id"]}
    return {**leaf, "comparison": "before", "value": before.isoformat()}


def _state(state: str) -> State:
    return lambda trigger, account, now: {"type": kinds.STATE, "states": [state]}


_STATES: Mapping[str, State] = {
    when.TAG_ADDED: _tag,
    when.FORM_JOINED: _form,
    when.SEQUENCE_ENTERED: _place("ever"),
    when.SEQUENCE_COMPLETED: _place("completed"),
    when.SEQUENCE_LEFT: _place("left"),
    when.PURCHASED: _bought,
    when.FIELD_CHANGED: _field,
    when.FIELD_DATE: _date,
    when.BECAME_ACTIVE: _state("active"),
    when.CANCELLED: _state("cancelled"),
}
