"""Automations that many need, to begin with: a few answers become a graph. Pure.

    found = BY_KEY["birthday"]
    found.graph({"birthday": 5, "days": 0, "letter": 7, "gift": None})   entries, start and nodes, as verbs.create takes

An answer is the id of a thing, a number or an instant; beginnings.py reads answers and makes things that are missing.
What is not asked is as most want it, and can be changed like anything else of an automation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from dripstone.automations import kinds
from dripstone.triggers import when

Answers = Mapping[str, Any]
Json = dict[str, Any]
Kind = Literal["tag", "sequence", "custom_field", "product", "days", "instant"]

MADE: Final = ("tag", "sequence", "custom_field")
"""Kinds of things that are made if there are none of the name that was given. Products come by purchases."""


@dataclass(frozen=True, slots=True)
class Question:
    """name     of the answer
    usual    a name for a thing that is made, or a number
    is_optional   without an answer the step is left out; of a product: any will do
    repeats  a sequence that people enter again and again: one that is made does so, another one has to
    """

    name: str
    label: str
    kind: Kind
    usual: str = ""
    hint: str = ""
    is_optional: bool = False
    repeats: bool = False
    least: int = 0
    most: int = 3_650


@dataclass(frozen=True, slots=True)
class Template:
    """steps   what it does, in sentences, before anything is asked
    graph    the answers by name: all of them, None for what was left out
    """

    key: str
    name: str
    summary: str
    steps: tuple[str, ...]
    questions: tuple[Question, ...]
    graph: Callable[[Answers], Json]


def _node(key: str, kind: str, **members: Any) -> Json:
    return {"id": key, "kind": kind, **members}


def _sequence(key: str, sequence_id: int, to: str | None) -> Json:
    """They wait for its end: where the sequence holds people, for its last email."""
    return _node(key, kinds.SEQUENCE, sequence_id=sequence_id, next=to)


def _tag(key: str, tag_id: int, to: str | None) -> Json:
    return _node(key, kinds.TAG, tag_id=tag_id, next=to)


def _purchased(product_id: int | None) -> Json:
    return {"trigger": when.PURCHASED} | ({} if product_id is None else {"product_id": product_id})


def _has_bought(product_id: int | None) -> Json:
    return {"type": "purchases"} | ({} if product_id is None else {"products": [product_id]})


def _graph(entries: list[Json], start: str, *nodes: Json) -> Json:
    """Entries are called a, b, … in their order."""
    named = [{"id": chr(ord("a") + place), **entry} for place, entry in enumerate(entries)]
    return {"entries": named, "start": start, "nodes": list(nodes)}


# --- After a course -----------------------------------------------------------------------------------------------


def _after_a_course(answers: Answers) -> Json:
    """Whoever buys on the way is pulled to the end, out of whatever sequence they are in."""
    product = answers["product"]
    return _graph(
        [{"trigger": when.TAG_ADDED, "tag_id": answers["beginners"]}],
        "course",
        _sequence("course", answers["course"], "bought-soon"),
        _node(
            "bought-soon", kinds.CONDITION, **{"if": _has_bought(product)}, within={"days": 2}, yes="buyer", no="pause"
        ),
        _node("pause", kinds.WAIT, **{"for": {"days": 3}}, next="reminder"),
        _sequence("reminder", answers["reminder"], "bought"),
        _node("bought", kinds.EVENT, **_purchased(product), within={"days": 14}, next="buyer", otherwise=None),
        _tag("buyer", answers["buyer"], None),
    )


AFTER_A_COURSE = Template(
    "after-a-course",
    "After a course",
    "Offer something when the course is over, remind once, and stop as soon as they buy.",
    (
        "Whoever gets a tag goes through the course.",
        "After it they have two days to buy; three days later they get a reminder.",
        "Buying ends all of it at any time, and gives a tag.",
    ),
    (
        Question("beginners", "The tag of those who begin", "tag", "Course"),
        Question("course", "The course", "sequence", "Course"),
        Question("product", "What they may buy", "product", is_optional=True),
        Question("reminder", "The sequence that reminds", "sequence", "Last chance"),
        Question("buyer", "The tag of those who bought", "tag", "Customer"),
    ),
    _after_a_course,
)

# --- A launch -----------------------------------------------------------------------------------------------------


def _launch(answers: Answers) -> Json:
    """The date pulls whoever is still in the letters before it; whoever comes later gets these first."""
    product = answers["product"]
    return _graph(
        [{"trigger": when.TAG_ADDED, "tag_id": answers["interested"]}],
        "before",
        _sequence("before", answers["before"], "day"),
        _node("day", kinds.EVENT, trigger=when.DATE, at=answers["day"], next="launch"),
        _sequence("launch", answers["launch"], "bought"),
        _node("bought", kinds.EVENT, **_purchased(product), within={"days": 3}, next="buyer", otherwise=None),
        _tag("buyer", answers["buyer"], None),
    )


LAUNCH = Template(
    "launch",
    "A launch with a date",
    "Warm people up until a day and hour; from then on sell, to everybody at once.",
    (
        "Whoever gets a tag gets the letters before the launch.",
        "At its day and hour all of them go on to the letters that sell, wherever they are.",
        "Buying ends them at any time, and gives a tag.",
    ),
    (
        Question("interested", "The tag of those who are interested", "tag", "Waiting list"),
        Question("before", "The sequence before the launch", "sequence", "Before the launch"),
        Question("day", "The day of the launch", "instant", hint="As 2026-12-01, in the account’s time zone."),
        Question("launch", "The sequence that sells", "sequence", "Launch"),
        Question("product", "What they may buy", "product", is_optional=True),
        Question("buyer", "The tag of those who bought", "tag", "Customer"),
    ),
    _launch,
)

# --- Win back -----------------------------------------------------------------------------------------------------


def _win_back(answers: Answers) -> Json:
    """Two ways in: a purchase only writes its date into the field, and that date lets them in when it is long past.
    A purchase that is not so long ago is told from the date by its age: the day itself counts as long ago."""
    days, field = answers["days"], answers["last_order"]
    return _graph(
        [
            _purchased(None),
            {"trigger": when.FIELD_DATE, "custom_field_id": field, "days": days},
        ],
        "bought-lately",
        _node(
            "bought-lately",
            kinds.CONDITION,
            **{"if": {"type": "purchases", "within_days": days - 1}},
            yes="stays",
            no="letters",
        ),
        _sequence("letters", answers["letters"], "back"),
        _node(
            "back",
            kinds.EVENT,
            **_purchased(None),
            already=False,
            within={"days": 14},
            next="stays",
            otherwise="lapsed",
        ),
        _node("stays", kinds.UNTAG, tag_id=answers["lapsed"], next="note"),
        _node("note", kinds.FIELD, custom_field_id=field, value="{{ today | date: '%Y-%m-%d' }}", next=None),
        _tag("lapsed", answers["lapsed"], None),
    )


WIN_BACK = Template(
    "win-back",
    "Win back",
    "Write to those who have not bought for a while; who stays away gets a tag.",
    (
        "Each purchase writes its day into a field.",
        "When that is so many days ago, they get letters that win them back.",
        "Whoever buys within two weeks starts over; the others get a tag.",
    ),
    (
        Question("days", "How long ago the last purchase is, in days", "days", "90", least=2),
        Question("last_order", "The field with the day of the last purchase", "custom_field", "Last order"),
        Question("letters", "The sequence that wins them back", "sequence", "Come back", repeats=True),
        Question("lapsed", "The tag of those who stay away", "tag", "Lapsed"),
    ),
    _win_back,
)

# --- Onboarding ---------------------------------------------------------------------------------------------------


def _onboarding(answers: Answers) -> Json:
    """The goal pulls people forward from wherever they are before it."""
    goal = answers["goal"]
    return _graph(
        [{"trigger": when.TAG_ADDED, "tag_id": answers["beginners"]}],
        "letters",
        _sequence("letters", answers["letters"], "in-time"),
        _node(
            "in-time",
            kinds.CONDITION,
            **{"if": {"type": "tags", "ids": [goal]}},
            within={"days": answers["days"]},
            yes="onwards",
            no="help",
        ),
        _sequence("help", answers["help"], "goal"),
        _node(
            "goal",
            kinds.EVENT,
            trigger=when.TAG_ADDED,
            tag_id=goal,
            within={"days": 14},
            next="onwards",
            otherwise="tell",
        ),
        _sequence("onwards", answers["next"], None),
        _node(
            "tell",
            kinds.MAIL_OWNER,
            text="{{ subscriber.email_address }} has not got to the goal of the onboarding.",
            next=None,
        ),
    )


ONBOARDING = Template(
    "onboarding",
    "Onboarding with a goal",
    "Lead newcomers to one goal; help those who get stuck, and go on as soon as it is reached.",
    (
        "Whoever gets a tag gets the first letters.",
        "Whoever has not reached the goal some days after them gets help.",
        "Reaching it, at any time, leads to what comes next. Who never does is told to the owners.",
    ),
    (
        Question("beginners", "The tag of newcomers", "tag", "Signed up"),
        Question("letters", "The first letters", "sequence", "Getting started"),
        Question("goal", "The tag of those who reached the goal", "tag", "Activated"),
        Question("days", "How many days they have after the letters", "days", "3", least=1),
        Question("help", "The sequence that helps", "sequence", "Need a hand?"),
        Question("next", "The sequence that comes next", "sequence", "What comes next"),
    ),
    _onboarding,
)

# --- Birthday -----------------------------------------------------------------------------------------------------


def _birthday(answers: Answers) -> Json:
    gift = answers["gift"]
    entry = {
        "trigger": when.FIELD_DATE,
        "custom_field_id": answers["birthday"],
        "days": -answers["days"],
        "yearly": True,
    }
    if gift is None:
        return _graph([entry], "letter", _sequence("letter", answers["letter"], None))
    return _graph(
        [entry],
        "gift",
        _tag("gift", gift, "letter"),
        _sequence("letter", answers["letter"], "a-week"),
        _node("a-week", kinds.WAIT, **{"for": {"weeks": 1}}, next="over"),
        _node("over", kinds.UNTAG, tag_id=gift, next=None),
    )


BIRTHDAY = Template(
    "birthday",
    "Birthday",
    "A letter every year, on the day or some days before, and a present for a week.",
    (
        "On the date in a field, every year, they get a letter.",
        "If you like, they have a tag until a week after it: for a discount, say.",
    ),
    (
        Question("birthday", "The field with the birthday", "custom_field", "Birthday"),
        Question("days", "How many days before it", "days", "0", hint="0 is the day itself.", most=60),
        Question("letter", "The sequence with the letter", "sequence", "Happy birthday", repeats=True),
        Question("gift", "A tag for a week", "tag", hint="Left blank, there is none.", is_optional=True),
    ),
    _birthday,
)

ALL = (AFTER_A_COURSE, LAUNCH, WIN_BACK, ONBOARDING, BIRTHDAY)
BY_KEY: Mapping[str, Template] = {one.key: one for one in ALL}
