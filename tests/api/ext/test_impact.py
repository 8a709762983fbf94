"""POST /ext/v1/sequences/{id}/impact, and If-Match on the calls it foretells."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dripstone.engine import virtual
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from tests import factories
from tests.api.caller import Caller

NOT_FOUND = (404, {"errors": ["Not Found"]})
CHANGED = (412, {"errors": ["The sequence has changed since its impact was told: ask for it again"]})
OTHER_CALL = (412, {"errors": ["This token was given for another change: ask for the impact of this one"]})


@pytest.fixture
def sequence(alice: Caller, clock: Any, settings: Any) -> Sequence:
    """welcome at once, Day 1, a draft in between; two people who have had the welcome."""
    settings.DRIPSTONE_MAIL_URL = "memory://impact"
    row = factories.make_sequence(
        alice.account,
        {"subject": "welcome", "delay_value": 0},
        {"subject": "extra", "published": False, "delay_unit": "hours"},
        {"subject": "Day 1"},
    )
    for _ in range(2):
        factories.make_enrollment(row, factories.make_subscriber(alice.account), clock.now())
    virtual.advance_to(clock.now(), alice.account.pk)
    return row


def email(sequence: Sequence, subject: str) -> SequenceEmail:
    return sequence.emails.get(subject=subject)


def ask(caller: Caller, sequence: Sequence, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    change = {"method": method, "path": path} | ({} if body is None else {"body": body})
    return caller.post(f"/ext/v1/sequences/{sequence.pk}/impact", {"change": change})


def act(caller: Caller, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
    headers = {"X-Kit-Api-Key": caller.key, "If-Match": token}
    data = b"" if body is None else json.dumps(body).encode()
    response = getattr(Client(), method.lower())(path, data, content_type="application/json", headers=headers)
    return response.status_code, json.loads(response.content) if response.content else None


def publish(sequence: Sequence) -> tuple[str, str, dict[str, Any]]:
    return "PUT", f"/v4/sequences/{sequence.pk}/emails/{email(sequence, 'extra').pk}", {"published": True}


def test_it_tells_what_publishing_would_do(alice: Caller, sequence: Sequence, clock: Any) -> None:
    clock.advance(hours=2)
    status, answer = ask(alice, sequence, *publish(sequence))
    told = answer["impact"]
    extra = email(sequence, "extra")
    assert status == 200
    assert told["summary"] == "2 people get “extra” right away."
    assert told["right_away"] == [{"email_id": extra.pk, "subject": "extra", "people": 2}]
    assert (told["people"], told["unchanged"], told["moved"]["people"]) == (2, 0, 2)
    example = told["examples"][0]
    assert (example["before"]["subject"], example["after"]["subject"]) == ("Day 1", "extra")
    assert example["after"]["due_at"] == "2026-11-23T11:00:00Z"
    assert not SequenceEmail.objects.get(pk=extra.pk).published


def test_nothing_is_changed_and_nobody_is_woken(alice: Caller, sequence: Sequence) -> None:
    rows = list(Enrollment.objects.values())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        jobs = cursor.fetchone()
        assert ask(alice, sequence, "DELETE", f"/v4/sequences/{sequence.pk}")[0] == 200
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        assert cursor.fetchone() == jobs
    assert list(Enrollment.objects.values()) == rows
    assert Sequence.objects.get().deleted_at is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v4/sequences/{id}", {"active": False}, 200),
        ("PUT", "/v4/sequences/{id}/emails/{email}", {"published": True, "position": 2}, 200),
        ("POST", "/v4/sequences/{id}/emails", {"subject": "n", "delay_value": 1, "delay_unit": "days"}, 201),
        ("DELETE", "/v4/sequences/{id}/emails/{email}", None, 204),
        ("DELETE", "/v4/sequences/{id}", None, 204),
        ("POST", "/ext/v1/sequences/{id}/reschedule", None, 202),
    ],
)
def test_the_token_lets_the_same_call_through_once(
    alice: Caller, sequence: Sequence, method: str, path: str, body: Any, status: int
) -> None:
    path = path.format(id=sequence.pk, email=email(sequence, "extra").pk)
    token = ask(alice, sequence, method, path, body)[1]["impact"]["token"]
    factories.make_enrollment(sequence, factories.make_subscriber(alice.account))
    assert act(alice, method, path, body, f'"{token}"') == CHANGED
    fresh = ask(alice, sequence, method, path, body)[1]["impact"]["token"]
    assert act(alice, method, path, body, f'"{fresh}"')[0] == status


def test_a_token_is_for_one_change(alice: Caller, sequence: Sequence) -> None:
    method, path, body = publish(sequence)
    token = ask(alice, sequence, method, path, body)[1]["impact"]["token"]
    assert act(alice, "DELETE", path, None, token) == OTHER_CALL
    assert act(alice, method, path, {"published": False}, token) == OTHER_CALL
    assert act(alice, method, path, body, f'"something", W/"{token}"')[0] == 200


def test_anything_goes_without_a_token_or_with_a_star(alice: Caller, sequence: Sequence) -> None:
    method, path, body = publish(sequence)
    assert act(alice, method, path, body, "*")[0] == 200
    assert act(alice, method, path, body, "")[0] == 200
    assert act(alice, method, path, body, "nonsense") == CHANGED


def test_the_token_is_the_etag_too(alice: Caller, sequence: Sequence) -> None:
    method, path, body = publish(sequence)
    response = Client().post(
        f"/ext/v1/sequences/{sequence.pk}/impact",
        {"change": {"method": method, "path": path, "body": body}},
        content_type="application/json",
        headers={"X-Kit-Api-Key": alice.key},
    )
    assert response["ETag"] == f'"{response.json()["impact"]["token"]}"'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v4/sequences/{id}", {"send_hour": 24, "active": "yes"}),
        ("PUT", "/v4/sequences/{id}", None),
        ("PUT", "/v4/sequences/{id}", [1]),
        ("POST", "/v4/sequences/{id}/emails", {}),
        ("POST", "/v4/sequences/{id}/emails", None),
        ("PUT", "/v4/sequences/{id}/emails/{email}", {"delay_value": 0, "delay_unit": "days"}),
        ("PUT", "/v4/sequences/{id}/emails/999999999", {"published": True}),
        ("PUT", "/v4/sequences/{id}/emails/99999999999999999999", {"published": True}),
        ("DELETE", "/v4/sequences/{id}/emails/0", None),
    ],
)
def test_it_refuses_exactly_as_the_real_call(
    alice: Caller, sequence: Sequence, method: str, path: str, body: Any
) -> None:
    path = path.format(id=sequence.pk, email=email(sequence, "extra").pk)
    status, answer = ask(alice, sequence, method, path, body)
    assert status in (404, 422)
    assert (status, answer) == act(alice, method, path, body, "")


def test_it_says_what_can_be_proposed(alice: Caller, sequence: Sequence) -> None:
    url = f"/ext/v1/sequences/{sequence.pk}/impact"
    status, answer = ask(alice, sequence, "PUT", "/v4/tags/3", {})
    assert status == 422
    assert answer["errors"][0].startswith(f"change must be one of: PUT /v4/sequences/{sequence.pk}, DELETE")
    assert alice.post(url) == (422, {"errors": ["change can't be blank"]})
    shape = "change must be an object: the method, path and body of the call"
    assert alice.post(url, {"change": "PUT"}) == (422, {"errors": [shape]})
    problems = ["change.method must be one of: POST, PUT, DELETE", "change.path must be a string"]
    assert alice.post(url, {"change": {"method": "GET", "path": 3}}) == (422, {"errors": problems})
    other = ask(alice, sequence, "DELETE", f"/v4/sequences/{sequence.pk + 1}")
    assert other == (422, {"errors": [f"change.path must be a call on sequence {sequence.pk}"]})


def test_mallory_learns_nothing(alice: Caller, mallory: Caller, sequence: Sequence) -> None:
    method, path, body = publish(sequence)
    token = ask(alice, sequence, method, path, body)[1]["impact"]["token"]
    assert ask(mallory, sequence, method, path, body) == NOT_FOUND
    assert act(mallory, method, path, body, token) == NOT_FOUND
    assert act(mallory, method, path, body, "nonsense") == NOT_FOUND
