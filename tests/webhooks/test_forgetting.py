"""Of somebody who is deleted nothing stays in what others were told, or are to be told."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.calls import queue, send
from dripstone.calls.models import Attempt, Call
from dripstone.engine.acts import forget
from dripstone.events import causes
from dripstone.subscribers import subscribe
from dripstone.webhooks import endpoints, legacy, read
from tests import receivers
from tests.factories import make_account, make_purchase, make_subscriber

pytestmark = pytest.mark.django_db

GONE, STAYS = "gone@example.org", "stays@example.org"


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})


def bodies() -> list[Any]:
    return [json.loads(bytes(row.body)) for row in Call.objects.order_by("pk")]


def test_only_their_number_stays_in_deliveries_that_went_and_that_wait(alice: Account, now: datetime) -> None:
    with receivers.receiver(lambda got, sock: receivers.answer(200, got.body)) as one:
        endpoints.create(alice, {"url": one.url, "events": ["subscriber.created", "purchase.created"]}, now)
        legacy.create(alice, {"target_url": one.url, "event": {"name": "subscriber.subscriber_activate"}}, now)
        both = [subscribe.upsert(alice.pk, {"email_address": one}, now, cause=causes.API) for one in (GONE, STAYS)]
        read.all_events(now)
        send.everything_due(lambda: now)
        make_purchase(alice, email_address=GONE)
        queue.callback(
            alice.pk, one.url, json.dumps({"subscribers": [{"id": 1, "email_address": GONE}]}).encode(), now, about="a"
        )
        read.all_events(now)
        person = both[0].subscriber
        forget.forget(alice, person.pk, "owner", now)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM calls_call WHERE position(%s::bytea IN body) > 0", [GONE.encode()])
            assert cursor.fetchone() == (0,)
        assert not Attempt.objects.filter(answer__contains=GONE).exists()
        told = json.dumps(bodies())
        assert f'"subscriber": {{"id": {person.pk}}}' in told and STAYS in told
        n_waiting = Call.objects.filter(status="planned").count()
        assert n_waiting == 2 and send.everything_due(lambda: now) == n_waiting
    assert set(Call.objects.values_list("status", flat=True)) == {"done"}


def test_what_another_account_tells_stays(alice: Account, now: datetime) -> None:
    bob = make_account("Bob")
    endpoints.create(bob, {"url": "https://hooks.example.com/", "events": ["subscriber.created"]}, now)
    subscribe.upsert(bob.pk, {"email_address": GONE}, now, cause=causes.API)
    read.all_events(now)
    forget.forget(alice, make_subscriber(alice, email_address=GONE).pk, "owner", now)
    assert GONE in json.dumps(bodies())
