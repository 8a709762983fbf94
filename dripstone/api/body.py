"""How request bodies and query strings are read, and the sentences people get about them.

The domain's own checks (given.py) judge the members of a body, as they do for pages and imports. What a body class
declares is for the docs: what each member may be, and which are required. Unknown members are ignored. PUT is partial:
`body.given()` has what was sent and nothing else.

    class SnippetBody(Body):
        model_config = needs("name", "snippet_type")
        name: Text = MISSING
        snippet_type: Annotated[Any, one_of("inline", "block")] = MISSING
        content: TextOrNull = MISSING

What belongs to the call itself, and has no rule in the domain, is checked here by pydantic: query strings (`Filters`),
and bodies such as that of `clock/advance`. All problems are reported at once, Rails style: "per_page must be an
integer". In a validator, `raise ValueError("is too long")` becomes "name is too long"; the text of `raise
Sentence("…")` is not changed. Objects inside a body are `Part`s, not Bodies: the outer body reports their problems.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self

from django.http import HttpRequest
from ninja.parser import Parser
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails, core_schema

from dripstone.errors import BadRequest, Invalid
from dripstone.given import (
    MAX_ADDRESS,
    MAX_ID,
    MAX_NAME,
    NO_INSTANT,
    instant_of,
    is_address,
    plain_address,
    unstorable,
)
from dripstone.words import WEEKDAYS

MISSING: Any = None  # default of a member that may be left out; `given()` never contains it


def or_empty(value: Any) -> Any:
    """PHP, and with it Kit's own SDK, writes an empty object as `[]`."""
    return {} if value == [] else value


class Sentence(ValueError):
    """A problem that is a whole sentence: the member's name is not put before it."""


# --- Models -----------------------------------------------------------------------------------------------------


