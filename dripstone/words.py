"""English for what people read: counts, lists, instants in a zone, weekdays, delays. Pure: values in, text out."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")  # as Kit writes them
DAY_NAMES = tuple(name.capitalize() for name in WEEKDAYS)

# --- Instants and days -------------------------------------------------------------------------------------------


def moment(instant: datetime, zone: str) -> str:
    """`Monday, 30 November 2026 at 09:00 (Europe/Paris)`: the main instant of a sentence."""
    return f"{when(instant, zone)} ({zone})"


def when(instant: datetime, zone: str) -> str:
    """The same without the zone, for a sentence that has named it."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{day(local.date())} {local.year} at {local:%H:%M}"


def day(value: date) -> str:
    """`Monday, 30 November`."""
    return f"{value:%A}, {value.day} {value:%B}"


def short_day(value: date, today: date) -> str:
    """`Today`, `Tomorrow`, `Yesterday`, `Tue 1 Dec`; with the year when it is another one, `1 Dec 2025`."""
    if (near := (value - today).days) in _NEAR:
        return _NEAR[near]
    return f"{value:%a} {value.day} {value:%b}" if value.year == today.year else f"{value.day} {value:%b} {value.year}"


_NEAR = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}


def instant(at: datetime, time_zone: str, now: datetime) -> str:
    """`Today, 09:00`, `Mon 23 Nov, 09:00`: for a column of a table."""
    zone = ZoneInfo(time_zone)
    local = at.astimezone(zone)
    return f"{short_day(local.date(), now.astimezone(zone).date())}, {local:%H:%M}"


def soon(at: datetime, time_zone: str, now: datetime) -> str:
    """`today, 09:00`: the same within a sentence."""
    text = instant(at, time_zone, now)
    return text[0].lower() + text[1:] if text.startswith(tuple(_NEAR.values())) else text


def on(at: datetime, time_zone: str, now: datetime) -> str:
    """`today, 09:00`, `on Mon 23 Nov, 09:00`: after a verb."""
    text = soon(at, time_zone, now)
    return text if text[0].islower() else f"on {text}"


def by_date(at: datetime, time_zone: str) -> str:
    """`Mon 23 Nov 2026, 09:00`: where "today" would say nothing."""
    local = at.astimezone(ZoneInfo(time_zone))
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def instant_in_full(at: datetime, time_zone: str) -> str:
    """`Monday 23 November 2026, 09:00:12 EST`: what hovering over a time tells."""
    local = at.astimezone(ZoneInfo(time_zone))
    return f"{local:%A} {local.day} {local:%B %Y, %H:%M:%S %Z}"


def zone(name: str) -> str:
    """`New York time` for America/New_York. Names without a place stay as they are."""
    if "/" not in name or name.startswith("Etc/"):
        return name
    return name.rpartition("/")[2].replace("_", " ") + " time"


def weekdays(send_days: Collection[int]) -> str:
    """`on weekdays`, `on Mondays and Thursdays`: within a sentence."""
    if set(send_days) == {0, 1, 2, 3, 4}:
        return "on weekdays"
    if set(send_days) == {5, 6}:
        return "at weekends"
    return f"on {listed(f'{DAY_NAMES[number]}s' for number in sorted(send_days))}"


def days(send_days: Collection[int]) -> str:
    """`Every day`, `Monday to Friday`, `Mondays and Sundays`: alone, or before `only`."""
    chosen = sorted(set(send_days))
    if len(chosen) == 7:
        return "Every day"
    if len(chosen) >= 3 and chosen[-1] - chosen[0] == len(chosen) - 1:
        return f"{DAY_NAMES[chosen[0]]} to {DAY_NAMES[chosen[-1]]}"
    return listed(f"{DAY_NAMES[number]}s" for number in chosen)


