"""What an owner and the engine do to one person, for tests of engine/acts/places.py."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import claim, plan, record
from dripstone.engine.acts import edits, places
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid
from dripstone.senders.base import Answer, Outgoing
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.driving import Engine
from tests.factories import make_enrollment, make_subscriber

WELCOME = {"subject": "welcome", "delay_value": 0}
DAY = timedelta(days=1)


def place_in(sequence: Sequence, engine: Engine, **values: Any) -> Enrollment:
    account = Account.objects.get(pk=sequence.account_id)
    return make_enrollment(sequence, make_subscriber(account, **values), engine.clock.now())


def do(verb: str, place: Enrollment, engine: Engine, *more: int) -> Enrollment:
    row: Enrollment = getattr(places, verb)(place.pk, *more, "owner", "", engine.clock.now())
    return row


def refusal(verb: str, place: Enrollment, engine: Engine, *more: int) -> str:
    with pytest.raises(Invalid) as caught:
        do(verb, place, engine, *more)
    return caught.value.messages[0]


def subjects(engine: Engine, place: Enrollment) -> list[str]:
    return [subject for subject, _ in engine.sent(place.subscriber)]


def email(sequence: Sequence, subject: str) -> SequenceEmail:
    return sequence.emails.get(subject=subject)


def edit_email(sequence: Sequence, subject: str, engine: Engine, **values: Any) -> None:
    edits.update_email(sequence.account, sequence.pk, email(sequence, subject).pk, values, engine.clock.now())


def start_sending(engine: Engine) -> claim.Claimed:
    """Plans and claims what is due: one email is on the wire."""
    plan.everything_due(engine.clock.now())
    (claimed,) = claim.take("worker-1", engine.clock.now())
    return claimed


def answer(claimed: claim.Claimed, kind: str, engine: Engine) -> None:
    retry_in = timedelta(minutes=1) if kind == "planned" else None
    outcome = Outcome(claimed.delivery_id, claimed.attempt, kind, retry_in=retry_in)
    record.outcomes([outcome], engine.clock.now())


def refuse_for_now(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "temporary", reply="451 later")
