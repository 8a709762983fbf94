"""Webhook endpoints by API: https://developers.kit.com/api-reference/webhooks"""

from datetime import timedelta
from typing import Any

import pytest

from dripstone import clock
from dripstone.calls import secrets
from dripstone.webhooks import endpoints
from dripstone.webhooks.models import Endpoint
from tests.api.caller import Caller
from tests.conftest import VirtualClock

URL = "https://hooks.example.com/incoming"
BODY = {"url": URL, "events": ["subscriber.created", "custom_field.created"], "name": "My webhook", "description": "A"}


def make(caller: Caller, **changes: Any) -> dict[str, Any]:
    status, answer = caller.post("/v4/webhook_endpoints", BODY | changes)
    assert status == 201, answer
    made: dict[str, Any] = answer["webhook_endpoint"]
    return made


def test_the_secret_is_told_when_it_is_made_and_never_again(alice: Caller) -> None:
    made = make(alice)
    secret = made.pop("secret")
    assert secret.startswith("whsec_") and len(secret) > 40
    assert made == {
        "id": made["id"],
        "name": "My webhook",
        "url": URL,
        "events": ["custom_field.created", "subscriber.created"],
        "status": "active",
        "source": "creator",
        "description": "A",
        "created_by_app": None,
        "created_at": "2026-11-23T09:00:00Z",
        "previous_secret_expires_at": None,
    }
    assert alice.get(f"/v4/webhook_endpoints/{made['id']}") == (200, {"webhook_endpoint": made})
    assert alice.get("/v4/webhook_endpoints")[1]["webhook_endpoints"] == [made]
    row = Endpoint.objects.get()
    assert secret.encode() not in bytes(row.secret) and secrets.of(row) == secret


