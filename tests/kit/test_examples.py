"""Every request example of Kit's API pages, sent as printed to the demo account; every answer held against its schema.

Kit's pages: https://developers.kit.com/api-reference. Each request runs in a transaction of its own.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from tests.kit import contract
from tests.kit.contract import Operation

if TYPE_CHECKING:
    from dripstone.ops.demo import DemoResult

OPERATIONS = contract.answering()

# The example of sort_field holds only together with status=cancelled, and Kit says so in its own 422.
CONTRADICTORY = {"sort_field"}

OLDER_SEQUENCE = {
    "name": "Onboarding",
    "email_address": "joe927@ck.lol",
    "email_template_id": 11,
    "exclude_subscriber_sources": [{"type": "tag", "ids": [2]}, {"type": "sequence", "ids": [29]}],
}

INVALID = [
    ("POST /v4/sequences", {"name": "A", "send_hour": 24}, "send_hour must be an integer between 0 and 23"),
    ("PUT /v4/sequences/{id}", {"name": ""}, "name can't be blank"),
    ("POST /v4/sequences/{sequence_id}/emails", {"delay_value": 1, "delay_unit": "days"}, "subject can't be blank"),
    (
        "PUT /v4/sequences/{sequence_id}/emails/{id}",
        {"delay_unit": "weeks"},
        "delay_unit must be one of: days, hours",
    ),
    ("POST /v4/snippets", {"snippet_type": "inline", "content": "Hello"}, "name can't be blank"),
    ("PUT /v4/snippets/{id}", {"snippet_type": "block"}, "snippet_type cannot be changed"),
    ("POST /v4/subscribers", {"email_address": "nobody"}, "Email address is invalid"),
    (
        "PUT /v4/subscribers/{id}",
        {"email_address": "subscriber90@kit.dev"},
        "Email address has already been taken",
    ),
    ("POST /v4/custom_fields", {"label": ""}, "Label can't be blank"),
    ("POST /v4/tags", {"name": ""}, "Name can't be blank"),
    ("POST /v4/webhooks", {}, "`event` and `target` parameters must be provided"),
    ("PUT /v4/tags/{id}", {"name": ""}, "Name can't be blank"),
    (
        "POST /v4/tags/{tag_id}/subscribers",
        {},
        "Either subscriber id or email address is required to tag subscriber",
    ),
    (
        "POST /v4/forms/{form_id}/subscribers",
        {},
        "Either subscriber id or email address is required to add subscriber to form",
    ),
]


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo")]


@pytest.fixture(scope="module")
def demo(made_once: None) -> "DemoResult":
    contract.skip_if_absent()
    from dripstone import clock
    from dripstone.ops.demo import load

    loaded = load(clock.now())
    assert loaded is not None
    return loaded


def call(
    demo: "DemoResult | None", operation: Operation, path: str, body: Any = None, query: dict[str, Any] | None = None
) -> tuple[int, Any]:
    headers = {"X-Kit-Api-Key": demo.examples_key} if demo else {}
    data = "" if body is None else json.dumps(body)
    url = f"{path}?{urlencode(query)}" if query else path
    content_type = "application/json" if body is not None else "application/octet-stream"
    answer = Client().generic(operation.method.upper(), url, data, content_type=content_type, headers=headers)
    return answer.status_code, json.loads(answer.content) if answer.content else None


def queries() -> Iterator[Any]:
    """Each operation plain, with each optional parameter, and with all of them."""
    for operation in OPERATIONS:
        required, optional = operation.required_query, operation.optional_query
        yield pytest.param(operation, required, id=str(operation))
        for name, value in optional.items():
            if name not in CONTRADICTORY:
                yield pytest.param(operation, {**required, name: value}, id=f"{operation}?{name}={value}")
        together = {name: value for name, value in optional.items() if name not in CONTRADICTORY}
        if len(together) > 1:
            yield pytest.param(operation, required | together, id=f"{operation} with all parameters")


@pytest.mark.parametrize(("operation", "query"), list(queries()))
def test_it_answers_the_example_as_documented(demo: "DemoResult", operation: Operation, query: dict[str, Any]) -> None:
    status, document = call(demo, operation, operation.example_path, operation.body, query)
    assert status in operation.success_statuses, document
    assert operation.problems(status, document) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_it_answers_401_without_a_key(operation: Operation) -> None:
    status, document = call(None, operation, operation.example_path, operation.body, operation.required_query)
    assert status == 401
    assert document == {"errors": ["The access token is invalid"]}


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if "{" in one.path], ids=str)
def test_it_answers_404_for_ids_nobody_has(demo: "DemoResult", operation: Operation) -> None:
    status, document = call(demo, operation, operation.unknown_path, operation.body, operation.required_query)
    assert (status, document) == (404, {"errors": ["Not Found"]})


@pytest.mark.parametrize(("name", "body", "sentence"), INVALID, ids=[row[0] for row in INVALID])
def test_it_says_what_is_wrong_as_documented(demo: "DemoResult", name: str, body: Any, sentence: str) -> None:
    operation = contract.operations()[name]
    status, document = call(demo, operation, operation.example_path, body)
    assert status == 422
    assert operation.problems(status, document) == []
    assert sentence in document["errors"]


def test_an_inactive_sequence_takes_nobody(demo: "DemoResult") -> None:
    update = contract.operations()["PUT /v4/sequences/{id}"]
    assert call(demo, update, update.example_path, update.body)[0] == 200  # the example pauses it
    add = contract.operations()["POST /v4/sequences/{sequence_id}/subscribers"]
    status, document = call(demo, add, "/v4/sequences/61/subscribers", add.body)
    assert (status, document) == (422, {"errors": ["Sequence is inactive"]})


def test_the_older_example_of_a_sequence_works_too(demo: "DemoResult") -> None:
    create = contract.operations()["POST /v4/sequences"]
    status, document = call(demo, create, "/v4/sequences", OLDER_SEQUENCE)
    assert status == 201
    assert create.problems(status, document) == []
    assert document["sequence"]["email_address"] == "joe927@ck.lol"
    assert [source["type"] for source in document["sequence"]["exclude_subscriber_sources"]] == ["sequence", "tag"]


@pytest.mark.parametrize("sort_order", ["asc", "desc"])
def test_sorting_by_cancellation_needs_cancelled_people(demo: "DemoResult", sort_order: str) -> None:
    people = contract.operations()["GET /v4/subscribers"]
    query = {"sort_field": "cancelled_at", "sort_order": sort_order}
    status, document = call(demo, people, "/v4/subscribers", query=query)
    assert status == 422
    assert document == {"errors": ["The status param must be `cancelled` if sort_field is `cancelled_at`"]}
    status, document = call(demo, people, "/v4/subscribers", query=query | {"status": "cancelled"})
    assert status == 200 and document["subscribers"]
    assert people.problems(status, document) == []


LISTS_WITH_ROWS = [
    ("GET /v4/forms/{form_id}/subscribers", "subscribers", {678, 679, 680}),
    ("GET /v4/sequences/{sequence_id}/subscribers", "subscribers", {921, 922, 923}),
    ("GET /v4/tags/{tag_id}/subscribers", "subscribers", {1138, 1139, 1140}),
    ("GET /v4/subscribers/{subscriber_id}/tags", "tags", {140, 141}),
    ("GET /v4/sequences/{sequence_id}/emails", "emails", {6, 7}),
]


@pytest.mark.parametrize(("name", "member", "ids"), LISTS_WITH_ROWS, ids=[row[0] for row in LISTS_WITH_ROWS])
def test_the_example_of_a_list_finds_somebody(demo: "DemoResult", name: str, member: str, ids: set[int]) -> None:
    operation = contract.operations()[name]
    _, document = call(demo, operation, operation.example_path, query=operation.optional_query)
    assert {row["id"] for row in document[member]} == ids


def test_paging_walks_through_a_whole_list(demo: "DemoResult") -> None:
    people = contract.operations()["GET /v4/subscribers"]
    query: dict[str, Any] = {"status": "all", "per_page": 7, "include_total_count": "true"}
    seen: list[int] = []
    while True:
        status, document = call(demo, people, "/v4/subscribers", query=query)
        assert people.problems(status, document) == []
        seen += [row["id"] for row in document["subscribers"]]
        if not document["pagination"]["has_next_page"]:
            break
        query["after"] = document["pagination"]["end_cursor"]
    assert len(seen) == len(set(seen)) == document["pagination"]["total_count"]
    assert seen == sorted(seen, reverse=True)
