"""A row of a file → a person as they will come in, or a sentence about what is wrong with it. Pure.

A million rows are read, so the usual one takes microseconds: an address in plain ASCII is judged by one pattern, and
its domain by what was found of it the last time. Everybody else is judged as a call of the API would be.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from dripstone.accounts import names
from dripstone.given import MAX_ADDRESS, MAX_NAME, instant_of, is_address, plain_address, unstorable
from dripstone.imports.columns import Target, value_columns
from dripstone.subscribers.subscribe import MAX_VALUES

# Between cells that are put together. It is no text, and a cell that has it gets a blank.
UNIT = "\x1f"

# What is before the @ in nearly all addresses; at most 64 characters.
_PLAIN = re.compile(
    r"(?=.{1,64}@)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([a-z0-9.-]+)", re.ASCII
)
# The apostrophe before what would be a formula to a spreadsheet: our exports put it there (web/people_csv.py).
_GUARDED = re.compile(r"'[=+\-@]")
_TIME_ZONES = re.compile(r" ?(?:UTC|Z|GMT)$")
SHOWN = 60  # characters of a cell, in a sentence


@dataclass(slots=True)
class Person:
    """values   of the columns that go into custom fields, in their order; None: blank"""

    number: int
    address: str
    first_name: str | None
    values: list[str | None]
    tags: list[str]
    created_at: datetime | None

    def take(self, later: "Person") -> None:
        """What another row says of the same person: its values where it has any, and its tags besides."""
        if later.first_name is not None:
            self.first_name = later.first_name
        for n, value in enumerate(later.values):
            if value is not None:
                self.values[n] = value
        self.tags = list(dict.fromkeys([*self.tags, *later.tags]))
        self.created_at = later.created_at or self.created_at


class Plan:
    """What is read of a row."""

    def __init__(self, targets: Sequence[Target], now: datetime) -> None:
        """now   no person was there later"""
        kinds = [one.kind for one in targets]
        self.n_columns = len(targets)
        self._now = now
        self._email = kinds.index("email")
        self._first_name = kinds.index("first_name") if "first_name" in kinds else None
        self._created = kinds.index("created_at") if "created_at" in kinds else None
        self._tags = [n for n, kind in enumerate(kinds) if kind == "tags"]
        self._values = value_columns(targets)
        others = [self._first_name, self._created, *self._tags, *self._values]
        self._used = [n for n in others if n is not None]
        self._is_few = len(self._used) + 1 < self.n_columns

    def person(self, number: int, cells: list[str]) -> Person | str:
        """cells   as csv gives them, not all blank"""
        if len(cells) != self.n_columns:
            if len(cells) > self.n_columns and any(cell.strip() for cell in cells[self.n_columns :]):
                return f"The row has {len(cells)} cells, where there are {self.n_columns} columns"
            cells = cells + [""] * (self.n_columns - len(cells))
        address = address_of(cells[self._email])
        if address is None:
            return _why_no_address(cells[self._email])
        for n in self._used:
            if (complaint := _unfit(cells[n])) is not None:
                return f"Column {n + 1} {complaint}"
        name = None if self._first_name is None else text_of(cells[self._first_name])
        if name is not None and len(name) > MAX_NAME:
            return f"The first name is too long (maximum is {MAX_NAME} characters)"
        values = [text_of(cells[n]) for n in self._values]
        if sum(map(len, filter(None, values))) > MAX_VALUES // 4 and _n_bytes(values) > MAX_VALUES:
            return f"Custom fields can't hold more than {MAX_VALUES // 1024} KB for a person"
        tags = tags_of(cells[n] for n in self._tags) if self._tags else []
        if isinstance(tags, str):
            return tags
        created_at = None
        if self._created is not None and (text := text_of(cells[self._created])) is not None:
            created_at = _instant(text)
            if created_at is None:
                return f"“{_shown(text)}” is no date: write it as 2026-01-31, or 2026-01-31 14:30"
            if created_at > self._now:
                return f"“{_shown(text)}” lies in the future"
        return Person(number, address, name, values, tags, created_at)


def address_of(cell: str) -> str | None:
    """As given.plain_address writes it; None: it is none."""
    text = cell.strip()
    lower = text.lower()
    if len(lower) <= MAX_ADDRESS and (found := _PLAIN.fullmatch(lower)) is not None:
        domain = found[1]
        if "xn--" not in domain and domain[-1] != "." and _is_domain(domain):
            return lower
    plain = plain_address(text)
    return plain if not unstorable(text) and is_address(plain) else None


@lru_cache(maxsize=50_000)
def _is_domain(domain: str) -> bool:
    return is_address(f"a@{domain}")


def text_of(cell: str) -> str | None:
    """Without blanks around it, and without the apostrophe that guards a formula; None: nothing is left."""
    text = cell.strip()
    if text[:1] == "'" and _GUARDED.match(text):
        text = text[1:]
    if UNIT in text:
        text = text.replace(UNIT, " ").strip()
    return text or None


def tags_of(cells: Iterable[str]) -> list[str] | str:
    """Names, between commas; or what is wrong with one."""
    found: dict[str, None] = {}
    for cell in cells:
        for part in cell.split(","):
            if (text := text_of(part)) is None or not (name := names.plain(text).strip()):
                continue
            if len(name) > MAX_NAME:
                return f"A tag is too long (maximum is {MAX_NAME} characters)"
            found[name] = None
    return list(found)


def _unfit(cell: str) -> str | None:
    if cell.isascii() and "\0" not in cell:
        return None
    complaint = unstorable(cell)
    if complaint.startswith("must be valid"):
        return "has bytes that are no letters in this encoding: choose another"
    return complaint or None


def _why_no_address(cell: str) -> str:
    text = cell.strip()
    return f"“{_shown(text)}” is no email address" if text else "There is no email address"


def _shown(text: str) -> str:
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)


def _n_bytes(values: Sequence[str | None]) -> int:
    return sum(len(value.encode()) for value in values if value)


def _instant(text: str) -> datetime | None:
    """As given.instant_of, and `2021-03-04 12:11:10 UTC` besides, as many export it."""
    found = instant_of(_TIME_ZONES.sub("", text))
    return found.astimezone(UTC) if found is not None else None
