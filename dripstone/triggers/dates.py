"""Dates in fields: when each is reached, for each trigger `field_date` of a rule or an automation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from dripstone.accounts.models import Account
from dripstone.events.models import Event
from dripstone.triggers.when import Trigger


@dataclass(frozen=True, slots=True)
class Owner:
    kind: Literal["rule", "automation"]
    pk: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Due:
    """The date that somebody's field has, or its day this year, is reached. trigger: its place among the owner's"""

    owner: Owner
    trigger: int
    subscriber_id: int
    at: datetime
    date: date


def set_up(owner: Owner, triggers: Sequence[Trigger], now: datetime) -> None:
    """From now on these are its triggers, `field_date` or not; none where it does not listen. In the caller's
    transaction. Those that are as they were stay; of the others the dates are found in batches (`catch_up`)."""
    raise NotImplementedError


def catch_up(now: datetime) -> bool:
    """One batch of dates: of people who are there, for new triggers; moved, for a new zone. False: none is left."""
    raise NotImplementedError


def follow(events: Iterable[Event], now: datetime) -> None:
    """Values have changed: their dates move."""
    raise NotImplementedError


def take(now: datetime, limit: int) -> list[Due]:
    """Those that are due, the longest first, in the caller's transaction: no other process takes them."""
    raise NotImplementedError


def next_instant(after: datetime) -> datetime | None:
    """When the next one is due, later than that."""
    raise NotImplementedError


def rezone(account: Account) -> None:
    """The account has another zone: dates that are to come move, some perhaps into the past."""
    raise NotImplementedError
