"""The conversation when all goes well: what is said, in which order, over which connections."""

import threading

import pytest

from dripstone.senders.base import Answer
from tests.senders.helpers import BODY, handed_over, outgoing, send, smtp_sender
from tests.senders.scripted import EXTENSIONS, Script, scripted


def without(*names: str) -> tuple[str, ...]:
    return tuple(e for e in EXTENSIONS if e.split()[0] not in names)


def test_five_thousand_messages_arrive_once_each_through_ten_connections() -> None:
    with scripted() as server, smtp_sender(server.url, connections=10) as sender:
        answers = list(handed_over(sender, [outgoing(n) for n in range(5000)]))
        assert len(answers) == 5000
        assert {a.kind for a in answers} == {"sent"}
        assert len({taken.rcpt_to for taken in server.accepted}) == len(server.accepted) == 5000
        assert server.n_connections <= 10


def test_with_pipelining_a_body_and_the_next_envelope_leave_together() -> None:
    with scripted() as server:
        send(server, outgoing(1), outgoing(2), outgoing(3))
        bodies = [data for _, data in server.writes if b"Subject: Hello" in data]
        assert bodies[0].endswith(
            b"\r\n.\r\nMAIL FROM:<joe927@ck.lol> SIZE=77\r\nRCPT TO:<person2@mail.example>\r\nDATA\r\n"
        )
        assert bodies[2].endswith(b"\r\n.\r\n")
        assert sum(data.count(b"Subject: Hello") for _, data in server.writes) == 3


def test_without_pipelining_one_command_waits_for_the_reply_to_the_last() -> None:
    with scripted(Script(extensions=without("PIPELINING"))) as server:
        assert [a.kind for a in send(server, outgoing(1), outgoing(2))] == ["sent", "sent"]
        assert all(data.count(b"\r\n") == 1 or b"Subject: Hello" in data for _, data in server.writes)
        assert not any(b"MAIL FROM" in data and b"Subject" in data for _, data in server.writes)


def test_a_server_that_offers_nothing_is_served() -> None:
    with scripted(Script(extensions=())) as server:
        assert [a.kind for a in send(server, outgoing(1), outgoing(2))] == ["sent", "sent"]
        assert [taken.data for taken in server.accepted] == [BODY, BODY]


def test_connections_are_kept_between_batches() -> None:
    with scripted() as server, smtp_sender(server.url, connections=3) as sender:
        for n in range(10):
            list(handed_over(sender, [outgoing(10 * n + i) for i in range(10)]))
        assert server.n_connections <= 3
        assert len(server.accepted) == 100


def test_several_threads_share_the_connections() -> None:
    answers: list[Answer] = []
    with scripted() as server, smtp_sender(server.url, connections=3) as sender:

        def hand_over(first: int) -> None:
            answers.extend(handed_over(sender, [outgoing(first + n) for n in range(100)]))

        threads = [threading.Thread(target=hand_over, args=(1000 * n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({a.delivery_id for a in answers}) == 500
        assert server.n_connections <= 3


def test_it_can_be_used_again_after_closing() -> None:
    with scripted() as server, smtp_sender(server.url) as sender:
        for n in range(3):
            assert [a.kind for a in handed_over(sender, [outgoing(n)])] == ["sent"]
            sender.close()


@pytest.mark.parametrize(("extensions", "expected"), [(EXTENSIONS, True), (without("8BITMIME"), False)])
def test_after_the_first_batch_the_engine_knows_whether_letters_may_go_as_they_are(
    extensions: tuple[str, ...], expected: bool
) -> None:
    with scripted(Script(extensions=extensions)) as server, smtp_sender(server.url) as sender:
        assert not sender.eight_bit
        list(handed_over(sender, [outgoing(1)]))
        assert sender.eight_bit is expected


def test_eight_bit_content_is_announced_or_converted() -> None:
    data = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "Grüße\r\n".encode()
    with scripted() as server:
        send(server, outgoing(1, data=data))
        assert any("BODY=8BITMIME" in command for _, command in server.commands)
        assert server.accepted[0].data == data
    with scripted(Script(extensions=without("8BITMIME"))) as server:
        send(server, outgoing(1, data=data))
        assert server.accepted[0].data.isascii()
        assert b"R3LDvMOfZQ" in server.accepted[0].data  # base64 of the same text


def test_addresses_beyond_ascii_need_smtputf8_only_before_the_at() -> None:
    jose, munich = outgoing(1, rcpt_to="josé@mail.example"), outgoing(2, rcpt_to="bob@münchen.example")
    with scripted() as server:
        assert [a.kind for a in send(server, jose, munich)] == ["sent", "sent"]
        assert {taken.rcpt_to for taken in server.accepted} == {"josé@mail.example", "bob@xn--mnchen-3ya.example"}
    with scripted(Script(extensions=without("SMTPUTF8"))) as server:
        answers = send(server, jose, munich)
        assert [(a.kind, a.reason) for a in answers] == [
            ("permanent", "smtputf8_not_offered"),
            ("sent", ""),
        ]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "bob@",
        "@x",
        "a b@x",
        "bob@x>\r\nRCPT TO:<eve@x",
        "bob\n@x",
        "bob\0@x",
        "<bob@x>",
        "bob@x y",
        "bé\n@x",
    ],
)
def test_an_address_that_smtp_cannot_carry_hinders_nobody_else(address: str) -> None:
    with scripted() as server:
        answers = send(server, outgoing(1, rcpt_to=address), outgoing(2))
        assert (answers[0].kind, answers[0].reason) == ("permanent", "bad_recipient")
        assert answers[1].kind == "sent"
        assert len(server.accepted) == 1


def test_the_null_sender_is_allowed() -> None:
    with scripted() as server:
        assert send(server, outgoing(1, mail_from=""))[0].kind == "sent"
        assert server.accepted[0].mail_from == ""


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n"])
def test_a_message_cannot_be_smuggled_behind_a_bare_line_end(end: bytes) -> None:
    data = b"Subject: one\r\n\r\nbody" + end + b"MAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\nDATA\r\n"
    with scripted() as server:
        send(server, outgoing(1, data=data))
        wire = b"".join(data for _, data in server.writes)
        assert wire.count(b"\r\n.\r\n") == 1
        assert wire.count(b"\n") == wire.count(b"\r") == wire.count(b"\r\n")
        assert len(server.accepted) == 1


def test_closed_for_good_it_begins_nothing_more() -> None:
    """A batch that reaches it while the process stops: it must not open a connection again."""
    with scripted() as server, smtp_sender(server.url) as sender:
        list(handed_over(sender, [outgoing(1)]))
        sender.close(for_good=True)
        answers = list(handed_over(sender, [outgoing(2), outgoing(3)]))
        assert [(a.delivery_id, a.reason, a.given_back) for a in answers] == [
            (2, "sender_closed", True),
            (3, "sender_closed", True),
        ]
        assert len(server.accepted) == server.n_connections == 1
