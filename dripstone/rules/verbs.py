"""Rules: made, changed, switched, copied, deleted.

A rule that is on hears of what happens after it was made or switched on, and of nothing before. An edit holds for
events that are read after it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.conditions import reading as conditions
from dripstone.errors import Invalid, NotFound
from dripstone.events import reading
from dripstone.given import MAX_NAME, Checked, Given
from dripstone.grammar import Thing
from dripstone.rules import wake
from dripstone.rules.models import Rule
from dripstone.triggers import dates, what, when
from dripstone.triggers.turn import READER

MOST = 2_000  # of an account
OWNER = "owner"
_COPY = " (copy)"


def of(account: Account) -> QuerySet[Rule]:
    return Rule.objects.filter(account=account)


@transaction.atomic
def create(account: Account, given: Given, now: datetime, actor: str = OWNER) -> Rule:
    """given  `name`, `triggers`, `condition` (null or absent: everybody), `actions`, `active` (absent: off)
    actor   who does it, kept as `changed_by`
    Raises Invalid with every problem by its member.
    """
    values = _checked(given, account, None)
    return _made(account, values.pop("is_on", False), now, actor, **values)


@transaction.atomic
def update(rule: Rule, given: Given, now: datetime, actor: str = OWNER) -> Rule:
    """Change the members given; `active` switches. Raises Invalid, NotFound."""
    rule = locked(rule)
    values = _checked(given, rule.account, rule)
    is_on = values.pop("is_on", rule.is_on)
    for name, value in values.items():
        setattr(rule, name, value)
    return _changed(rule, is_on, now, actor)


@transaction.atomic
def switch(rule: Rule, on: bool, now: datetime, actor: str = OWNER) -> Rule:
    """Nothing of what happened while it was off fires it. Raises NotFound."""
    rule = locked(rule)
    return rule if rule.is_on == on else _changed(rule, on, now, actor)


@transaction.atomic
def duplicate(rule: Rule, now: datetime, actor: str = OWNER) -> Rule:
    """The same once more, off, named "… (copy)", whatever has become of the things it names. Raises Invalid,
    NotFound."""
    rule = locked(rule)
    said = {"triggers": rule.triggers, "condition": rule.condition, "actions": rule.actions}
    name = f"{rule.name[: MAX_NAME - len(_COPY)]}{_COPY}"
    return _made(rule.account, False, now, actor, name=name, **said)


@transaction.atomic
def delete(rule: Rule, now: datetime) -> None:
    """Its log is not shown any more, and goes at night. What it did stays done. Raises NotFound."""
    rule = locked(rule)
    dates.set_up(_owner(rule), [], now)
    rule.delete()


def locked(rule: Rule) -> Rule:
    """As it is now, until the transaction ends. Raises NotFound."""
    rows = Rule.objects.select_for_update(no_key=True, of=("self",)).select_related("account")
    found = rows.filter(account=rule.account_id, pk=rule.pk).first()
    if found is None:
        raise NotFound
    return found


# --- What all of them do ------------------------------------------------------------------------------------------


def _made(account: Account, is_on: bool, now: datetime, actor: str, **values: Any) -> Rule:
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)  # two at once do not pass the limit together
    if of(account).count() >= MOST:
        raise Invalid(f"An account can't have more than {MOST:,} rules; delete one first")
    stamps: dict[str, Any] = {"made_at": now, "changed_at": now, "changed_by": actor}
    rule = Rule.objects.create(account=account, is_on=is_on, listens_after=_from_now_on(is_on), **stamps, **values)
    _set_up(rule, now)
    return rule


def _changed(rule: Rule, is_on: bool, now: datetime, actor: str) -> Rule:
    if is_on and not rule.is_on:
        rule.listens_after = _from_now_on(is_on)
    rule.is_on, rule.changed_at, rule.changed_by = is_on, now, actor
    rule.edition += 1
    changed = ("name", "triggers", "condition", "actions", "is_on", "listens_after", "changed_at", "changed_by")
    rule.save(update_fields=[*changed, "edition"])
    _set_up(rule, now)
    return rule


def _from_now_on(is_on: bool) -> int:
    return reading.from_now_on(READER) if is_on else 0


def _set_up(rule: Rule, now: datetime) -> None:
    """Dates for its triggers, while it is on; and somebody to work off its events."""
    dates.set_up(_owner(rule), rule.triggers if rule.is_on else [], now)
    if rule.is_on:
        wake.worker()


def _owner(rule: Rule) -> dates.Owner:
    return dates.Owner("rule", rule.pk, rule.account_id)


# --- Checks -------------------------------------------------------------------------------------------------------

Read = Callable[..., list[dict[str, Any]]]


def _checked(given: Given, account: Account, rule: Rule | None) -> dict[str, Any]:
    """Sound values by column, for the members that were given. Raises Invalid."""
    read = Checked(given, required=() if rule else ("name", "triggers", "actions"))
    read.name("name")
    if rule is None or "triggers" in given:
        before = [thing for one in rule.triggers for thing in when.things(one)] if rule else []
        _read_list(read, "triggers", when.read, account, before)
    if "condition" in given:
        read.values["condition"] = conditions.read(read, "condition", account.pk)
    if rule is None or "actions" in given:
        before = [thing for one in rule.actions for thing in what.things(one)] if rule else []
        _read_list(read, "actions", what.read, account, before)
    read.drop_nulls("active")
    read.flag("active")
    values = read.sound()
    return {{"active": "is_on"}.get(name, name): value for name, value in values.items()}


def _read_list(read: Checked, name: str, reader: Read, account: Account, before: list[Thing]) -> None:
    """before   what the rule named before the edit: it may be written back, deleted or not"""
    try:
        read.values[name] = reader(read.given.get(name), name, account.pk, for_="rule", may_be_gone=before)
    except Invalid as error:
        read.problems += error.problems
