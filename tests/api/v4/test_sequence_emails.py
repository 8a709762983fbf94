"""Emails of a sequence over HTTP: exact answers."""

from typing import Any

import pytest

from dripstone.sequences.models import SequenceEmail
from dripstone.words import WEEKDAYS
from tests import factories
from tests.api.caller import Caller

NO_STATS = {
    "recipients": 0,
    "opens": 0,
    "clicks": 0,
    "email_unsubscribes": 0,
    "bounces": 0,
    "complaints": 0,
    "open_rate": 0.0,
    "click_rate": 0.0,
    "click_to_open_rate": 0.0,
    "unsubscribe_rate": 0.0,
    "bounce_rate": 0.0,
    "complaint_rate": 0.0,
}
EMAIL = {"subject": "Welcome to the sequence", "delay_value": 1, "delay_unit": "days"}
NULLS = dict.fromkeys(["preview_text", "content", "email_template_id", "published", "send_days", "position"])


@pytest.fixture
def path(alice: Caller) -> str:
    return f"/v4/sequences/{factories.make_sequence(alice.account).pk}/emails"


def create(caller: Caller, path: str, **values: Any) -> dict[str, Any]:
    status, answer = caller.post(path, {**EMAIL, **values})
    assert status == 201, answer
    shape: dict[str, Any] = answer["email"]
    return shape


@pytest.mark.parametrize("rest", [{}, NULLS], ids=["left out", "null"])
def test_it_creates_a_draft(alice: Caller, path: str, rest: dict[str, Any]) -> None:
    assert alice.post(path, EMAIL | rest) == (
        201,
        {
            "email": {
                "id": SequenceEmail.objects.get().pk,
                "sequence_id": SequenceEmail.objects.get().sequence_id,
                "subject": "Welcome to the sequence",
                "preview_text": None,
                "email_address": alice.account.primary_email_address,
                "email_template_id": None,
                "published": False,
                "position": 0,
                "delay_value": 1,
                "delay_unit": "days",
                "send_days": list(WEEKDAYS),
                "content": None,
            }
        },
    )


def test_what_was_created_can_be_read_and_written_back(alice: Caller, path: str) -> None:
    made = create(alice, path, preview_text="Soon", content="<p>Hi</p>", published=True, send_days=["friday", "monday"])
    assert (made["send_days"], made["published"], made["content"]) == (["monday", "friday"], True, "<p>Hi</p>")
    one = f"{path}/{made['id']}"
    assert alice.get(one) == (200, {"email": made})
    assert alice.put(one, made) == (200, {"email": made})


def test_hours_read_back_without_days(alice: Caller, path: str) -> None:
    made = create(alice, path, delay_unit="hours")
    assert made["send_days"] is None
    one = f"{path}/{made['id']}"
    assert alice.put(one, made) == (200, {"email": made})
    assert alice.put(one, {"send_days": ["monday"]}) == (
        422,
        {"errors": ["send_days can't be set on an hour-based email"]},
    )
    assert alice.put(one, {"delay_unit": "days"})[1]["email"]["send_days"] == list(WEEKDAYS)


def test_an_update_is_partial(alice: Caller, path: str) -> None:
    made = create(alice, path, preview_text="Soon", content="<p>Hi</p>")
    one = f"{path}/{made['id']}"
    assert alice.put(one, {"subject": "Updated", "content": None, "position": None}) == (
        200,
        {"email": made | {"subject": "Updated"}},
    )
    assert alice.put(one, {"delay_unit": "weeks"}) == (422, {"errors": ["delay_unit must be one of: days, hours"]})
    assert alice.put(one, {"subject": None}) == (422, {"errors": ["subject can't be blank"]})
    assert alice.get(one)[1]["email"]["subject"] == "Updated"


@pytest.mark.parametrize("body", [None, {}])
def test_it_tells_all_problems(alice: Caller, path: str, body: Any) -> None:
    assert alice.post(path, body) == (
        422,
        {
            "errors": [
                "subject can't be blank",
                "delay_unit must be one of: days, hours",
                "delay_value can't be blank",
            ]
        },
    )


def test_warnings_stand_beside_the_email(alice: Caller, path: str) -> None:
    status, answer = alice.post(path, EMAIL | {"content": "{{ snippet.lost }}"})
    assert (status, answer["warnings"]) == (
        201,
        ["content: there is no snippet lost; nothing will stand in its place"],
    )
    status, answer = alice.put(f"{path}/{answer['email']['id']}", {"content": "Fine"})
    assert (status, list(answer)) == (200, ["email"])


def test_it_lists_emails_by_position_in_pages(alice: Caller, path: str) -> None:
    ids = [create(alice, path, content="Hi")["id"] for _ in range(3)]
    first = create(alice, path, position=0)["id"]
    wanted = [first, *ids]
    status, answer = alice.get(path, per_page=3, include_total_count="true")
    assert (status, [row["id"] for row in answer["emails"]]) == (200, wanted[:3])
    assert [row["position"] for row in answer["emails"]] == [0, 1, 2]
    assert answer["pagination"]["total_count"] == 4
    rest = alice.get(path, per_page=3, after=answer["pagination"]["end_cursor"])[1]
    assert [row["id"] for row in rest["emails"]] == wanted[3:]
    assert rest["pagination"]["has_previous_page"]
    assert not rest["pagination"]["has_next_page"]


def test_content_and_stats_are_listed_when_asked_for(alice: Caller, path: str) -> None:
    made = create(alice, path, content="Hi")
    without = {name: value for name, value in made.items() if name != "content"}
    assert alice.get(path)[1]["emails"] == [without]
    assert alice.get(path, include_content="true")[1]["emails"] == [made]
    assert alice.get(path, include="stats")[1]["emails"] == [without | {"stats": NO_STATS}]
    assert alice.get(f"{path}/{made['id']}", include="stats")[1]["email"] == made | {"stats": NO_STATS}
    refused = (422, {"errors": ["include must be one or more of: stats"]})
    assert alice.get(path, include="content") == refused
    assert alice.get(f"{path}/{made['id']}", include="x") == refused


def test_a_deleted_email_is_gone(alice: Caller, path: str) -> None:
    made, other = create(alice, path), create(alice, path)
    one = f"{path}/{made['id']}"
    assert alice.delete(one) == (204, None)
    for answer in (alice.get(one), alice.put(one, {}), alice.delete(one)):
        assert answer == (404, {"errors": ["Not Found"]})
    assert [row["id"] for row in alice.get(path)[1]["emails"]] == [other["id"]]


def test_an_email_is_found_in_its_own_sequence_only(alice: Caller, path: str) -> None:
    made, other = create(alice, path), factories.make_sequence(alice.account)
    elsewhere = f"/v4/sequences/{other.pk}/emails/{made['id']}"
    for answer in (alice.get(elsewhere), alice.put(elsewhere, {"subject": "x"}), alice.delete(elsewhere)):
        assert answer == (404, {"errors": ["Not Found"]})
