"""Reads the members of a JSON object: what is sound becomes a value, what is not becomes a sentence.

Nothing here raises for a wrong value, so that an answer can list every problem at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dripstone.errors import Invalid
from dripstone.words import WEEKDAYS

Given = Mapping[str, Any]  # a decoded JSON object; members may be of any type

MAX_ID = 2**63 - 1  # ids are bigint; greater ones belong to nobody and would overflow on their way to the database


class Checked:
    """`values`: model attribute → sound value, for the members that were given. `problems`: a sentence each."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []

    def refuse(self, sentence: str) -> None:
        self.problems.append(sentence)

    def raise_problems(self) -> None:
        if self.problems:
            raise Invalid(self.problems)

    def drop_nulls(self, *names: str) -> None:
        """For these members null says the same as leaving them out."""
        self.given = {name: value for name, value in self.given.items() if value is not None or name not in names}

    def flag(self, name: str) -> None:
        if name in self.given:
            value = self.given[name]
            if isinstance(value, bool):
                self.values[name] = value
            else:
                self.refuse(f"{name} must be true or false")

    def whole_number(self, name: str, low: int, high: int) -> None:
        if name in self.given:
            value = self.given[name]
            if is_whole(value) and low <= value <= high:
                self.values[name] = value
            else:
                self.refuse(f"{name} must be an integer between {low} and {high}")

    def words(self, name: str, most: int) -> None:
        """Text that must say something, in at most so many characters."""
        if name not in self.given:
            return
        value = self.given[name]
        if value is None or (isinstance(value, str) and not value.strip()):
            self.refuse(f"{name} can't be blank")
        elif self._is_text(name, value) and len(value) > most:
            self.refuse(f"{name} is too long (maximum is {most} characters)")
        elif isinstance(value, str) and is_storable(value):
            self.values[name] = value

    def words_or_null(self, name: str) -> None:
        if name in self.given:
            value = self.given[name]
            if value is None or self._is_text(name, value):
                self.values[name] = value

    def _is_text(self, name: str, value: object) -> bool:
        if not isinstance(value, str):
            self.refuse(f"{name} must be a string")
        elif not is_storable(value):
            self.refuse(f"{name} contains characters that are not text")
        else:
            return True
        return False

    def days(self, name: str) -> None:
        """Weekday names → sorted numbers, 0 = Monday."""
        value = self.given.get(name)
        if not isinstance(value, list) or not all(isinstance(day, str) for day in value):
            self.refuse(f'{name} must be an array of days, such as ["monday", "friday"]')
            return
        problems = list(_problems_of_days(name, value))
        self.problems += problems
        if not problems:
            self.values[name] = sorted(WEEKDAYS.index(day) for day in value)


def _problems_of_days(name: str, days: list[str]) -> Iterable[str]:
    if not days:
        yield f"{name} must contain at least one day"
    for day in dict.fromkeys(days):
        if day not in WEEKDAYS:
            yield f"{name} must be days of the week: {_shown(day)} is not one of {', '.join(WEEKDAYS)}"
        elif days.count(day) > 1:
            yield f"{name} contains {day} more than once"


def is_whole(value: object) -> bool:
    """JSON has one kind of number; we take those written without a fraction. true is no number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def is_storable(text: str) -> bool:
    """PostgreSQL keeps neither NUL nor half a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(text: str) -> str:
    """A stranger's word, fit to stand in our sentence."""
    printable = "".join(character if character.isprintable() else "?" for character in text[:40])
    return printable or "an empty name"
