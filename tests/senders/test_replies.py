import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.senders.base import printable
from dripstone.senders.smtp.replies import Nonsense, Reply, ReplyReader, accepted, refused
from tests.senders.helpers import outgoing

CODES = st.integers(200, 599)
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=40).map(str.strip)


@given(st.lists(st.tuples(CODES, st.lists(TEXTS, min_size=1, max_size=4)), max_size=5), st.integers(1, 50))
def test_it_reads_replies_however_they_are_cut_into_pieces(replies: list[tuple[int, list[str]]], size: int) -> None:
    wire = b""
    for code, texts in replies:
        wire += b"".join(b"%d-%b\r\n" % (code, text.encode()) for text in texts[:-1])
        wire += b"%d %b\r\n" % (code, texts[-1].encode())
    reader = ReplyReader()
    read = [reply for i in range(0, len(wire), size) for reply in reader.feed(wire[i : i + size])]
    assert [reply.code for reply in read] == [code for code, _ in replies]


@given(st.binary(max_size=200))
def test_any_bytes_are_replies_or_nonsense(data: bytes) -> None:
    try:
        for reply in ReplyReader().feed(data):
            assert 200 <= reply.code <= 599
    except Nonsense:
        pass


@given(st.text())
def test_a_kept_reply_is_one_short_printable_line(text: str) -> None:
    assert len(printable(text)) <= 500
    assert printable(text).isprintable()


def test_a_reply_without_end_is_nonsense() -> None:
    reader = ReplyReader()
    with pytest.raises(Nonsense):
        list(reader.feed(b"250-more and more and more\r\n" * 10_000))
    with pytest.raises(Nonsense):
        list(ReplyReader().feed(b"2" * 100_000))


@pytest.mark.parametrize(
    ("reply", "at", "kind", "hard"),
    [
        ("550 5.1.1 No such user", "RCPT", "permanent", True),
        ("550 5.1.2 Bad domain", "RCPT", "permanent", True),
        ("550 5.1.10 Null MX", "RCPT", "permanent", True),
        ("550 User unknown", "RCPT", "permanent", True),
        ("553 no such mailbox here", "RCPT", "permanent", True),
        ("550 The email account that you tried to reach does not exist", "RCPT", "permanent", True),
        ("550 5.7.1 Blocked: user unknown to us as a sender", "RCPT", "permanent", False),
        ("550 5.1.8 Bad sender address", "RCPT", "permanent", False),
        ("550 Administrative prohibition", "RCPT", "permanent", False),
        ("550 5.1.1 No such user", "body", "permanent", True),
        ("550 User unknown", "body", "permanent", False),
        ("550 5.1.0 Rejected", "MAIL", "permanent", False),
        ("450 5.1.1 Odd", "RCPT", "temporary", False),
        ("452 4.2.2 Full", "RCPT", "temporary", False),
        ("552 5.2.2 Full", "RCPT", "permanent", False),
        ("530 5.7.0 Sign in first", "MAIL", "temporary", False),
    ],
)
def test_it_tells_what_a_refusal_means(reply: str, at: str, kind: str, hard: bool) -> None:
    code, _, text = reply.partition(" ")
    answer = refused(outgoing(1), Reply(int(code), text), at=at)
    assert (answer.kind, answer.hard_bounce, answer.reply) == (kind, hard, reply)


@pytest.mark.parametrize(
    ("text", "provider_id"),
    [
        ("2.0.0 Ok: queued as 4F2Kx31z", "4F2Kx31z"),
        ("OK id=1rAbCd-000123-4X", "1rAbCd-000123-4X"),
        ("Ok 0102018c3b2f7d3e-1a2b3c4d-000000", "0102018c3b2f7d3e-1a2b3c4d-000000"),
        ("Ok", ""),
    ],
)
def test_it_keeps_what_the_provider_calls_the_message(text: str, provider_id: str) -> None:
    assert accepted(outgoing(1), Reply(250, text)).provider_id == provider_id
