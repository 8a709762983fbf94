"""What the tests of senders share."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dripstone.senders.base import Answer, Outgoing, Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.smtp.open import Timeouts
from dripstone.senders.smtp.sender import SmtpSender
from dripstone.senders.ways import parse
from tests.senders.scripted import ScriptedServer

PATIENT = Timeouts(connect=10, command=10, final=10, idle=10)
HASTY = Timeouts(connect=0.15, command=0.15, final=0.15, idle=10)

BODY = b"From: joe927@ck.lol\r\nTo: bob@mail.example\r\nSubject: Hello\r\n\r\nHi\r\n.dot\r\n..\r\n\r\n"


def free_port() -> int:
    """aiosmtpd cannot be asked for any port. Somebody may take it first; that has not been seen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def outgoing(n: int = 1, **fields: object) -> Outgoing:
    usual = Outgoing(n, 7, 1, "joe927@ck.lol", f"person{n}@mail.example", BODY)
    return usual._replace(**fields)  # type: ignore[arg-type]


@contextmanager
def smtp_sender(
    url: str, *, connections: int = 1, timeouts: Timeouts = PATIENT, flight: FlightLog | None = None
) -> Iterator[SmtpSender]:
    sender = SmtpSender(replace(parse(url), connections=connections), flight=flight, timeouts=timeouts)
    try:
        yield sender
    finally:
        sender.close()


def send(
    server: ScriptedServer, *messages: Outgoing, connections: int = 1, timeouts: Timeouts = PATIENT
) -> list[Answer]:
    """The answers to these messages, in their order, over a sender of their own."""
    with smtp_sender(server.url, connections=connections, timeouts=timeouts) as sender:
        answers = list(handed_over(sender, messages))
    assert sorted(a.delivery_id for a in answers) == sorted(m.delivery_id for m in messages)
    return sorted(answers)


def handed_over(sender: Sender, messages: Sequence[Outgoing]) -> Iterator[Answer]:
    """The answers one by one, as they come."""
    for answers in sender.hand_over(messages):
        yield from answers


def check_promise(server: ScriptedServer, messages: list[Outgoing], answers: list[Answer]) -> None:
    """What was said about each message agrees with what the server took, and nothing was taken twice."""
    for message in messages:
        n_accepted = sum(taken.rcpt_to == message.rcpt_to for taken in server.accepted)
        answer = next(a for a in answers if a.delivery_id == message.delivery_id)
        assert n_accepted <= 1, "accepted twice"
        if answer.kind == "sent":
            assert n_accepted == 1, answer
        if answer.kind in ("temporary", "permanent"):
            assert n_accepted == 0, answer
    assert all(taken.data == BODY for taken in server.accepted)
