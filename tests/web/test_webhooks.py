"""Settings → Webhooks: endpoints, their deliveries, and what is sent again."""

import json
import re
from typing import Any

import pytest
from django.test import Client

from dripstone import clock as clocks
from dripstone.accounts.models import Account
from dripstone.calls import queue, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.engine.models import Delivery
from dripstone.web.pages import webhooks
from dripstone.webhooks import endpoints, kinds, legacy, run
from dripstone.webhooks.models import Endpoint
from tests import receivers
from tests.conftest import VirtualClock
from tests.owned import ENDPOINT, WEBHOOK

FORM = {"url": "https://hooks.example.com/in", "name": "Shop", "events": ["", "subscriber.created", "tag.created"]}


@pytest.fixture(autouse=True)
def allowed(settings: Any, clock: VirtualClock) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})


def text(answer: Any) -> str:
    return str(answer.content.decode())


def make(account: Account, **changes: Any) -> Endpoint:
    return endpoints.create(account, ENDPOINT | changes, clocks.now())[0]


def test_an_endpoint_is_made_and_its_secret_shown_once(alice: Client, account: Account) -> None:
    answer = alice.post("/settings/webhooks", FORM, follow=True)
    row = Endpoint.objects.get()
    secret = secrets.of(row)
    assert secret and secret in text(answer)
    assert secret not in text(alice.get(f"/settings/webhook_endpoints/{row.pk}"))
    assert (row.account, row.name, row.events) == (account, "Shop", ["subscriber.created", "tag.created"])
    assert "2 kinds of events" in text(alice.get("/settings/webhooks"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"url": "http://localhost/"}, "Url must be public: it leads to this machine or a private network"),
        ({"url": ""}, "Url can&#x27;t be blank"),
        ({"events": ""}, "Events can&#x27;t be blank"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_typed(alice: Client, changes: Any, sentence: str) -> None:
    answer = alice.post("/settings/webhooks", FORM | changes)
    assert answer.status_code == 422
    assert sentence in text(answer) and 'value="Shop"' in text(answer)
    assert not Endpoint.objects.exists()


def test_it_is_edited(alice: Client, account: Account) -> None:
    row = make(account)
    page = f"/settings/webhook_endpoints/{row.pk}/editing"
    assert 'value="https://hooks.example.com/"' in text(alice.get(page))
    alice.post(page, FORM | {"description": "Orders"})
    row.refresh_from_db()
    assert (row.url, row.name, row.description) == (FORM["url"], "Shop", "Orders")
    assert alice.post(page, FORM | {"url": "x"}).status_code == 422


def test_a_rotation_asks_and_shows_the_new_secret_once(alice: Client, account: Account) -> None:
    row = make(account)
    before = secrets.of(row)
    page = f"/settings/webhook_endpoints/{row.pk}"
    assert "For 24 hours" in text(alice.get(f"{page}/rotation"))
    answer = text(alice.post(f"{page}/rotation", follow=True))
    row.refresh_from_db()
    assert secrets.valid(row, clocks.now()) == [secrets.of(row), before]
    assert (secrets.of(row) or "none") in answer
    assert "still signs" in text(alice.get(f"{page}/rotation"))
    assert "Only the new secret signs" in text(alice.get(f"{page}/revocation"))
    alice.post(f"{page}/revocation")
    row.refresh_from_db()
    assert secrets.valid(row, clocks.now()) == [secrets.of(row)]


def test_a_test_event_is_seen_with_its_answer(alice: Client, account: Account) -> None:
    with receivers.receiver(receivers.answer(503, b"<b>busy</b>", retry_after="120")) as one:
        row = make(account, url=one.url)
        page = f"/settings/webhook_endpoints/{row.pk}"
        assert "on its way" in text(alice.post(f"{page}/test", follow=True))
        run.until_idle(clocks.now)
        call = Call.objects.get()
        assert "The receiver answered with an error" in text(alice.get(page))
        shown = text(alice.get(f"/settings/webhook_deliveries/{call.pk}"))
        assert "Answered 503" in shown and "&lt;b&gt;busy&lt;/b&gt;" in shown
        assert "test@example.com" in shown
        assert json.loads(one.got[0].body)["delivery_id"] == call.pk


def test_one_or_all_that_failed_are_sent_again(alice: Client, account: Account) -> None:
    with receivers.receiver(receivers.answer(410)) as one:
        row = make(account, url=one.url)
        page = f"/settings/webhook_endpoints/{row.pk}"
        for _ in range(3):
            alice.post(f"{page}/test")
        run.until_idle(clocks.now)
        failed = text(alice.get(f"{page}?show=failed"))
        assert failed.count("Failed</span>") == 3
        one.says = lambda got, sock: receivers.OK
        first = Call.objects.order_by("pk")[0]
        answer = alice.post(f"/settings/webhook_deliveries/{first.pk}/again", follow=True)
        assert "1 delivery on the way again" in text(answer)
        run.until_idle(clocks.now)
        assert "Send again" in text(alice.get(f"/settings/webhook_deliveries/{first.pk}"))
        assert "2 deliveries that failed go again" in text(alice.get(f"/settings/receivers/{row.pk}/failed"))
        assert "2 deliveries on the way again" in text(alice.post(f"/settings/receivers/{row.pk}/failed", follow=True))
        run.until_idle(clocks.now)
    assert set(Call.objects.values_list("status", flat=True)) == {"done"}
    assert "There was nothing to send again" in text(alice.post(f"/settings/receivers/{row.pk}/failed", follow=True))


def test_it_is_disabled_made_active_and_deleted_and_each_says_first_what_it_does(
    alice: Client, account: Account
) -> None:
    row = make(account)
    page, receiver = f"/settings/webhook_endpoints/{row.pk}", f"/settings/receivers/{row.pk}"
    alice.post(f"{page}/test")
    assert "1 delivery waiting for it is not sent." in text(alice.get(f"{receiver}/deactivation"))
    assert "Disabled</span>" in text(alice.post(f"{receiver}/deactivation", follow=True))
    assert Call.objects.get().reason == "switched_off"
    assert "make it active first" in text(alice.post(f"{page}/test", follow=True))
    assert "hears of what happens from then on" in text(alice.get(f"{receiver}/activation"))
    assert "Send a test event" in text(alice.post(f"{receiver}/activation", follow=True))
    assert "Nothing waits for it." in text(alice.get(f"{receiver}/deletion"))
    alice.post(f"{receiver}/deletion")
    assert alice.get(page).status_code == 404
    assert alice.get(f"/settings/webhook_deliveries/{Call.objects.get().pk}").status_code == 404


def test_webhooks_of_before_have_a_page_too(alice: Client, account: Account) -> None:
    row = legacy.create(account, WEBHOOK, clocks.now())
    assert "subscriber.subscriber_activate" in text(alice.get("/settings/webhooks"))
    page = text(alice.get(f"/settings/webhooks/{row.pk}"))
    assert "Nothing was sent yet" in page and "Rotate" not in page
    alice.post(f"/settings/receivers/{row.pk}/deactivation")
    alice.post(f"/settings/receivers/{row.pk}/activation")
    row.refresh_from_db()
    assert row.is_active
    alice.post(f"/settings/receivers/{row.pk}/deletion")
    assert alice.get(f"/settings/webhooks/{row.pk}").status_code == 404


def test_owners_may_look_at_the_secret_of_callbacks(alice: Client, account: Account, viewer: Client) -> None:
    row = queue.receiver_of_callbacks(account.pk, clocks.now())
    secret = secrets.of(row)
    assert secret and secret in text(alice.get("/settings/callbacks"))
    assert viewer.get("/settings/callbacks").status_code == 403
    assert "signatures of both" in text(alice.get("/settings/callbacks/rotation"))
    alice.post("/settings/callbacks/rotation")
    row.refresh_from_db()
    assert secrets.valid(row, clocks.now()) == [secrets.of(row), secret]
    for act in ("deletion", "deactivation", "activation"):
        assert alice.post(f"/settings/receivers/{row.pk}/{act}").status_code == 404


def test_one_that_failed_for_days_is_switched_off_and_its_owners_told(
    alice: Client, account: Account, clock: VirtualClock, settings: Any
) -> None:
    settings.DRIPSTONE_MAIL_URL, settings.DRIPSTONE_FROM = "smtp://127.0.0.1:9", ("Dripstone", "accounts@example.com")
    with receivers.receiver(receivers.answer(500)) as one:
        row = make(account, url=one.url)
        alice.post(f"/settings/webhook_endpoints/{row.pk}/test")
        run.until_idle(clock.now)
    assert "If that goes on for three days it is switched off" in text(
        alice.get(f"/settings/webhook_endpoints/{row.pk}")
    )
    clock.advance(days=3)
    run.until_idle(clock.now)
    row.refresh_from_db()
    assert (row.off, row.off_at) == ("failing", clock.now())
    page = text(alice.get(f"/settings/webhook_endpoints/{row.pk}"))
    assert "Switched off" in page and "it was switched off" in page
    mail = Delivery.objects.get(notice__kind="webhook_off")
    assert mail.account_id == Delivery.NO_ACCOUNT and mail.notice is not None
    assert mail.notice.email_address == "alice@example.com"
    assert re.search(r"Subject: A webhook of Alice is switched off", bytes(mail.notice.message).decode())
    alice.post(f"/settings/receivers/{row.pk}/activation")
    row.refresh_from_db()
    assert row.failing_since is None and row.is_active


def test_without_a_mail_server_only_the_page_says_it(account: Account, clock: VirtualClock) -> None:
    row = make(account)
    Receiver.objects.filter(pk=row.pk).update(failing_since=clock.now())
    clock.advance(days=3)
    run.until_idle(clock.now)
    assert not Delivery.objects.exists()
    assert Receiver.objects.get(pk=row.pk).off == "failing"


def test_all_that_can_be_heard_can_be_chosen() -> None:
    assert sorted(name for _, some in webhooks.EVENTS for name, _ in some) == sorted(kinds.ENDPOINT)