def schedule(send_days: Collection[int], send_hour: int, time_zone: str) -> str:
    """`Monday to Friday around 9:00, New York time`. send_days: 0 = Monday."""
    return f"{days(send_days)} around {send_hour}:00, {zone(time_zone)}"


# --- Delays ------------------------------------------------------------------------------------------------------


def delay(value: int, unit: str) -> str:
    """`2 days`, `1 hour`; `at once` has no length and is the caller's to say."""
    return count(value, unit.removesuffix("s"))


def later(value: int, unit: str, send_hour: int, *, is_first: bool) -> str:
    """`2 days later, at 11:00`, `6 hours later`, `At once`. is_first: no published email stands before it."""
    if unit == "days" and value == 0:
        return "At once"
    text = f"{delay(value, unit)} {'after they enter' if is_first else 'later'}"
    return text if unit == "hours" else f"{text}, at {send_hour}:00"


# --- Counts and lists --------------------------------------------------------------------------------------------


PLURALS = {"person": "people", "delivery": "deliveries", "entry": "entries"}


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 person`, `1,200 people`."""
    return f"{number:,} {noun if number == 1 else plural or PLURALS.get(noun, noun + 's')}"


def money(amount: Decimal, currency: str) -> str:
    """`1,200 USD`, `81.50 EUR`, `0.0125 USD`."""
    whole, _, cents = f"{amount:,.4f}".partition(".")
    cents = cents.rstrip("0")
    return f"{whole}{f'.{cents:0<2}' if cents else ''} {currency}"


def short(number: int) -> str:
    """`940`, `1.2k`, `12k`, `3.4M`: where there is no room."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.{1 if number < 10 * size else 0}f}{unit}".replace(".0", "")
    return str(number)


def percent(rate: float) -> str:
    """`0.9%`, `12%`, `under 0.1%`; of a fraction."""
    if 0 < rate < 0.001:
        return "under 0.1%"
    return f"{rate:.1%}".replace(".0%", "%") if rate < 0.1 else f"{rate:.0%}"


def people(number: int, one: str = "", many: str = "") -> str:
    """`1 person`, `1,200 people`; with a verb in both numbers, `1 person waits`, `1,200 people wait`."""
    return f"{count(number, 'person', 'people')} {agree(number, one, many)}".rstrip()


def everybody_inside(number: int, one: str, many: str) -> str:
    """`The one person inside waits`, `All 1,200 people inside wait`."""
    return f"{'The one person' if number == 1 else 'All ' + people(number)} inside {agree(number, one, many)}".rstrip()


def agree(number: int, one: str, many: str) -> str:
    """The verb that fits: `waits` for one, `wait` for more."""
    return one if number == 1 else many


def size(n_bytes: int) -> str:
    """`640 bytes`, `12 KB`, `3.4 MB`, `500 MB`."""
    if n_bytes < 1_000:
        return count(n_bytes, "byte")
    if n_bytes < 999_500:
        return f"{n_bytes / 1_000:.0f} KB"
    return f"{n_bytes / 1_000_000:.1f} MB".replace(".0 MB", " MB")


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; "" of nothing."""
    *first, last = [*items] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def some(items: Collection[str], most: int) -> str:
    """The same of many: `a, b and 3 others`."""
    n_others = len(items) - most
    return listed([*list(items)[:most], *([count(n_others, "other")] if n_others > 0 else [])])


# --- What somebody wrote -----------------------------------------------------------------------------------------


def title(subject: str) -> str:
    """In quotation marks, short enough for a sentence."""
    text = " ".join(subject.split())
    return f"“{text if len(text) <= 60 else text[:59] + '…'}”"


def reply(text: str) -> str:
    """A mail server's words, or the engine's, quoted and kept short."""
    return title(text.rstrip(". ")) if len(text) <= 60 else f"“{' '.join(text.split())[:200]}”"


def masked(address: str) -> str:
    """`b•••@example.com`: enough to know it is you, too little for somebody else."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}•••@{domain}"
