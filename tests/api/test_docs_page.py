"""docs/reference/api.md lists every call that is served, and no other."""

import re
from pathlib import Path

from django.urls import resolve

from dripstone.api.urls import ext, kit

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def test_every_call_is_documented_and_nothing_else_is() -> None:
    documented = re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(documented) == len(set(documented))
    of_oauth = {call for call in documented if re.search(r" /(oauth|\.well-known)/", call)}
    assert set(documented) - of_oauth == served()
    assert all(resolve(call.split()[1]) for call in of_oauth)


def test_the_docs_say_what_a_body_needs() -> None:
    schema = kit.get_openapi_schema(path_prefix="")
    body = schema["paths"]["/tags"]["post"]["requestBody"]
    reference = {"$ref": "#/components/schemas/TagBody"}
    assert body == {"content": {"application/json": {"schema": reference}}, "required": True}
    assert schema["components"]["schemas"]["TagBody"]["required"] == ["name"]
    referrer = schema["paths"]["/forms/{form_id}/subscribers/{id}"]["post"]["requestBody"]
    assert referrer["required"] is False


def served() -> set[str]:
    schemas = [api.get_openapi_schema(path_prefix=prefix) for api, prefix in ((kit, "/v4"), (ext, "/ext/v1"))]
    calls = ((method, path) for schema in schemas for path, item in schema["paths"].items() for method in item)
    return {f"{method.upper()} {path}" for method, path in calls}