class Asked(BaseModel):
    """What a call asks for. Raises Invalid with a sentence for every problem."""

    @model_validator(mode="wrap")
    @classmethod
    def _or_invalid(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(or_empty(value))
        except ValidationError as error:
            problems = (cls._sentence(problem) for problem in error.errors(include_url=False))
            # Invalid is no ValueError, so it passes through pydantic and Ninja untouched.
            raise Invalid(list(dict.fromkeys(problems))) from None

    @classmethod
    def _sentence(cls, problem: ErrorDetails) -> str:
        reason = problem.get("ctx", {}).get("error")
        if isinstance(reason, Sentence):
            return str(reason)
        if not problem["loc"]:
            return "The request body must be a JSON object"
        return f"{_name(problem['loc'])} {_complaint(problem)}"

    def given(self) -> dict[str, Any]:
        """What the request contained."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Body(Asked):
    model_config = ConfigDict(strict=True, extra="ignore")


def needs(*names: str) -> ConfigDict:
    """For the docs: required members. The domain reports those that are missing."""
    return ConfigDict(json_schema_extra={"required": [*names]})


class Part(BaseModel):
    """An object inside a body."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Filters(Asked):
    """A query string. `?status=` counts as left out; `?email_address=` does not, since that would mean everybody."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: Any) -> Any:
        for name, text in value.items() if isinstance(value, dict) else ():
            if isinstance(text, str) and "\0" in text:
                raise Sentence(f"{name} must not contain NUL characters")
        if not isinstance(value, dict):
            return value
        return {name: text for name, text in value.items() if text != "" or name == "email_address"}


_COMPLAINTS = {
    "missing": "can't be blank",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def _name(where: tuple[int | str, ...]) -> str:
    """`change.method`, `ids[1]`."""
    return str(where[0]) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where[1:])


def _complaint(problem: ErrorDetails) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["input"] is None:
        return "can't be blank"
    if problem["type"] == "literal_error":
        return "must be one of: " + re.sub(r"'([^']*)'", r"\1", problem["ctx"]["expected"]).replace(" or ", ", ")
    return _COMPLAINTS.get(problem["type"], "is invalid")


# --- Members, for the docs ---------------------------------------------------------------------------------------

_DAY = {"type": "string", "enum": list(WEEKDAYS)}

Text = Annotated[Any, WithJsonSchema({"type": "string"})]
TextOrNull = Annotated[Any, WithJsonSchema({"type": ["string", "null"]})]
Name = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": r"\S"})]
Words = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"\S"})]
Address = Annotated[Any, WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_ADDRESS})]
NameOrNull = Annotated[Any, WithJsonSchema({"type": ["string", "null"], "maxLength": MAX_NAME})]
Whole = Annotated[Any, WithJsonSchema({"type": "integer"})]
WholeOrNull = Annotated[Any, WithJsonSchema({"type": ["integer", "null"]})]
Id = Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_ID})]
YesNo = Annotated[Any, WithJsonSchema({"type": "boolean"})]
YesNoOrNull = Annotated[Any, WithJsonSchema({"type": ["boolean", "null"]})]
Hour = Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 23})]
Days = Annotated[Any, WithJsonSchema({"type": "array", "items": _DAY, "uniqueItems": True, "minItems": 1})]
DaysOrNull = Annotated[
    Any, WithJsonSchema({"type": ["array", "null"], "items": _DAY, "uniqueItems": True, "minItems": 1})
]
AnyDays = Annotated[Any, WithJsonSchema({"type": "array", "items": _DAY, "uniqueItems": True})]
AnyDaysOrNull = Annotated[Any, WithJsonSchema({"type": ["array", "null"], "items": _DAY, "uniqueItems": True})]
TemplateId = Annotated[
    Any, WithJsonSchema({"type": ["integer", "null"], "minimum": 0, "maximum": MAX_ID, "description": "0 is none."})
]


def one_of(*options: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [*options]})


def one_of_or_null(*options: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "null"], "enum": [*options, None]})


# --- Types that are judged here -----------------------------------------------------------------------------------


def must(sentence: str) -> WrapValidator:
    """One complaint for everything that can be wrong with the value. A null stays "can't be blank"."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError("can't be blank" if value is None else sentence) from None

    return WrapValidator(check)


# In a query string everything is text.

type_of_id = must("must be an id")


def _flag(value: Any) -> bool:
    """In any case: clients in Python write `True`."""
    word = str(value).lower()
    if word not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return word in ("true", "1")


def read_instant(value: Any) -> datetime:
    """`2026-11-23` (midnight UTC) or a full ISO 8601 timestamp; one without an offset is UTC."""
    found = value if isinstance(value, datetime) else instant_of(value)
    if found is None:
        raise ValueError(NO_INSTANT)
    return found


@dataclass(frozen=True)
class OneOfMany:
    """A comma-separated list: `include=tags,location`. The value becomes a frozenset."""

    allowed: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string", "enum": list(self.allowed)}}

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        names = frozenset(name.strip() for name in value.split(",") if name.strip())
        if names - set(self.allowed):
            raise ValueError(f"must be one or more of: {', '.join(self.allowed)}")
        return names


def one_of_many(*allowed: str) -> OneOfMany:
    return OneOfMany(allowed)


def _id(value: Any) -> Any:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError("must be an id")
    return int(value) if isinstance(value, str) else value


def _addresses(value: Any) -> Any:
    """One or several, with commas between them → as they are kept."""
    if not isinstance(value, str):
        return value
    addresses = frozenset(plain_address(text) for text in value.split(","))
    if not all(map(is_address, addresses)):
        raise Sentence("Email address is invalid")
    return addresses


_ADDRESSES = {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 1}
Addresses = Annotated[frozenset[str], BeforeValidator(_addresses), WithJsonSchema(_ADDRESSES)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Instant = Annotated[datetime, BeforeValidator(read_instant)]
WithStats = Annotated[frozenset[str], one_of_many("stats")]
QueryId = Annotated[int, Field(ge=0, le=MAX_ID), type_of_id, BeforeValidator(_id)]


# --- Bytes to values --------------------------------------------------------------------------------------------


MOST_DEPTH = 50  # objects and arrays inside one another
MOST_CRUMBS = 5_000  # values in a body; and one more for each ten bytes
MOST_CRUMBS_OF_BULK = 500_000  # its entries are small, {"id": 12}: some 100 MB once they are read
MOST_LETTERS = 100  # of the path to a member, in a sentence

BULK = re.compile(r"/v4/bulk/")


class JsonParser(Parser):
    """Reads what is JSON and nothing else. Raises BadRequest, or Invalid for text the database cannot hold.

    In a bulk call such text spoils its entry alone, which the domain finds.
    """

    def parse_body(self, request: HttpRequest) -> Any:
        kind = request.content_type or "application/json"
        if not kind.lower().endswith("json"):
            raise BadRequest("Content-Type must be application/json")
        is_bulk = bool(BULK.match(request.path_info))
        if _is_in_crumbs(request.body, MOST_CRUMBS_OF_BULK if is_bulk else 0):
            raise BadRequest("The request body has too many values for its size")
        try:
            document = json.loads(request.body.decode("utf-8-sig"), parse_constant=_no_constant)
        except UnicodeDecodeError:
            raise BadRequest("The request body is not valid UTF-8") from None
        except RecursionError:
            raise _too_deep() from None
        except ValueError:
            raise BadRequest("The request body is not valid JSON") from None
        _check(document, has_texts=not is_bulk)
        return document


def _is_in_crumbs(data: bytes, most: int) -> bool:
    """A list of empty lists takes thirty times its size once it is read. What people send has a member in 20 bytes,
    and prose a comma in 50."""
    return sum(map(data.count, (b",", b"[", b"{"))) > max(most, MOST_CRUMBS + len(data) // 10)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _too_deep() -> BadRequest:
    return BadRequest(f"The request body is nested too deeply (maximum is {MOST_DEPTH} levels)")


def _check(document: Any, *, has_texts: bool) -> None:
    """Walks through all of it, without recursion and without a path for anything that is sound.

    has_texts   its texts are looked at, too
    Memory: an iterator per level.
    """
    walks: list[Iterator[tuple[str, Any]]] = [iter([("", document)])]
    keys: list[str] = []  # that lead to the value at hand, "" for items of an array
    while walks:
        for key, value in walks[-1]:
            if has_texts and (key or isinstance(value, str)):
                _check_texts(key, value, keys)
            if isinstance(value, (dict, list)) and value:
                if len(walks) > MOST_DEPTH:
                    raise _too_deep()
                keys.append(key)
                walks.append(iter(value.items()) if isinstance(value, dict) else (("", item) for item in value))
                break
        else:
            walks.pop()
            del keys[len(walks) - 1 :]


def _check_texts(key: str, value: Any, keys: list[str]) -> None:
    """The key is told to be wrong as its object's text, a value as the member's."""
    for text, path in ((key, keys), (value, [*keys, key])):
        if isinstance(text, str) and (complaint := unstorable(text)):
            where = _shortened(".".join(filter(None, path)))
            raise Invalid(problems=[(where or None, f"{where or 'The request body'} {complaint}")])


def _shortened(path: str) -> str:
    return path if len(path) <= MOST_LETTERS else f"{path[:MOST_LETTERS]}…"
