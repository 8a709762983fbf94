"""Liquid's `date` filter: what counts as an instant, and how it is written.

Both as in Ruby's Liquid, which Kit runs. Python's own strftime leaves directives to the machine's C library: `%s` there
counts in the machine's zone, and `%-d`, `%P` or `%L` depend on the system.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

from dateutil import parser as dates  # type: ignore[import-untyped]

MAX_TEXT = 100  # characters that may name an instant
MAX_WIDTH = 100  # `%10Y` makes ten characters; a width beyond this makes no directive

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"[0-9]+")
_NO_DATE = re.compile(r"\s*([-+]?[0-9]+(\.[0-9]+)?|[a-z]{3,6}day|mon|tue|wed|thu|fri|sat|sun)\s*", re.IGNORECASE)
_ZONES = {"UTC": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6}
_ZONES |= {"PST": -8, "PDT": -7}
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


# --- What counts as an instant ------------------------------------------------------------------------------------


def moment(value: object, now: datetime) -> datetime | None:
    """The aware instant that `value` names, in the zone in which it is to be shown; None when it names none.

    value   an instant, a day (its midnight), "now" or "today", seconds since 1970 as a whole number or its digits, or a
            date written out. What has no zone of its own is in that of `now`.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else _placed(value, now.tzinfo)
    if isinstance(value, date):
        return _placed(datetime.combine(value, time.min), now.tzinfo)
    if isinstance(value, int) and not isinstance(value, bool):
        return _since_1970(value, now.tzinfo)
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isascii():
        return None  # a fraction too: Ruby's Liquid leaves it as it is
    if value.lower() in ("now", "today"):
        return now
    if _DIGITS.fullmatch(value):
        return _since_1970(int(value), now.tzinfo)
    return None if _NO_DATE.fullmatch(value) else _parsed(value, now)


def _since_1970(seconds: int, zone: tzinfo | None) -> datetime | None:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    except OverflowError:
        return None


def _parsed(text: str, now: datetime) -> datetime | None:
    """Parts of a date that come before the first one given are today's, those after it the first there are."""
    try:
        first, second = (dates.parse(text, default=_midnight(now, day), tzinfos=_zone) for day in (1, 2))
        has_no_day = first.day != second.day
        has_no_month = (
            first.month != dates.parse(text, default=_midnight(now, 1, of_next_month=True), tzinfos=_zone).month
        )
        if has_no_day and has_no_month:
            first = first.replace(day=now.day)
        return _placed(first, now.tzinfo) if first.tzinfo is None else first
    except (ValueError, OverflowError):
        return None


def _midnight(now: datetime, day: int, *, of_next_month: bool = False) -> datetime:
    return datetime(now.year, now.month % 12 + 1 if of_next_month else now.month, day)  # noqa: DTZ001  # a wall clock


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    if offset is not None:
        return timezone(timedelta(seconds=offset)) if offset else UTC
    hours = _ZONES.get((name or "").upper())
    return None if hours is None else UTC if hours == 0 else timezone(timedelta(hours=hours), (name or "").upper())


def _placed(wall_clock: datetime, zone: tzinfo | None) -> datetime | None:
    """A wall clock time in a zone. One that a clock change skips is as much later as the clock was put forward."""
    try:
        return wall_clock.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    except OverflowError:
        return None


# --- How it is written --------------------------------------------------------------------------------------------

_DIRECTIVE = re.compile(r"%(?P<flags>[-_0^#]*)(?P<width>\d*)(?P<colons>:{0,2})[EO]?(?P<letter>[A-Za-z%+])")
_LONG = {"c": "%a %b %e %H:%M:%S %Y", "D": "%m/%d/%y", "F": "%Y-%m-%d", "v": "%e-%^b-%Y", "x": "%m/%d/%y"}
_LONG |= {"X": "%H:%M:%S", "r": "%I:%M:%S %p", "R": "%H:%M", "T": "%H:%M:%S", "+": "%a %b %e %H:%M:%S %Z %Y"}

