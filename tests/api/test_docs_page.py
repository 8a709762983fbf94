"""docs/reference/api.md lists every call that is served, and no other."""

import re
from pathlib import Path

from dripstone.api.urls import ext, kit

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def test_every_call_is_documented_and_nothing_else_is() -> None:
    documented = re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == served()


def served() -> set[str]:
    schemas = [api.get_openapi_schema(path_prefix=prefix) for api, prefix in ((kit, "/v4"), (ext, "/ext/v1"))]
    calls = ((method, path) for schema in schemas for path, item in schema["paths"].items() for method in item)
    return {f"{method.upper()} {path}" for method, path in calls}