def test_only_address_and_events_are_needed(alice: Caller) -> None:
    made = make(alice, name=None, description=None)
    assert (made["name"], made["description"]) == ("hooks.example.com", "")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"url": None}, "url can't be blank"),
        ({"url": 7}, "url must be a string"),
        ({"url": "http://127.0.0.1/"}, "url must be public: it leads to this machine or a private network"),
        ({"url": "ftp://example.com"}, "url must begin with https:// or http://"),
        ({"events": None}, "events can't be blank"),
        ({"events": []}, "events can't be blank"),
        ({"events": "subscriber.created"}, 'events must be an array of event types, such as ["subscriber.created"]'),
        ({"events": [7]}, 'events must be an array of event types, such as ["subscriber.created"]'),
        ({"events": ["subscriber.email_opened"]}, "events: subscriber.email_opened is not available yet"),
        ({"events": ["broadcast.sent"]}, "events: broadcast.sent is not available yet"),
        ({"name": "x" * 256}, "name is too long (maximum is 255 characters)"),
        ({"description": "x" * 1001}, "description is too long (maximum is 1000 characters)"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(alice: Caller, changes: Any, sentence: str) -> None:
    assert alice.post("/v4/webhook_endpoints", BODY | changes) == (422, {"errors": [sentence]})
    assert not Endpoint.objects.exists()


def test_an_unknown_event_is_refused_with_those_there_are(alice: Caller) -> None:
    status, answer = alice.post("/v4/webhook_endpoints", BODY | {"events": ["subscriber.made"]})
    assert status == 422
    assert answer["errors"][0].startswith("events: subscriber.made is no event type; there are: subscriber.created,")


def test_a_change_is_partial_and_replaces_all_events(alice: Caller) -> None:
    made = make(alice)
    path = f"/v4/webhook_endpoints/{made['id']}"
    del made["secret"]
    status, answer = alice.send("PATCH", path, {"events": ["subscriber.activated"]})
    assert (status, answer["webhook_endpoint"]) == (200, made | {"events": ["subscriber.activated"]})
    status, answer = alice.send("PATCH", path, {"status": "disabled", "name": "Off", "url": "https://b.example.com/"})
    changed = {"events": ["subscriber.activated"], "status": "disabled", "name": "Off", "url": "https://b.example.com/"}
    assert (status, answer["webhook_endpoint"]) == (200, made | changed)
    assert alice.get("/v4/webhook_endpoints", status="active")[1]["webhook_endpoints"] == []
    assert len(alice.get("/v4/webhook_endpoints", status="disabled")[1]["webhook_endpoints"]) == 1
    assert alice.send("PATCH", path, {"status": "paused"})[0] == 422
    assert alice.send("PATCH", path, {"url": "http://10.0.0.1/"})[0] == 422
    assert alice.send("PATCH", path, {})[1]["webhook_endpoint"] == made | changed


def test_a_deleted_one_is_gone(alice: Caller) -> None:
    path = f"/v4/webhook_endpoints/{make(alice)['id']}"
    assert alice.delete(path) == (204, None)
    for method in ("GET", "PATCH", "DELETE"):
        assert alice.send(method, path, {}) == (404, {"errors": ["Not Found"]})
    assert alice.get("/v4/webhook_endpoints")[1]["webhook_endpoints"] == []


def test_a_rotation_overlaps_for_a_day(alice: Caller, clock: VirtualClock) -> None:
    made = make(alice)
    path = f"/v4/webhook_endpoints/{made['id']}"
    status, answer = alice.post(f"{path}/rotate_secret")
    rotated = answer["webhook_endpoint"]
    assert status == 200 and rotated["previous_secret_expires_at"] == "2026-11-24T09:00:00Z"
    assert valid() == [rotated["secret"], made["secret"]]
    refused = (409, {"errors": ["The previous signing secret is still within its rotation window."]})
    assert alice.post(f"{path}/rotate_secret", {"force": False}) == refused
    assert valid() == [rotated["secret"], made["secret"]]
    forced = alice.post(f"{path}/rotate_secret", {"force": True})[1]["webhook_endpoint"]["secret"]
    assert valid() == [forced, rotated["secret"]]
    clock.advance(hours=24)
    assert valid() == [forced]
    assert alice.post(f"{path}/rotate_secret", {})[0] == 200


def test_the_old_secret_may_be_revoked_at_once(alice: Caller) -> None:
    path = f"/v4/webhook_endpoints/{make(alice)['id']}"
    secret = alice.post(f"{path}/rotate_secret")[1]["webhook_endpoint"]["secret"]
    status, answer = alice.post(f"{path}/revoke_previous_secret")
    assert status == 200 and answer["webhook_endpoint"]["previous_secret_expires_at"] is None
    assert "secret" not in answer["webhook_endpoint"]
    assert valid() == [secret]
    assert alice.post(f"{path}/revoke_previous_secret")[0] == 200
    assert alice.post(f"{path}/rotate_secret", {"force": 3}) == (422, {"errors": ["force must be true or false"]})


def valid() -> list[str]:
    return secrets.valid(Endpoint.objects.get(), clock.now())


def test_there_is_a_limit(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MOST", 1)
    make(alice)
    sentence = "An account can't have more than 1 webhook endpoints; delete one first"
    assert alice.post("/v4/webhook_endpoints", BODY) == (422, {"errors": [sentence]})


# --- Ours: deliveries ---------------------------------------------------------------------------------------------


def test_a_test_event_is_a_delivery_with_its_history(alice: Caller, clock: VirtualClock, settings: Any) -> None:
    from dripstone.webhooks import run
    from tests import receivers

    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})
    with receivers.receiver(receivers.answer(500, b"no room")) as one:
        base = f"/ext/v1/webhook_endpoints/{make(alice, url=one.url)['id']}"
        status, answer = alice.post(f"{base}/test")
        delivery = answer["webhook_delivery"]
        assert (status, delivery["status"], delivery["event_type"]) == (201, "planned", "test")
        run.until_idle(clock.now)
        assert b"custom_field.created" in one.got[0].body
        status, answer = alice.get(f"{base}/deliveries/{delivery['id']}")
        found = answer["webhook_delivery"]
        assert (found["status"], found["reason"], found["next_attempt_at"]) == (
            "planned",
            "refused",
            "2026-11-23T09:00:30Z",
        )
        assert found["request_body"] == one.got[0].body.decode()
        (attempt,) = found["history"]
        assert (attempt["number"], attempt["response_status"], attempt["response_body"]) == (1, 500, "no room")
        assert alice.get(f"{base}/deliveries", status="planned")[1]["webhook_deliveries"][0]["id"] == delivery["id"]
        assert alice.get(f"{base}/deliveries", status="done")[1]["webhook_deliveries"] == []
        one.says = lambda got, sock: receivers.answer(410)
        clock.advance(seconds=30)
        run.until_idle(clock.now)
        assert alice.get(f"{base}/deliveries", status="failed")[1]["webhook_deliveries"][0]["reason"] == "gone"
        assert alice.post(f"{base}/send_failed_again") == (200, {"sent_again": 1})
        one.says = lambda got, sock: receivers.OK
        run.until_idle(clock.now)
        assert alice.get(f"{base}/deliveries/{delivery['id']}")[1]["webhook_delivery"]["status"] == "done"
        status, answer = alice.post(f"{base}/deliveries/{delivery['id']}/send_again")
        assert (status, answer["webhook_delivery"]["status"]) == (200, "planned")
        run.until_idle(clock.now)
    assert len({got.body for got in one.got}) == 1 and len(one.got) == 4


def test_nothing_can_be_sent_to_one_that_is_disabled(alice: Caller) -> None:
    made = make(alice)
    alice.send("PATCH", f"/v4/webhook_endpoints/{made['id']}", {"status": "disabled"})
    sentence = "It is disabled, so nothing can be sent to it; make it active first"
    for act in ("test", "send_failed_again"):
        assert alice.post(f"/ext/v1/webhook_endpoints/{made['id']}/{act}") == (422, {"errors": [sentence]})


def test_the_clock_makes_every_retry_on_its_way(alice: Caller, clock: VirtualClock, settings: Any) -> None:
    from dripstone.calls.models import Attempt
    from tests import receivers

    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})
    begun = clock.now()
    with receivers.receiver(receivers.answer(500)) as one:
        make(alice, url=one.url, events=["subscriber.created"])
        alice.post("/v4/subscribers", {"email_address": "a@example.org"})
        assert alice.post("/ext/v1/clock/advance", {"seconds": 3600})[0] == 200
        waits = [at - begun for at in Attempt.objects.order_by("number").values_list("at", flat=True)]
        assert waits == [timedelta(seconds=seconds) for seconds in (0, 30, 150, 1050)]
        alice.post("/ext/v1/clock/advance", {"seconds": 4 * 86_400})
    assert len(one.got) == 8
    row = Endpoint.objects.get()
    assert row.off == "failing" and row.off_at is not None
    assert row.off_at - begun == timedelta(days=3)
