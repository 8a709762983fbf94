"""How many emails were sent in each week: counted when they are sent, however old rows go later."""

from datetime import timedelta
from typing import Any

from dripstone.engine import life, plan
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery
from dripstone.ops import prune
from dripstone.senders.memory import MemorySender
from dripstone.sequences.models import Sequence
from dripstone.stats import emails as stats
from dripstone.tallies import verbs as tallies
from tests import factories
from tests.web.making import make_delivery

NOW = factories.MONDAY_9
SUNDAY = NOW - timedelta(hours=9, seconds=1)  # the last second of the week before, in UTC


def send(now: Any) -> None:
    plan.everything_due(now)
    while life.send_batch("worker", MemorySender(), lambda: now):
        pass


def sent(sequence: Sequence, weeks: int = 3) -> list[int]:
    return stats.sent_by_week([sequence.pk], NOW, weeks)[sequence.pk]


def test_each_week_begins_on_monday_and_the_newest_comes_last(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0})
    for at in (NOW - timedelta(weeks=9), SUNDAY, SUNDAY, NOW):
        factories.make_enrollment(sequence, factories.make_subscriber(account), at)
        send(at)
    assert sent(sequence) == [0, 2, 1]
    assert sent(sequence, 13) == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1]
    assert tallies.differences() == []


def test_only_what_was_sent_counts_and_what_is_treated_as_sent_does_from_then_on(db: None) -> None:
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0})
    for status in ("failed", "skipped", "unknown"):
        make_delivery(factories.make_enrollment(sequence, factories.make_subscriber(account)), status)
    assert sent(sequence) == [0, 0, 0]
    undecided.treat_as_sent(Delivery.objects.get(status="unknown").pk, "owner", "", NOW)
    assert sent(sequence) == [0, 0, 1]
    assert tallies.differences() == []


def test_pruned_and_deleted_emails_stay_counted(db: None, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = 1
    account = factories.make_account()
    sequence = factories.make_sequence(account, {"delay_value": 0}, repeat=True)
    person = factories.make_subscriber(account)
    factories.make_enrollment(sequence, person, SUNDAY)
    send(SUNDAY)
    factories.make_enrollment(sequence, person, NOW, "bulk")
    prune.everything(NOW + timedelta(days=9))
    sequence.emails.update(deleted_at=NOW)
    assert not Delivery.objects.filter(status="sent").exists()
    assert sent(sequence) == [0, 1, 0]
    assert tallies.differences(repair=True) == []
