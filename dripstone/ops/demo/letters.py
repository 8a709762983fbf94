"""What the demo sends: a course, a welcome and the letters after a workshop. `content/` has their texts."""

from dataclasses import dataclass
from pathlib import Path

_HTML = Path(__file__).parent / "content"


@dataclass(frozen=True, slots=True)
class Letter:
    """One email; `send_days` as in the model: 0 = Monday, None = the sequence's."""

    file: str
    subject: str
    preview_text: str
    delay_value: int
    delay_unit: str
    send_days: list[int] | None = None
    published: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """A sequence to be. `send_days` as in the model; `send_hour` None: the account's."""

    name: str
    letters: tuple[Letter, ...]
    send_days: tuple[int, ...] = tuple(range(7))
    send_hour: int | None = None
    hold: bool = False


_NAME = "{% if subscriber.first_name != blank %}{{ subscriber.first_name }}, "

COURSE = Series(
    "Write better emails",
    (
        Letter("course/1-one-reader", _NAME + "write{% else %}Write{% endif %} to one person",
               "The first of five short letters on writing better emails", 0, "days"),
        Letter("course/2-exercise", "A two-minute exercise", "Where does your last email really begin?", 2, "hours"),
        Letter("course/3-subject-lines", "Say what is inside", "Subject lines are labels, not riddles", 1, "days"),
        Letter("course/4-one-request", "Ask for one thing", "Why seven links get you no answer", 1, "days",
               [0, 1, 2, 3, 4]),
        Letter("course/5-keep-going", "Choose a day and keep it", "The last letter, on the habit that stays", 1, "days",
               [1]),
    ),
)  # fmt: skip

WELCOME = Series(
    "Welcome to The Plain Letter",
    (
        Letter("welcome/1-hello", _NAME + "you{% else %}You{% endif %} are in", "And three letters to begin with", 0,
               "days"),
        Letter("welcome/2-how-i-write", "How a letter is made here", "Forty minutes, and a day of nothing", 2, "days"),
        Letter("welcome/3-free-course", "A course, if you would like one", "Five letters, ten minutes a day", 5,
               "days"),
    ),
    send_days=(0, 1, 2, 3, 4),
    send_hour=9,
)  # fmt: skip

WORKSHOP = Series(
    "After the workshop",
    (
        Letter("workshop/1-your-notes", "Your notes from the workshop", "Slides, sheet and recording", 1, "hours"),
        Letter("workshop/2-the-line", "The line you wrote down", "Send it to me, I answer every one", 2, "days"),
        Letter("workshop/3-a-month", "A month of short mornings", "Four weeks, twelve places", 4, "days"),
        Letter("workshop/4-last-places", "Three places left", "The door closes on Sunday", 3, "days", published=False),
    ),
    send_days=(0, 2, 4),
    send_hour=16,
    hold=True,
)  # fmt: skip

# In the order they are made: a list shows the newest first, and the course is what the documentation is about.
ALL = (WORKSHOP, WELCOME, COURSE)

# Written after it was published, and not published yet.
CHANGED = (WORKSHOP.letters[2], "A month of short mornings, and twelve places")


def html(name: str) -> str:
    return (_HTML / f"{name}.html").read_text(encoding="utf-8")
