"""The operations of both APIs, read from their routers: what a test of all of them goes through."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ninja import NinjaAPI
from ninja.operation import Operation
from pydantic import BaseModel

from dripstone.api import urls


@dataclass(frozen=True)
class Route:
    """method: upper case; path: with {names}, as Kit's contract writes it."""

    method: str
    path: str
    operation: Operation = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def nouns(self) -> list[str]:
        """What each id of the path is an id of: the segment before it. Webhooks have deliveries too."""
        path = self.path.replace("webhook_endpoints/{id}/deliveries", "webhook_endpoints/{id}/webhook_deliveries")
        return re.findall(r"([a-z_]+)/\{\w+\}", path)

    def with_ids(self, ids: Iterable[Any]) -> str:
        """The path with one id for each of its nouns."""
        following = iter(ids)
        return re.sub(r"\{\w+\}", lambda _: str(next(following)), self.path)

    @property
    def takes_body(self) -> bool:
        return bool(self.members("body"))

    def members(self, source: str) -> set[str]:
        """Of the "query" or the "body", as published: members of objects inside too, as in "filter.conditions.ids"."""
        models = [one for one in self.operation.models if getattr(one, "__ninja_param_source__", "") == source]
        return {member for model in models for member in _members_of(model)}


def _members_of(model: type[BaseModel]) -> Iterator[str]:
    """Ninja makes a model of a function's parameters: `body: TagBody` stands for the members of TagBody."""
    for name, parameter in model.model_fields.items():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            schema = kind.model_json_schema()
            yield from _members(schema, schema)
        else:
            yield name


def _members(schema: Any, whole: Any) -> Iterator[str]:
    """Dotted names of what a JSON schema has at its ends."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    for name, one in schema.get("properties", {}).items():
        below = [f"{name}.{inner}" for inner in _members(one, whole)]
        yield from below or [name]
    parts = [*schema.get("anyOf", ()), *schema.get("allOf", ()), *([schema["items"]] if "items" in schema else [])]
    for part in parts:
        yield from _members(part, whole)


def _routes(prefix: str, api: NinjaAPI) -> Iterator[Route]:
    for mounted_at, router in api._routers:
        for path, view in router.path_operations.items():
            plain = re.sub(r"\{\w+:", "{", f"{prefix}{mounted_at}{path}")  # {int:id} → {id}
            for operation in view.operations:
                yield from (Route(method, plain, operation) for method in operation.methods)


ROUTES = [*_routes("/v4", urls.kit), *_routes("/ext/v1", urls.ext)]


def chosen(test: Callable[[Route], bool]) -> list[Route]:
    return [route for route in ROUTES if test(route)]
