"""What somebody gave us, from JSON, a form or a line of a CSV file: sound values, or a sentence per problem.

A check reads the members it knows, one after the other, and raises all problems together, each with its member's name:

    read = Checked(given, required=("name",), labels={"name": "Name"})
    read.name("name")
    read.flag("is_default")
    return read.sound()  # {"name": "Footer", "is_default": True}, or raises Invalid: "Name can't be blank"

Members of JSON have types, and these are strict: "9" is no integer, neither is true, and 1 is no boolean. A form and a
line of a CSV file have nothing but text: hand them over as `FromText`. Then each reader first makes its kind of value
of the text, and the same rule says the same sentence. Members that no reader asks for are ignored.

No database: a line of an import is checked in microseconds (50 for a person, more than half of it the address).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from email_validator import EmailNotValidError, validate_email

from dripstone.errors import Invalid, Problem
from dripstone.words import WEEKDAYS

Given = Mapping[str, Any]  # member → value; members may be of any type

MAX_ID = 2**63 - 1  # ids are bigint; greater ones do not exist, and would overflow on their way to the database
MAX_NAME = 255  # characters; names are in unique indexes, where PostgreSQL takes up to 2.7 kB
MAX_ADDRESS = 254  # characters, RFC 5321
MAX_IDS = 1_000  # in a list
MAX_DAYS = 50  # in a list; up to here each one that is wrong is named

ABSENT: Any = object()  # what `take` returns when there is nothing to look at
_NOTHING: Mapping[str, str] = MappingProxyType({})


class FromText(dict[str, Any]):
    """Members that came as text. A list may be a text with commas or a list of texts; a member may be such a dict."""


# --- Values of text -----------------------------------------------------------------------------------------------
#
# A text that cannot be converted stays text, for the rule to refuse. "" is null, except where text is wanted.

Make = Callable[[Any], Any]


def as_text(value: Any) -> Any:
    return value


def as_number(value: Any) -> Any:
    """int() alone would take 1_000, and a thousand digits for a long time."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    is_number = len(value) <= 40 and value.isascii() and value.removeprefix("-").isdigit()
    return int(value) if is_number else value or None


def as_decimal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.strip()
    return float(value) if _DECIMAL.fullmatch(value) else value or None


_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?", re.ASCII)
_YES_NO = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False, "": None}


def as_yes_no(value: Any) -> Any:
    """A checkbox that is ticked sends `on`."""
    return _YES_NO.get(value.strip().lower(), value) if isinstance(value, str) else value


