"""Our own description of the API (openapi.json) says what a client made from it must know."""

from typing import Any

import pytest
from django.test import Client

DOCUMENTS = ("/v4/openapi.json", "/ext/v1/openapi.json")


def described(path: str) -> dict[str, Any]:
    document: dict[str, Any] = Client().get(path).json()
    return document


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, call) for path, calls in document["paths"].items() for method, call in calls.items()]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_operation_names_its_refusals(path: str) -> None:
    for method, name, call in operations(described(path)):
        expected = {"400", "401", "403", "422", "429", "503"}
        expected |= {"404"} if "{" in name else set()
        expected |= {"408", "409", "413"} if method != "get" else set()
        assert expected <= set(call["responses"]), f"{method} {name}"
        refused = call["responses"]["422"]["content"]["application/json"]["schema"]
        assert refused == {"$ref": "#/components/schemas/Errors"}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_operation_takes_a_key_or_a_token_with_the_scope_it_needs(path: str) -> None:
    document = described(path)
    assert document["components"]["securitySchemes"]["OAuth2"]["flows"]["authorizationCode"]["scopes"].keys() == {
        "read", "write",
    }  # fmt: skip
    for method, name, call in operations(document):
        (key, token) = call["security"]
        assert next(iter(key)) in ("ApiKeyAuth", "FullAccess"), name
        (scope,) = token["OAuth2"]
        reads = method == "get" or name.endswith(("/impact", "/preview", "/count", "/test_run", "/subscribers/filter"))
        assert scope == ("read" if reads else "write"), f"{method} {name}"


@pytest.mark.parametrize("path", DOCUMENTS)
def test_nothing_in_a_query_is_null_and_ids_have_bounds(path: str) -> None:
    for method, name, call in operations(described(path)):
        for parameter in call.get("parameters", ()):
            where = f"{method} {name} {parameter['name']}"
            assert "null" not in str(parameter["schema"]), where
            if parameter["in"] == "path":
                assert (parameter["schema"]["minimum"], parameter["schema"]["maximum"]) == (1, 2**63 - 1), where
            if parameter["schema"]["type"] == "array":
                assert parameter["explode"] is False, where


def test_lists_name_their_words_and_bounds() -> None:
    calls = {(method, name): call for method, name, call in operations(described("/v4/openapi.json"))}
    given = {one["name"]: one["schema"] for one in calls["get", "/v4/subscribers"]["parameters"]}
    assert given["include"]["items"]["enum"] == ["attribution", "tags", "location", "canceled_at"]
    assert given["per_page"]["minimum"] == 1
    assert given["created_after"]["format"] == "date-time"
    assert given["email_address"]["items"]["format"] == "email"
    forecast = described("/ext/v1/openapi.json")["paths"]["/ext/v1/forecast"]["get"]["parameters"][0]["schema"]
    assert (forecast["minimum"], forecast["maximum"]) == (1, 366)


def test_what_changes_a_sequence_takes_a_token_and_may_be_refused_by_it() -> None:
    guarded = {
        f"{method} {name}"
        for path in DOCUMENTS
        for method, name, call in operations(described(path))
        if "412" in call["responses"]
    }
    assert guarded == {
        "put /v4/sequences/{id}",
        "delete /v4/sequences/{id}",
        "post /v4/sequences/{sequence_id}/emails",
        "put /v4/sequences/{sequence_id}/emails/{id}",
        "delete /v4/sequences/{sequence_id}/emails/{id}",
        "post /ext/v1/sequences/{id}/reschedule",
        *(f"post /ext/v1/enrollments/{{id}}/{act}" for act in ("pause", "resume", "skip", "send_now")),
        *(f"post /ext/v1/enrollments/{{id}}/{act}" for act in ("move", "restart", "remove")),
        *(f"post /ext/v1/deliveries/{{id}}/{act}" for act in ("send_again", "treat_as_sent")),
    }


def test_what_touches_people_in_automations_takes_a_token_and_may_answer_with_the_impact() -> None:
    calls = list(operations(described("/ext/v1/openapi.json")))
    telling = {
        f"{method} {name}"
        for method, name, call in calls
        if "UnseenAnswer" in str(call["responses"].get("409"))
        and "If-Match" in {one["name"] for one in call["parameters"]}
    }
    automation = "/ext/v1/automations/{id}"
    assert telling == {
        f"put {automation}",
        f"delete {automation}",
        f"post {automation}/publish",
        f"post {automation}/activate",
    }


def test_bodies_name_what_is_required_and_how_long_it_may_be() -> None:
    models = described("/v4/openapi.json")["components"]["schemas"]
    assert models["SequenceBody"]["required"] == ["name"] and "required" not in models["SequenceChanges"]
    assert models["EmailBody"]["required"] == ["subject", "delay_value", "delay_unit"]
    name = models["TagBody"]["properties"]["name"]
    assert (name["minLength"], name["maxLength"]) == (1, 255)
    assert models["SubscriberBody"]["properties"]["email_address"]["format"] == "email"
