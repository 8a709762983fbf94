"""What a new sequence can begin with: letters to rewrite, as drafts. Words in [brackets] are for the owner to replace.

The letters are the HTML files beside this one, with Liquid that has a fallback for people of whom nothing is known.
engine/acts/beginnings.py makes a sequence of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_IN_BRACKETS = re.compile(r"\[[^\[\]]+\]")
EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Letter:
    """days   after the one before; 0 = at once"""

    file: str
    subject: str  # without Liquid, since lists show it as it is
    preview_text: str
    days: int

    def as_given(self) -> dict[str, Any]:
        content = (_HERE / f"{self.file}.html").read_text("utf-8").strip()
        return {
            "subject": self.subject,
            "preview_text": self.preview_text,
            "content": content,
            "delay_value": self.days,
            "delay_unit": "days",
            "published": False,
        }


@dataclass(frozen=True, slots=True)
class Starter:
    """settings   members of the sequence that are not as usual"""

    key: str
    name: str
    summary: str
    letters: tuple[Letter, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


STARTERS = (
    Starter(
        "course",
        "A short course",
        "5 emails, a day apart",
        (
            Letter(
                "course-1-welcome",
                "Welcome: here is how it works",
                "Five letters, five days, one small thing to do each day",
                0,
            ),
            Letter("course-2-first-step", "The first step", "A quarter of an hour, and what you already have", 1),
            Letter("course-3-the-mistake", "The mistake nearly everybody makes", "It feels like the careful way", 1),
            Letter("course-4-an-example", "An example, from start to finish", "Today you do nothing but watch", 1),
            Letter("course-5-go-on", "And tomorrow?", "The sixth day decides", 1),
        ),
    ),
    Starter(
        "welcome",
        "Welcome",
        "3 emails, the first at once",
        (
            Letter("welcome-1-hello", "Good to have you here", "What you signed up for, and what comes next", 0),
            Letter("welcome-2-who-writes", "Who writes to you", "And the three things people like best", 2),
            Letter("welcome-3-a-question", "One question", "The answers decide what I write about", 3),
        ),
        {"send_days": ["monday", "tuesday", "wednesday", "thursday", "friday"]},
    ),
    Starter(
        "evergreen",
        "Evergreen letter",
        "One a week; people stay for the letters you add later",
        (
            Letter("evergreen-1-begin", "From now on, every Tuesday", "The first letter, and why none gets old", 0),
            Letter("evergreen-2-less", "Do less of it", "The cheapest advantage there is", 7),
            Letter("evergreen-3-a-small-habit", "For the bad days", "A version so small that there is no excuse", 7),
            Letter("evergreen-4-a-question-to-ask", "A question with five words", "It makes every talk shorter", 7),
        ),
        {"send_days": ["tuesday"], "hold": True},
    ),
    Starter(EMPTY, "Nothing yet", "An empty sequence"),
)


def not_replaced(source: str) -> list[str]:
    """What of the starters' words in [brackets] still stands in a text, each once, in its order. Other words in
    brackets are the owner's own."""
    return list(dict.fromkeys(found for found in _IN_BRACKETS.findall(source) if found in _to_replace()))


@cache
def _to_replace() -> frozenset[str]:
    letters = (letter.as_given()["content"] for starter in STARTERS for letter in starter.letters)
    return frozenset(found for content in letters for found in _IN_BRACKETS.findall(content))
