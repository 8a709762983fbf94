"""Letters beyond ASCII go as they are to a mail server that takes them."""

import pytest

from dripstone.engine import life, plan
from tests.driving import Engine
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("takes_them", "encoding"), [(True, b"8bit"), (False, b"quoted-printable")])
def test_the_encoding_follows_the_server(engine: Engine, takes_them: bool, encoding: bytes) -> None:
    alice = make_account("Alice")
    sequence = make_sequence(alice, {"content": "<p>Schöne Grüße</p>", "delay_value": 0})
    make_enrollment(sequence, make_subscriber(alice))
    engine.mail.eight_bit = takes_them
    plan.everything_due(MONDAY_9)
    life.send_batch("worker", engine.mail, lambda: MONDAY_9)
    (message,) = engine.mail.messages
    assert b"Content-Transfer-Encoding: " + encoding in message.data
    assert ("Schöne Grüße".encode() in message.data) is takes_them
