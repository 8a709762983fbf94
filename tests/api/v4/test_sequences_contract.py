"""Answers of the sequence calls against Kit's contract, beyond its own examples."""

from typing import Any

import pytest

from tests import factories
from tests.api.caller import Caller
from tests.kit import contract


@pytest.fixture(autouse=True)
def _contract() -> None:
    contract.skip_if_absent()


def checked(name: str, answer: tuple[int, Any]) -> Any:
    status, document = answer
    assert contract.operations()[name].problems(status, document) == []
    return document


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"delay_unit": "hours"},
        {"delay_value": 0, "published": True},
        {"send_days": ["monday"], "preview_text": "Soon", "content": "<p>Hi</p>", "position": 4},
    ],
)
def test_every_kind_of_email_fits(alice: Caller, values: dict[str, Any]) -> None:
    emails = f"/v4/sequences/{factories.make_sequence(alice.account).pk}/emails"
    body = {"subject": "Hi", "delay_value": 1, "delay_unit": "days", **values}
    made = checked("POST /v4/sequences/{sequence_id}/emails", alice.post(emails, body))["email"]
    one, name = f"{emails}/{made['id']}", "/v4/sequences/{sequence_id}/emails/{id}"
    checked(f"GET {name}", alice.get(one, include="stats"))
    checked(f"PUT {name}", alice.put(one, {"subject": "New"}))
    checked(
        "GET /v4/sequences/{sequence_id}/emails",
        alice.get(emails, include="stats", include_content="true", include_total_count="true"),
    )
    checked(f"PUT {name}", alice.put(one, {"delay_unit": "weeks"}))
    checked(f"DELETE {name}", alice.delete(one))
    checked("GET /v4/sequences/{sequence_id}/emails", alice.get(emails))


def test_every_kind_of_sequence_fits(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    exclusions = [{"type": "tag", "ids": [tag.pk]}]
    plain = checked("POST /v4/sequences", alice.post("/v4/sequences", {"name": "Plain"}))["sequence"]
    full = {"name": "Full", "send_days": ["friday"], "hold": True, "exclude_subscriber_sources": exclusions}
    checked("POST /v4/sequences", alice.post("/v4/sequences", full))
    one = f"/v4/sequences/{plain['id']}"
    checked("PUT /v4/sequences/{id}", alice.put(one, {"active": False}))
    checked("GET /v4/sequences/{id}", alice.get(one, include="stats"))
    checked("GET /v4/sequences", alice.get("/v4/sequences"))
    checked("POST /v4/sequences", alice.post("/v4/sequences", {"send_hour": 24}))
    checked("DELETE /v4/sequences/{id}", alice.delete(one))
    checked("GET /v4/sequences/{id}", alice.get(one))


def test_stats_of_a_list_fit(alice: Caller) -> None:
    factories.make_sequence(alice.account, {})
    checked("GET /v4/sequences", alice.get("/v4/sequences", include="stats", include_total_count="true"))


def test_people_fit(alice: Caller) -> None:
    path = f"/v4/sequences/{factories.make_sequence(alice.account, {}).pk}/subscribers"
    person = factories.make_subscriber(alice.account, first_name=None)
    add = "POST /v4/sequences/{sequence_id}/subscribers"
    checked(add, alice.post(path, {"email_address": person.email_address}))
    checked(add, alice.post(path, {"email_address": person.email_address}))
    checked(add, alice.post(path, {"email_address": "nobody@example.org"}))
    checked(add, alice.post(path, {}))
    checked(f"{add}/{{id}}", alice.post(f"{path}/{person.pk}", {}))
    checked("GET /v4/sequences/{sequence_id}/subscribers", alice.get(path, status="all"))
