"""Many people at once, and what became of their mail: for the tests of claiming and holding back."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, enroll
from dripstone.engine.models import Delivery
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence
from tests.driving import Engine
from tests.factories import make_sequence, make_subscriber

SECOND = timedelta(seconds=1)


def course(account: Account, n_people: int, domain: str = "example.org", *, now: datetime) -> Sequence:
    sequence = make_sequence(account, {"subject": "welcome", "delay_value": 0}, {"subject": "second"})
    people = [make_subscriber(account, email_address=f"p{sequence.pk}-{n}@{domain}").pk for n in range(n_people)]
    enroll.add(sequence, people, "bulk", now)
    return sequence


def refuse_connections(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "temporary", reason="connection_refused", about="connection")


def sent_per_second(engine: Engine) -> Counter[int]:
    begin = Delivery.objects.earliest("sent_at").sent_at
    assert begin is not None
    sent = Delivery.objects.filter(status="sent").values_list("sent_at", flat=True)
    return Counter(int((at - begin).total_seconds()) for at in sent if at is not None)


def written(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each delivery is claimed."""
    claims: Counter[int] = Counter()
    take = claim.take

    def counted(*arguments: Any, **named: Any) -> Any:
        rows = take(*arguments, **named)
        claims.update(row.delivery_id for row in rows)
        return rows

    monkeypatch.setattr(claim, "take", counted)
    return claims