# Letter: the number, how many digits it has at least, and with what it is filled up.
_NUMBERS: dict[str, tuple[Callable[[datetime], int], int, str]] = {
    "Y": (lambda at: at.year, 4, "0"),
    "C": (lambda at: at.year // 100, 2, "0"),
    "y": (lambda at: at.year % 100, 2, "0"),
    "m": (lambda at: at.month, 2, "0"),
    "d": (lambda at: at.day, 2, "0"),
    "e": (lambda at: at.day, 2, " "),
    "j": (lambda at: at.timetuple().tm_yday, 3, "0"),
    "H": (lambda at: at.hour, 2, "0"),
    "k": (lambda at: at.hour, 2, " "),
    "I": (lambda at: (at.hour - 1) % 12 + 1, 2, "0"),
    "l": (lambda at: (at.hour - 1) % 12 + 1, 2, " "),
    "M": (lambda at: at.minute, 2, "0"),
    "S": (lambda at: at.second, 2, "0"),
    "u": (lambda at: at.isoweekday(), 1, "0"),
    "w": (lambda at: at.isoweekday() % 7, 1, "0"),
    "G": (lambda at: at.isocalendar().year, 4, "0"),
    "g": (lambda at: at.isocalendar().year % 100, 2, "0"),
    "V": (lambda at: at.isocalendar().week, 2, "0"),
    "U": (lambda at: (at.timetuple().tm_yday + 6 - at.isoweekday() % 7) // 7, 2, "0"),
    "W": (lambda at: (at.timetuple().tm_yday + 6 - at.weekday()) // 7, 2, "0"),
    "s": (lambda at: (at - _EPOCH) // timedelta(seconds=1), 1, "0"),
}
_WORDS: dict[str, Callable[[datetime], str]] = {
    "A": lambda at: _DAYS[at.weekday()],
    "a": lambda at: _DAYS[at.weekday()][:3],
    "B": lambda at: _MONTHS[at.month - 1],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "h": lambda at: _MONTHS[at.month - 1][:3],
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "P": lambda at: "am" if at.hour < 12 else "pm",
    "Z": lambda at: "" if (at.tzname() or "").startswith(("UTC+", "UTC-")) else at.tzname() or "",
    "n": lambda at: "\n",
    "t": lambda at: "\t",
    "%": lambda at: "%",
    **{letter: (lambda at, form=form: written(at, form)) for letter, form in _LONG.items()},  # type: ignore[misc]
}


def written(at: datetime, form: str) -> str:
    """An aware instant by Ruby's strftime: with flags and widths, and English names. What is no directive stays."""
    return _DIRECTIVE.sub(lambda found: _directive(at, found), form)


def _directive(at: datetime, found: re.Match[str]) -> str:
    letter, flags, width = found["letter"], found["flags"], int(found["width"][:4] or 0)
    if width > MAX_WIDTH or (found["colons"] and letter != "z"):
        return found[0]
    if letter == "z":
        return _offset(at, flags, width, len(found["colons"]))
    if letter in ("L", "N"):
        return f"{at.microsecond:06}".ljust(width, "0").ljust(9, "0")[: width or (3 if letter == "L" else 9)]
    if letter in _NUMBERS:
        number, digits, padding = _NUMBERS[letter]
        return _filled(str(number(at)), flags, width or digits, padding)
    if letter in _WORDS:
        word = _WORDS[letter](at)
        if "#" in flags:
            word = word.lower() if letter in ("p", "Z") else word.upper()
        return _filled(word.upper() if "^" in flags else word, flags, width, " ")
    return found[0]


def _filled(text: str, flags: str, width: int, padding: str) -> str:
    """The last of the flags `-` (not filled up), `_` (with spaces) and `0` counts."""
    for flag in flags:
        padding = {"-": "", "_": " ", "0": "0"}.get(flag, padding)
    if not padding:
        return text
    return text.zfill(width) if padding == "0" and text.lstrip("-").isdigit() else text.rjust(width, padding)


def _offset(at: datetime, flags: str, width: int, n_colons: int) -> str:
    """`+0530`, `+05:30`, `+05:30:00`; filled up behind the sign, or with `_` before it."""
    seconds = int((at.utcoffset() or timedelta()).total_seconds())
    sign, (minutes, rest) = "-" if seconds < 0 else "+", divmod(abs(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    behind = [f"{minutes:02}", f"{rest:02}"][: max(n_colons, 1)]
    tail = "".join((":" if n_colons else "") + part for part in behind)
    if "_" in flags:
        return f"{sign}{hours}{tail}".rjust(max(width, len(tail) + 3))
    digits = 1 if "-" in flags else max(width - len(tail) - 1, 2)
    return f"{sign}{hours:0{digits}}{tail}"
