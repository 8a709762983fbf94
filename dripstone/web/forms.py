"""Forms on pages: members as the API takes them, and after a refusal what was typed, each problem beside its field."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, QueryDict

from dripstone.errors import Invalid, Problem
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.given import FromText, as_yes_no

QUIETLY = "quietly"  # a box: do not fire rules
NOT_MEMBERS = {"csrfmiddlewaretoken", "seen", "told"}


@dataclass(frozen=True, slots=True)
class Form:
    """values    what its fields show, by member: text, a number, a boolean, or a list for several checkboxes
    problems  (member, sentence), of a form that was refused
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, name: str) -> str:
        """What is wrong with a member, or with a part of it."""
        found = [sentence for member, sentence in self.problems if member and member.split(".")[0] == name]
        return "; ".join(found)


def given(request: HttpRequest, lists: Collection[str] = ()) -> FromText:
    """The members of a POST. Of one that was sent twice the last counts: a hidden `false` stands before a checkbox.

    lists   members that are several values; a hidden empty one stands before checkboxes, so that none is said too
    """
    members = {name for name in request.POST if name not in {*NOT_MEMBERS, QUIETLY}}
    return FromText({name: _several(request.POST, name) if name in lists else request.POST[name] for name in members})


def _several(post: QueryDict, name: str) -> list[str]:
    return [str(value) for value in post.getlist(name) if value]


def refused(request: HttpRequest, error: Invalid, lists: Collection[str] = ()) -> Form:
    return Form(given(request, lists), [for_a_page(problem) for problem in error.problems])


def for_a_page(problem: Problem) -> Problem:
    """The member as a word: `send_hour must be …` is for those who write the API's members."""
    member, sentence = problem
    if member and sentence.startswith(f"{member} "):
        word = member.rpartition(".")[2].replace("_", " ").capitalize()
        sentence = word + sentence.removeprefix(member)
    return member, sentence


def cause(request: HttpRequest) -> Cause:
    """Of what an owner does by a form: with its box ticked (`_quietly.html`) no rule fires on it (A17)."""
    is_quiet = as_yes_no(request.POST.get(QUIETLY, "")) is True
    return causes.quietly(causes.OWNER) if is_quiet else causes.OWNER
