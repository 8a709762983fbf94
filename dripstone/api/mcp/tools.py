"""What a tool is: a call of the API, its parameters, and words for a model that chooses among tools.

Parameters named in the path go there, those that the call takes in its query go there, all others are its body.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dripstone.api.mcp.parameters import ALWAYS, FORETOLD, IMPACT, MOST_PER_PAGE, Parameters, Schema
from dripstone.errors import Invalid

Arguments = dict[str, Any]


def _as_they_are(arguments: Arguments) -> Arguments:
    return arguments


@dataclass(frozen=True, slots=True)
class Tool:
    """call          method and path; what stands in {braces} are names of parameters
    needs, takes     required and optional parameters
    given            what the call gets, where that is not just the arguments. Raises Invalid
    is_reading       it changes nothing
    is_destructive   it takes away or replaces what was there
    is_repeatable    a second time changes nothing more
    reaches_people   it may set mail in motion, or calls to other servers
    is_foretold      get_impact says what it would do

    Left out, the three about what it changes follow from the method.
    """

    name: str
    call: str
    title: str
    description: str
    needs: Parameters = field(default_factory=dict)
    takes: Parameters = field(default_factory=dict)
    given: Callable[[Arguments], Arguments] = _as_they_are
    is_reading: bool | None = None
    is_destructive: bool | None = None
    is_repeatable: bool | None = None
    reaches_people: bool = False
    is_foretold: bool = False

    @property
    def method(self) -> str:
        return self.call.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.call.partition(" ")[2]

    @property
    def in_path(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def parameters(self) -> Parameters:
        return {**self.needs, **self.takes, **self.beside_call}

    @property
    def beside_call(self) -> Parameters:
        """What no call gets as a parameter."""
        return {**FORETOLD, **ALWAYS} if self.is_foretold else ALWAYS

    @property
    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": self.parameters,
            "required": [*self.needs],
            "additionalProperties": False,
        }

    @property
    def reads(self) -> bool:
        return self.method == "GET" if self.is_reading is None else self.is_reading

    @property
    def hints(self) -> dict[str, Any]:
        """As django-mcpz takes them. What reads is neither destructive nor anything to repeat."""
        if self.reads:
            return {"read_only": True, "open_world": False}
        replaces = self.method in ("PUT", "DELETE")
        return {
            "read_only": False,
            "destructive": replaces if self.is_destructive is None else self.is_destructive,
            "idempotent": replaces if self.is_repeatable is None else self.is_repeatable,
            "open_world": self.reaches_people,
        }

    def check(self, arguments: Arguments) -> None:
        """What its call could not say, or would take for something else. Raises Invalid."""
        if problems := [*self._problems(arguments)]:
            raise Invalid(problems)

    def _problems(self, arguments: Arguments) -> Iterator[str]:
        for name in arguments.keys() - self.parameters.keys():
            near = difflib.get_close_matches(name, self.parameters, 1)
            yield f"{name} is no parameter of this tool" + (f"; did you mean {near[0]}?" if near else "")
        for name in self.needs:
            if name not in arguments and (name in self.in_path or self.reads):
                yield f"{name} can't be blank"
            elif name in self.in_path and not _is_id(arguments[name]):
                yield f"{name} must be an id"
        if not isinstance(arguments.get(IMPACT, ""), str):
            yield f"{IMPACT} must be a string"
        if "per_page" in self.takes and not _is_page(arguments.get("per_page", MOST_PER_PAGE)):
            yield f"per_page must be an integer between 1 and {MOST_PER_PAGE}"

    def meant(self, arguments: Arguments) -> Arguments:
        """What its call gets. Raises Invalid."""
        return self.given({name: value for name, value in arguments.items() if name not in self.beside_call})

    def headers(self, arguments: Arguments) -> dict[str, str]:
        """What its call is to carry, as variables of WSGI."""
        return {"HTTP_IF_MATCH": f'"{arguments[IMPACT]}"'} if IMPACT in arguments else {}

    def filled(self, arguments: Arguments) -> str:
        """The path with its ids."""
        return re.sub(r"\{(\w+)\}", lambda found: str(arguments[found[1]]), self.path)

    def beside_path(self, arguments: Arguments) -> Arguments:
        return {name: value for name, value in arguments.items() if name not in self.in_path}


def _is_id(value: Any) -> bool:
    """Models write numbers as text, too."""
    return type(value) in (int, str) and re.fullmatch("[0-9]{1,19}", str(value)) is not None


def _is_page(value: Any) -> bool:
    return _is_id(value) and 1 <= int(value) <= MOST_PER_PAGE