def as_items(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return [item.strip() for item in value.split(",")] if value.strip() else None


def as_numbers(value: Any) -> Any:
    value = as_items(value)
    return [as_number(item) for item in value] if isinstance(value, list) else value


def as_choice(value: Any) -> Any:
    return value or None if isinstance(value, str) else value


def as_part(value: Any) -> Any:
    """What is inside came as text too."""
    return FromText(value) if isinstance(value, Mapping) else as_choice(value)


# --- Reading ------------------------------------------------------------------------------------------------------


class Checked:
    """`values`: member → sound value, for the members that were given. `problems`: the member and a sentence, each.

    required   members for which leaving them out says the same as null
    labels     members whose name Kit writes otherwise in sentences: {"name": "Name"} for "Name can't be blank"
    blanks     what to say of a member that is missing, null or blank, where it is not "… can't be blank"
    where      of an object inside: `filter.conditions[0]`
    """

    def __init__(
        self,
        given: Given,
        *,
        required: Iterable[str] = (),
        labels: Mapping[str, str] = _NOTHING,
        blanks: Mapping[str, str] = _NOTHING,
        where: str = "",
    ) -> None:
        self.given = given
        self.values: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self._is_text = isinstance(given, FromText)
        self._required, self._labels, self._blanks, self._where = required, labels, blanks, where
        self._without_nulls: set[str] = set()
        self._without_empty: set[str] = set()

    def drop_nulls(self, *names: str) -> None:
        """For these members null says the same as leaving them out."""
        self._without_nulls.update(names)

    def drop_empty(self, *names: str) -> None:
        """For these an empty list does."""
        self._without_empty.update(names)

    def take(self, name: str, make: Make = as_text) -> Any:
        """The member's value, made of text first if it came as text. ABSENT when there is nothing to look at."""
        value = self.given.get(name, None if name in self._required else ABSENT)
        value = self.made(value, make)
        if value == [] and name in self._without_empty:
            return ABSENT
        return ABSENT if value is None and name in self._without_nulls else value

    def made(self, value: Any, make: Make) -> Any:
        return make(value) if self._is_text else value

    # Telling what is wrong

    def refuse(self, name: str, sentence: str) -> None:
        self.problems.append((self.path(name), sentence))

    def wrong(self, name: str, complaint: str) -> None:
        """`must be a string` → "first_name must be a string"."""
        self.refuse(name, f"{self._labels.get(name) or self.path(name)} {complaint}")

    def blank(self, name: str) -> None:
        if name in self._blanks:
            self.refuse(name, self._blanks[name])
        else:
            self.wrong(name, "can't be blank")

    def path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def raise_problems(self) -> None:
        if self.problems:
            raise Invalid(problems=list(dict.fromkeys(self.problems)))

    def sound(self) -> dict[str, Any]:
        """The values. Raises Invalid with every problem."""
        self.raise_problems()
        return self.values

    # Readers, one for each kind of member

    def flag(self, name: str) -> None:
        value = self.take(name, as_yes_no)
        if isinstance(value, bool):
            self.values[name] = value
        elif value is None and name in self._blanks:
            self.blank(name)
        elif value is not ABSENT:
            self.wrong(name, "must be true or false")

    def whole_number(self, name: str, low: int, high: int) -> None:
        value = self.take(name, as_number)
        if is_whole(value) and low <= value <= high:
            self.values[name] = value
        elif value is not ABSENT:
            self.wrong(name, f"must be an integer between {low} and {high}")

    def decimal(self, name: str, low: float, high: float) -> None:
        """A number, with a fraction or without → float."""
        value = self.take(name, as_decimal)
        if value is None:
            self.blank(name)
        elif value is not ABSENT:
            if is_number(value) and low <= value <= high:
                self.values[name] = float(value)
            else:
                self.wrong(name, f"must be a number between {low:,} and {high:,}")

    def id(self, name: str) -> None:
        value = self.take(name, as_number)
        if value is None:
            self.blank(name)
        elif is_id(value):
            self.values[name] = value
        elif value is not ABSENT:
            self.wrong(name, "must be an id")

    def ids_or_null(self, name: str) -> None:
        value = self.take(name, as_numbers)
        if value is None:
            self.values[name] = None
        elif isinstance(value, list) and len(value) > MAX_IDS:
            self.wrong(name, f"can't have more than {MAX_IDS} entries")
        elif isinstance(value, list):
            self._each_id(name, value)
        elif value is not ABSENT:
            self.wrong(name, "must be an array")

    def _each_id(self, name: str, values: list[Any]) -> None:
        unsound = [(place, value) for place, value in enumerate(values) if not is_id(value)]
        for place, value in unsound:
            self.wrong(f"{name}[{place}]", "can't be blank" if value is None else "must be an id")
        if not unsound:
            self.values[name] = values

    def choice(self, name: str, options: Iterable[str]) -> None:
        value = self.take(name, as_choice)
        if value is None:
            self.blank(name)
        elif value is not ABSENT:
            self._choose(name, value, options)

    def choice_or_null(self, name: str, options: Iterable[str]) -> None:
        value = self.take(name, as_choice)
        if value is None:
            self.values[name] = None
        elif value is not ABSENT:
            self._choose(name, value, options)

    def _choose(self, name: str, value: Any, options: Iterable[str]) -> None:
        if value in options:
            self.values[name] = value
        else:
            self.wrong(name, f"must be one of: {', '.join(options)}")

    def words(self, name: str, most: int | None = None) -> None:
        """Text that must say something, in at most so many characters."""
        self._words(name, self.take(name), most)

    def name(self, name: str) -> None:
        """What something is called: without blanks around it, 1 to 255 characters."""
        value = self.take(name)
        self._words(name, value.strip() if isinstance(value, str) else value, MAX_NAME)

    def _words(self, name: str, value: Any, most: int | None) -> None:
        if value is None or (isinstance(value, str) and not value.strip()):
            self.blank(name)
        elif value is not ABSENT and self._is_fit(name, value, most):
            self.values[name] = value

    def text(self, name: str) -> None:
        """Text that may be empty, yet has to be there."""
        value = self.take(name)
        if value is None:
            self.blank(name)
        elif value is not ABSENT and self._is_fit(name, value):
            self.values[name] = value

    def text_or_null(self, name: str, most: int | None = None) -> None:
        value = self.take(name)
        if value is None or (value is not ABSENT and self._is_fit(name, value, most)):
            self.values[name] = value

    def _is_fit(self, name: str, value: object, most: int | None = None) -> bool:
        if not isinstance(value, str):
            self.wrong(name, "must be a string")
        elif complaint := unstorable(value):
            self.refuse(name, f"{self.path(name)} {complaint}")  # without a label, as api/body.py says it
        elif most is not None and len(value) > most:
            self.wrong(name, f"is too long (maximum is {most} characters)")
        else:
            return True
        return False

    def address(self, name: str) -> None:
        """An email address as it was written, without blanks around it."""
        value = self.take(name)
        if value is None:
            self.blank(name)
        elif value is not ABSENT and self._is_fit(name, value):
            if is_address(plain_address(value)):
                self.values[name] = value.strip()
            else:
                self.wrong(name, "is invalid")

    def instant(self, name: str) -> None:
        """A day (midnight UTC) or an ISO 8601 timestamp; one without an offset is UTC."""
        value = self.take(name, as_choice)
        if value is None:
            self.blank(name)
        elif value is not ABSENT:
            found = instant_of(value)
            if found is None:
                self.wrong(name, NO_INSTANT)
            else:
                self.values[name] = found

    def time_zone(self, name: str) -> None:
        value = self.take(name)
        if isinstance(value, str) and value in _zones():
            self.values[name] = value
        elif value is not ABSENT:
            self.wrong(name, "must be an IANA time zone, such as America/New_York")

    def days(self, name: str) -> None:
        """Weekday names → sorted numbers, 0 = Monday."""
        value = self.take(name, as_items)
        if value is ABSENT:
            return
        if not isinstance(value, list) or not all(isinstance(day, str) for day in value):
            self.wrong(name, 'must be an array of days, such as ["monday", "friday"]')
            return
        if len(value) > MAX_DAYS:
            self.wrong(name, f"can't have more than {len(WEEKDAYS)} days")
            return
        complaints = list(_complaints_of_days(value))
        for complaint in complaints:
            self.wrong(name, complaint)
        if not complaints:
            self.values[name] = sorted(WEEKDAYS.index(day) for day in value)

    def texts(self, name: str, most: int) -> None:
        """An object of texts or nulls, at most so many; null is an empty one, and so is PHP's `[]`."""
        value = self.take(name, as_part)
        if value is ABSENT:
            return
        value = {} if value is None or value == [] else value
        if not isinstance(value, Mapping):
            self.wrong(name, "must be an object")
            return
        if len(value) > most:
            self.wrong(name, f"can't have more than {most} entries")
            return
        inside = Checked(value, where=self.path(name))
        for key in value:
            inside.text_or_null(key)
        self.problems += inside.problems
        self.values[name] = inside.values

    def part(self, name: str, *, required: Iterable[str] = ()) -> "Checked | None":
        """An object inside, to be read like this one; its problems join ours. None: it is no object."""
        return None if (value := self.take(name, as_part)) is ABSENT else self.inside(name, value, required=required)

    def inside(self, name: str, value: Any, *, required: Iterable[str] = ()) -> "Checked | None":
        """The same for an object in a list: `inside("conditions[0]", …)`."""
        value = self.made(value, as_part)
        if isinstance(value, Mapping):
            inside = Checked(value, required=required, where=self.path(name))
            inside.problems = self.problems
            return inside
        if value is None:
            self.blank(name)
        else:
            self.wrong(name, "must be an object")
        return None


def _complaints_of_days(days: list[str]) -> Iterable[str]:
    if not days:
        yield "must contain at least one day"
    for day in dict.fromkeys(days):
        if day not in WEEKDAYS:
            yield f"must be days of the week: {_shown(day)} is not one of {', '.join(WEEKDAYS)}"
        elif days.count(day) > 1:
            yield f"contains {day} more than once"


# --- Rules --------------------------------------------------------------------------------------------------------


def is_whole(value: object) -> bool:
    """JSON has one kind of number; we take those written without a fraction. true is no number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


NO_INSTANT = "must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"


def instant_of(text: object) -> datetime | None:
    """`2026-11-23` (midnight UTC) or a full ISO 8601 timestamp, UTC if it has no offset; None: it is neither."""
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        # A "+" that was not percent-encoded arrives as a space.
        instant = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text) if "T" in text else text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def is_page(url: str) -> bool:
    """An address with http or https that a browser opens."""
    try:
        return bool(_PAGE.fullmatch(url) and url.isprintable() and urlsplit(url).hostname)
    except ValueError:
        return False


_PAGE = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)


def is_address(email_address: str) -> bool:
    """Syntax only. Test domains (.test, .example) pass: what cannot be delivered shows itself when we send."""
    return len(email_address) <= MAX_ADDRESS and _normalized(email_address) is not None


def plain_address(email_address: str) -> str:
    """As a subscriber's is kept: one form for all spellings of a mailbox (docs/decisions/addresses.md).

    Without blanks around it and a dot at the end, lower case, the domain in its own letters instead of `xn--…`, letters
    composed (NFC). Of a text that is no address less is done: a rule refuses it, a look-up misses.
    """
    plain = email_address.strip().lower().removesuffix(".")
    if len(plain) > MAX_ADDRESS or (plain.isascii() and "xn--" not in plain):
        return plain
    found = _normalized(plain)
    return plain if found is None else unicodedata.normalize("NFC", found.lower())


def _normalized(email_address: str) -> str | None:
    """None: it is no address."""
    try:
        return validate_email(email_address, check_deliverability=False, test_environment=True).normalized
    except (EmailNotValidError, UnicodeError):  # UnicodeError: half a surrogate pair
        return None


def unstorable(text: str) -> str:
    """Why PostgreSQL cannot keep it: NUL, or half a surrogate pair. "" when it can."""
    if "\0" in text:
        return "must not contain NUL characters"
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "must be valid Unicode text"
    return ""


@cache
def time_zones() -> list[str]:
    """To choose from, by name: UTC, then places. Everything that `time_zone` takes beside them is an older name."""
    places = {name for name in _zones() if name.split("/")[0] in _REGIONS}
    return ["UTC", *sorted(places)]


_REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def _zones() -> frozenset[str]:
    """Reading the zones' folders takes longer than all the rest of a request."""
    return frozenset(available_timezones())


def _shown(text: str) -> str:
    """A word from outside, shortened and printable, to quote in our sentence."""
    printable = "".join(character if character.isprintable() else "?" for character in text[:40])
    return printable or "an empty name"
