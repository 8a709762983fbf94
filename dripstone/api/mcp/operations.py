"""Which calls the API has, by method and path: a tool is offered when its call is there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ninja import NinjaAPI, Router
from ninja.operation import Operation as NinjaOperation

from dripstone.api.auth import FullAccess


@dataclass(frozen=True, slots=True)
class Operation:
    """query               names of what it takes there
    needs_full_access   Kit keeps it for OAuth
    """

    query: frozenset[str]
    needs_full_access: bool


def key(call: str) -> str:
    """The same for calls that differ in the names of their ids only: `GET /v4/tags/{}`."""
    return re.sub(r"\{[^}]*\}", "{}", call)


def of(apis: Mapping[str, NinjaAPI]) -> dict[str, Operation]:
    """By the key of the call. `apis`: by the path each is mounted at."""
    return {
        key(f"{method} {mounted_at}{prefix}{path}"): _read(operation, router)
        for mounted_at, api in apis.items()
        for prefix, router in api._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    }


def _read(operation: NinjaOperation, router: Router) -> Operation:
    in_query = [one for one in operation.models if getattr(one, "__ninja_param_source__", "") == "query"]
    names = {name for model in in_query for name in model.__ninja_flatten_map__}
    return Operation(
        frozenset(names), isinstance(operation.auth_param, FullAccess) or isinstance(router.auth, FullAccess)
    )
