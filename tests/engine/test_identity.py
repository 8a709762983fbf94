"""Deliveries from before the quick tokens keep their Message-IDs and links: a retry looks like the first attempt."""

from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.engine import identity, plan
from dripstone.engine.models import Delivery, Since
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.memory import accept
from tests.driving import Engine
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db
migration = import_module("dripstone.engine.migrations.0023_quick_tokens")


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    identity.quick_since.cache_clear()
    yield
    identity.quick_since.cache_clear()


def upgrade() -> None:
    """What the migration decides, on the rows there are."""
    with connection.schema_editor() as editor:
        migration.decide(apps, editor)
    identity.quick_since.cache_clear()


def message_ids(mail: list[Outgoing]) -> list[bytes]:
    return [next(line for line in one.data.split(b"\r\n") if line.startswith(b"Message-ID: ")) for one in mail]


def test_a_new_installation_has_quick_ones_from_the_first(alice: Account) -> None:
    upgrade()
    assert not Since.objects.exists()
    assert identity.message_id(1) == f"{signing.make_quick('message', 1)}@{identity.domain()}"
    assert identity.unsubscribe_url(1).endswith(f"/u/{signing.make_quick('unsubscribe', 1)}")


def test_deliveries_there_are_and_the_next_million_keep_the_long_ones(alice: Account) -> None:
    """A million: workers of the version before still run while the new ones start."""
    make_enrollment(make_sequence(alice, {"delay_value": 0}), make_subscriber(alice), MONDAY_9)
    plan.everything_due(MONDAY_9)
    delivery = Delivery.objects.get()
    upgrade()
    first = delivery.pk + migration.AHEAD
    for number in (1, delivery.pk, first - 1):
        assert identity.message_id(number) == f"{signing.make('message', number)}@{identity.domain()}"
        assert identity.unsubscribe_url(number).endswith(f"/u/{signing.make('unsubscribe', number)}")
    assert identity.message_id(first) == f"{signing.make_quick('message', first)}@{identity.domain()}"


def test_a_retry_after_the_upgrade_has_the_message_id_of_the_first_attempt(alice: Account, engine: Engine) -> None:
    attempts: list[Outgoing] = []

    def refuse_once(message: Outgoing) -> Answer:
        attempts.append(message)
        return Answer(message.delivery_id, "temporary", "451 4.7.1 Later") if len(attempts) == 1 else accept(message)

    Since.objects.create(name=Since.QUICK_TOKENS, delivery_id=2**62)  # as the version before: all of them long
    engine.mail.answer = refuse_once
    make_enrollment(make_sequence(alice, {"delay_value": 0}), make_subscriber(alice), MONDAY_9)
    engine.run()
    Since.objects.all().delete()
    upgrade()
    engine.run_until(MONDAY_9 + timedelta(minutes=2))
    assert Delivery.objects.get().attempt == 2
    first, second = message_ids(attempts)
    assert first == second
    assert signing.make("message", Delivery.objects.get().pk).encode() in first
