"""The month of a newsletter business, worked out by hand in plain Python: who gets what when, and why.

It knows people, tags, three sequences, five rules and an automation, as design.md and automations.md say what they
mean, and nothing of the code that it is compared with.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")

Chain = tuple[str, ...]


@dataclass(frozen=True)
class Mail:
    subject: str
    days: int = 0
    hours: int = 0


@dataclass(frozen=True)
class Course:
    name: str
    mails: tuple[Mail, ...]
    hour: int
    weekdays: tuple[int, ...]
    repeat: bool


WELCOME = Course("Welcome", (Mail("Hello"), Mail("Stories", days=2), Mail("Shop", days=1)), 9, (0, 1, 2, 3, 4), False)
LESSONS = Course(
    "Lessons",
    (Mail("Lesson 1", days=1), Mail("Lesson 2", days=1), Mail("Homework", hours=3)),
    18,
    tuple(range(7)),
    True,
)
WIN_BACK = Course("Win back", (Mail("Come back", hours=2),), 9, tuple(range(7)), False)
COURSES = {one.name: one for one in (WELCOME, LESSONS, WIN_BACK)}

AFTER = "After the lessons"  # two days later: a fan, or up to five days to buy, or a last email
TWO_DAYS, FIVE_DAYS = "pause", "buys"  # its nodes that wait, and
LAST_EMAIL = "win_back"


@dataclass
class Place:
    door: str
    run: int = 1
    status: str = "active"
    next: int = 0
    due: datetime | None = None


@dataclass
class Walk:
    """Through the automation."""

    node: str
    due: datetime | None


@dataclass
class Person:
    is_active: bool = True
    tags: set[str] = field(default_factory=set)
    places: dict[str, Place] = field(default_factory=dict)
    walk: Walk | None = None
    n_walks: int = 0
    left: Counter[str] = field(default_factory=Counter)  # the automation, by where they stood
    not_entered: int = 0
    got: list[tuple[str, datetime]] = field(default_factory=list)
    told: list[tuple[str, str, Chain]] = field(default_factory=list)  # what, of what, by what


@dataclass
class Month:
    people: dict[str, Person] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    not_fired: Counter[str] = field(default_factory=Counter)

    # --- What the outside does ------------------------------------------------------------------------------------

    def come(self, address: str) -> Person:
        return self.people.setdefault(address, Person())

    def tag(self, address: str, tag: str, chain: Chain, now: datetime) -> None:
        person = self.people[address]
        if tag in person.tags:
            return
        person.tags.add(tag)
        person.told.append(("tag", tag, chain))
        if "quiet" not in chain:
            self._rules(address, tag, chain, now)
        if tag == "buyer" and person.walk is not None and person.walk.node != LAST_EMAIL:
            self._leave(address)
            self.tag(address, "late", (*chain, f"automation {AFTER}"), now)

    def _rules(self, address: str, tag: str, chain: Chain, now: datetime) -> None:
        person = self.people[address]
        if tag == "course":
            self.fired["Course page"] += 1
            self.enter(address, "Lessons", (*chain, "rule Course page"), now, may_restart=True)
        if tag == "done":
            self.fired["Alumni"] += 1
            self.tag(address, "alumni", (*chain, "rule Alumni"), now)
        if tag == "buyer":
            if "course" in person.tags:
                self.fired["Upsell"] += 1
                self.tag(address, "vip", (*chain, "rule Upsell"), now)
            else:
                self.not_fired["Upsell"] += 1

    def untag(self, address: str, tag: str, chain: Chain) -> None:
        person = self.people[address]
        if tag in person.tags:
            person.tags.remove(tag)
            person.told.append(("untag", tag, chain))

    def enter(self, address: str, course: str, chain: Chain, now: datetime, *, may_restart: bool) -> None:
        """may_restart   rules, bulk actions and imports start people under way over; the API and a hand do not."""
        person, door = self.people[address], next(one for one in reversed(chain) if one != "quiet")
        if chain[0].startswith("bulk") and chain[-1] == "quiet":
            door = chain[0]
        place = person.places.get(course)
        if not person.is_active:
            if place is None:
                person.places[course] = Place(door, status="removed")
            return
        if place is None:
            place = person.places[course] = Place(door)
        elif COURSES[course].repeat and (place.status != "active" or may_restart):
            place.door, place.run, place.status, place.next = door, place.run + 1, "active", 0
        else:
            return
        person.told.append(("enter", course, chain))
        place.due = self.date_of(course, 0, now)

    def unsubscribe(self, address: str) -> None:
        person = self.people[address]
        if not person.is_active:
            return
        person.is_active = False
        for place in person.places.values():
            if place.status == "active":
                place.status, place.due = "removed", None
        if person.walk is not None:
            self._leave(address)
        self.fired["Goodbye"] += 1
        self.untag(address, "newsletter", ("subscriber", "rule Goodbye"))

    # --- What time does -------------------------------------------------------------------------------------------

    @staticmethod
    def date_of(course: str, number: int, anchor: datetime) -> datetime:
        mail, asked = COURSES[course].mails[number], COURSES[course]
        if mail.hours or not mail.days:
            return anchor + timedelta(hours=mail.hours)
        day = anchor.astimezone(BERLIN).date() + timedelta(days=mail.days)
        while day.weekday() not in asked.weekdays:
            day += timedelta(days=1)
        return datetime.combine(day, time(asked.hour), BERLIN).astimezone(UTC)

    def let_pass(self, until: datetime) -> None:
        """Every email that is due by then, each at its date."""
        while (first := self._first()) is not None and first[0] <= until:
            due, _, address, course = first
            if course:
                self._send(address, course, due)
            else:
                self._walk_on(address, due)

    def _first(self) -> tuple[datetime, int, str, str] | None:
        """Waits that are over come before emails."""
        dates = [
            (place.due, 1, address, course)
            for address, person in self.people.items()
            for course, place in person.places.items()
            if place.due is not None
        ]
        walks = [(address, person.walk) for address, person in self.people.items() if person.walk is not None]
        waits = [(walk.due, 0, address, "") for address, walk in walks if walk.due is not None]
        return min([*dates, *waits], default=None)

    def _send(self, address: str, course: str, due: datetime) -> None:
        person = self.people[address]
        place = person.places[course]
        person.got.append((COURSES[course].mails[place.next].subject, due))
        place.next += 1
        if place.next < len(COURSES[course].mails):
            place.due = self.date_of(course, place.next, due)
            return
        place.status, place.due = "completed", None
        if course == "Lessons":
            self._finished(address, due)
            self._enters(address, due)
        elif course == "Win back":
            self._leave(address)
            self.tag(address, "cold", (f"automation {AFTER}",), due)

    def _finished(self, address: str, now: datetime) -> None:
        if "buyer" in self.people[address].tags:
            self.not_fired["Finished"] += 1
        else:
            self.fired["Finished"] += 1
            self.tag(address, "done", ("rule Finished",), now)

    # --- The automation -------------------------------------------------------------------------------------------

    def _enters(self, address: str, now: datetime) -> None:
        person = self.people[address]
        if person.walk is not None:
            person.not_entered += 1
            return
        person.n_walks += 1
        person.walk = Walk(TWO_DAYS, self.days_later(now, 2))

    def _walk_on(self, address: str, now: datetime) -> None:
        person, chain = self.people[address], (f"automation {AFTER}",)
        walk = person.walk
        assert walk is not None
        if walk.node == TWO_DAYS and "buyer" in person.tags:
            self._leave(address)
            self.tag(address, "fan", chain, now)
        elif walk.node == TWO_DAYS:
            walk.node, walk.due = FIVE_DAYS, self.days_later(now, 5)
        elif "Win back" in person.places:  # they had it after an earlier round
            self._leave(address)
            self.tag(address, "cold", chain, now)
        else:
            walk.node, walk.due = LAST_EMAIL, None
            self.enter(address, "Win back", chain, now, may_restart=True)

    def _leave(self, address: str) -> None:
        person = self.people[address]
        assert person.walk is not None
        person.left[person.walk.node] += 1
        person.walk = None

    @staticmethod
    def days_later(now: datetime, n: int) -> datetime:
        """At the same time by the clock on the wall."""
        wall = now.astimezone(BERLIN).replace(tzinfo=None) + timedelta(days=n)
        return wall.replace(tzinfo=BERLIN).astimezone(UTC)

    # --- What is to be seen at the end ----------------------------------------------------------------------------

    def doors(self, course: str) -> Counter[str]:
        return Counter(person.places[course].door for person in self.people.values() if course in person.places)
