"""Every way in which a server can fail, and what is said about the message then."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.senders.base import Answer
from dripstone.senders.smtp.open import Timeouts
from tests.senders.helpers import HASTY, PATIENT, check_promise, handed_over, outgoing, send, smtp_sender
from tests.senders.scripted import CUT, EXTENSIONS, SILENCE, Script, scripted

LOCK_STEP = tuple(e for e in EXTENSIONS if e != "PIPELINING")
MODES = pytest.mark.parametrize("extensions", [EXTENSIONS, LOCK_STEP], ids=["pipelining", "lock_step"])


def conversation_lengths(extensions: tuple[str, ...]) -> tuple[int, int]:
    """Bytes of the server and of the client in an undisturbed conversation about two messages."""
    with scripted(Script(extensions=extensions)) as server:
        send(server, outgoing(1), outgoing(2))
        return server.n_sent, sum(len(data) for _, data in server.writes)


@MODES
def test_it_classifies_a_cut_after_every_byte_of_the_server(extensions: tuple[str, ...]) -> None:
    n_server, _ = conversation_lengths(extensions)
    messages = [outgoing(1), outgoing(2)]
    seen = set()
    with scripted(Script(extensions=extensions)) as server:
        for n in range(n_server):
            server.accepted.clear()
            server.started.clear()
            server.script.cut_after_sent = {server.n_connections: n}
            answers = send(server, *messages)
            check_promise(server, messages, answers)
            assert sum(a.kind == "unknown" for a in answers) <= 1
            assert all(a.reason == "cut_after_body" for a in answers if a.kind == "unknown")
            seen |= {(a.kind, a.reason) for a in answers}
    assert seen == {
        ("sent", ""),
        ("temporary", "cut_before_body"),
        ("unknown", "cut_after_body"),
    }


@MODES
def test_it_classifies_a_cut_after_every_byte_of_ours(extensions: tuple[str, ...]) -> None:
    _, n_client = conversation_lengths(extensions)
    messages = [outgoing(1), outgoing(2)]
    with scripted(Script(extensions=extensions)) as server:
        for n in range(n_client):
            server.accepted.clear()
            server.started.clear()
            server.script.cut_after_received = {server.n_connections: n}
            answers = send(server, *messages)
            check_promise(server, messages, answers)
            for answer in answers:
                if answer.kind == "unknown":
                    assert answer.reason == "cut_after_body"
                if answer.kind == "temporary":
                    assert f"person{answer.delivery_id}@mail.example" not in server.started


@MODES
def test_a_server_that_always_cuts_makes_each_message_unknown_at_most_once(extensions: tuple[str, ...]) -> None:
    _, n_client = conversation_lengths(extensions)
    messages = [outgoing(1), outgoing(2)]
    with scripted(Script(extensions=extensions)) as server:
        for n in range(0, n_client, 7):
            server.accepted.clear()
            server.script.always_cut_after_received = n
            answers = send(server, *messages)
            check_promise(server, messages, answers)


STAGES = ["MAIL", "RCPT", "DATA", "BODY"]


@MODES
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (b"451 4.7.1 Greylisted, come back\r\n", "temporary", "451 4.7.1 Greylisted, come back"),
        (b"421 4.3.2 Closing\r\n", "temporary", "421 4.3.2 Closing"),
        (b"554 5.7.1 No\r\n", "permanent", "554 5.7.1 No"),
        (b"550-5.7.1 Never\r\n550 5.7.1 ever\r\n", "permanent", "550 5.7.1 Never 5.7.1 ever"),
    ],
)
def test_it_answers_a_refusal_at_each_stage(
    extensions: tuple[str, ...], stage: str, reply: bytes, kind: str, said: str
) -> None:
    """Only the first person is refused: the second message goes out all the same."""
    state = {"refused": 0}

    def refuse(number: int, verb: str, argument: str) -> bytes | None:
        if verb == stage and (reply[:3] == b"421" or not state["refused"]):
            state["refused"] += 1
            return reply if state["refused"] < (3 if reply[:3] == b"421" else 2) else None
        return None

    with scripted(Script(extensions=extensions, reply=refuse)) as server:
        first, second = outgoing(1), outgoing(2)
        answers = send(server, first, second)
        check_promise(server, [first, second], answers)
        kinds = [a.kind for a in answers]
        assert kinds[0] == kind
        assert (answers[0].reason, answers[0].reply) == ("", said)
        if reply[:3] != b"421":
            assert kinds[1] == "sent"


@MODES
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("nonsense", [b"hello\r\n", b"99 x\r\n", b"\r\n", b"250-a\r\n550 b\r\n", b"\x00\xff\xfe\r\n"])
def test_nonsense_is_temporary_before_the_body_and_unknown_after(
    extensions: tuple[str, ...], stage: str, nonsense: bytes
) -> None:
    script = Script(extensions=extensions, reply=lambda n, verb, a: nonsense if verb == stage and n == 0 else None)
    with scripted(script) as server:
        answers = send(server, outgoing(1), outgoing(2))
        kind = "unknown" if stage == "BODY" else "temporary"
        expected = "nonsense_after_body" if stage == "BODY" else "nonsense_before_body"
        assert (answers[0].kind, answers[0].reason) == (kind, expected)
        assert answers[1].kind == "sent"


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("reply", [b"354 what\r\n", b"220 what\r\n"])
def test_a_reply_that_does_not_fit_the_command_never_loses_or_doubles(stage: str, reply: bytes) -> None:
    script = Script(reply=lambda n, verb, a: reply if verb == stage and n == 0 else None)
    with scripted(script) as server:
        messages = [outgoing(1), outgoing(2)]
        check_promise(server, messages, send(server, *messages))


@MODES
@pytest.mark.parametrize("stage", STAGES)
def test_a_silent_server_is_temporary_before_the_body_and_unknown_after(
    extensions: tuple[str, ...], stage: str
) -> None:
    silent: list[int] = []

    def fall_silent(number: int, verb: str, argument: str) -> bytes | None:
        if number == 0 and (verb == stage or silent):
            silent.append(number)
            return SILENCE
        return None

    with scripted(Script(extensions=extensions, reply=fall_silent)) as server:
        answers = send(server, outgoing(1), outgoing(2), timeouts=HASTY)
        kind, reason = ("unknown", "timeout_after_body") if stage == "BODY" else ("temporary", "timeout_before_body")
        assert (answers[0].kind, answers[0].reason) == (kind, reason)
        assert answers[1].kind == "sent"


@pytest.mark.parametrize("stage", ["greeting", "EHLO"])
def test_a_server_silent_from_the_start_is_temporary_for_all_in_one_timeout(stage: str) -> None:
    script = Script(reply=lambda n, verb, a: SILENCE if verb == stage else None)
    if stage == "greeting":
        script.greeting = b""
    with scripted(script) as server:
        answers = send(server, *[outgoing(n) for n in range(500)], connections=10, timeouts=HASTY)
        assert {(a.kind, a.reason) for a in answers} == {("temporary", "timeout_before_body")}
        assert server.n_connections <= 10


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (Script(greeting=b"421 4.3.2 Too busy\r\n"), "not_opened"),
        (Script(greeting=b"554 no SMTP here\r\n"), "not_opened"),
        (Script(greeting=b"what?\r\n"), "nonsense_before_body"),
        (Script(reply=lambda n, verb, a: CUT if verb == "EHLO" else None), "cut_before_body"),
        (Script(reply=lambda n, verb, a: b"502 no\r\n" if verb in ("EHLO", "HELO") else None), "not_opened"),
    ],
)
def test_a_server_that_does_not_open_is_temporary_for_all(script: Script, reason: str) -> None:
    with scripted(script) as server:
        answers = send(server, *[outgoing(n) for n in range(100)], connections=10)
        assert {(a.kind, a.reason) for a in answers} == {("temporary", reason)}
        assert server.n_connections <= 20


def test_a_refused_connection_is_temporary_for_all_at_once() -> None:
    with scripted() as server:
        url = server.url
    with smtp_sender(url, connections=10) as sender:
        answers = list(handed_over(sender, [outgoing(n) for n in range(1000)]))
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "connection_refused")}
    assert len(answers) == 1000


def test_an_unknown_host_is_temporary_for_all() -> None:
    with smtp_sender("smtp://nowhere.invalid") as sender:
        answers = list(handed_over(sender, [outgoing(1)]))
    assert (answers[0].kind, answers[0].reason) == ("temporary", "host_not_found")


def test_it_goes_on_without_ehlo() -> None:
    script = Script(reply=lambda n, verb, a: b"502 5.5.1 EHLO?\r\n" if verb == "EHLO" else None)
    with scripted(script) as server:
        assert [a.kind for a in send(server, outgoing(1), outgoing(2))] == ["sent", "sent"]


def test_connections_that_died_between_batches_cost_nothing() -> None:
    with scripted() as server, smtp_sender(server.url, connections=4) as sender:
        for _ in range(3):
            answers = list(handed_over(sender, [outgoing(n) for n in range(40)]))
            assert {a.kind for a in answers} == {"sent"}
            server.cut_all()
        assert len(server.accepted) == 120


def test_a_server_that_takes_three_messages_per_connection_gets_them_all() -> None:
    n_by_connection: dict[int, int] = {}

    def limit(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "MAIL":
            n_by_connection[number] = n_by_connection.get(number, 0) + 1
            return b"421 4.7.0 Enough\r\n" if n_by_connection[number] > 3 else None
        return None

    with scripted(Script(reply=limit)) as server:
        messages = [outgoing(n) for n in range(50)]
        answers = send(server, *messages, connections=3)
        assert {a.kind for a in answers} == {"sent"}
        check_promise(server, messages, answers)


def test_one_recipient_refused_in_a_pipeline_hinders_nobody_else() -> None:
    def refuse(number: int, verb: str, argument: str) -> bytes | None:
        return b"550 5.1.1 No such user\r\n" if verb == "RCPT" and "person3@" in argument else None

    with scripted(Script(reply=refuse)) as server:
        messages = [outgoing(n) for n in range(6)]
        answers = send(server, *messages)
        check_promise(server, messages, answers)
        assert [a.kind for a in answers] == ["sent", "sent", "sent", "permanent", "sent", "sent"]
        assert [a.hard_bounce for a in answers] == [False, False, False, True, False, False]


def test_a_refused_recipient_with_data_taken_gets_a_lone_dot() -> None:
    """RFC 2920 § 3.1: a server may answer 354 although it has no recipient."""

    def refuse(number: int, verb: str, argument: str) -> bytes | None:
        if verb == "RCPT" and "person1@" in argument:
            return b"550 5.1.1 No such user\r\n"
        if verb == "DATA" and [c for _, c in server.commands if c.startswith("RCPT")][-1].count("person1@"):
            return b"354 go ahead anyway\r\n"
        return None

    with scripted(Script(reply=refuse)) as server:
        answers = send(server, outgoing(1), outgoing(2))
        assert [a.kind for a in answers] == ["permanent", "sent"]
        assert [taken.rcpt_to for taken in server.accepted] == ["person2@mail.example"]


def test_mail_refused_but_recipient_taken_never_delivers_an_empty_message() -> None:
    replies = {"MAIL": b"451 4.3.0 Not now\r\n", "RCPT": b"250 Ok\r\n", "DATA": b"354 Go ahead\r\n"}
    with scripted(Script(reply=lambda number, verb, argument: replies.get(verb))) as server:
        answers = send(server, outgoing(1))
        assert (answers[0].kind, answers[0].reply) == ("temporary", "451 4.3.0 Not now")
        assert server.accepted == []


def test_a_server_that_drops_every_body_is_given_up_early() -> None:
    """Going on would make the whole batch unknown."""
    script = Script(reply=lambda n, verb, a: CUT if verb == "BODY" else None)
    with scripted(script) as server:
        answers = send(server, *[outgoing(n) for n in range(1000)], connections=4)
        n_unknown = sum(a.kind == "unknown" for a in answers)
        assert 1 <= n_unknown <= 8
        assert {a.kind for a in answers} == {"unknown", "temporary"}


def test_a_server_that_dies_in_the_middle_of_a_batch_and_does_not_return() -> None:
    with scripted() as server, smtp_sender(server.url, connections=4) as sender:
        messages = [outgoing(n) for n in range(2000)]
        answers: list[Answer] = []
        for answer in handed_over(sender, messages):
            answers.append(answer)
            if len(answers) == 300:
                server.script.greeting = CUT
                server.cut_all()
        assert len(answers) == 2000
        check_promise(server, messages, answers)
        assert sum(a.kind == "unknown" for a in answers) <= 4


def test_closing_finishes_what_is_on_the_wire_and_gives_back_the_rest() -> None:
    with scripted() as server, smtp_sender(server.url, connections=2) as sender:
        messages = [outgoing(n) for n in range(3000)]
        answers: list[Answer] = []
        for answer in handed_over(sender, messages):
            answers.append(answer)
            if len(answers) == 200:
                sender.close()
        check_promise(server, messages, answers)
        assert {(a.kind, a.reason) for a in answers} == {("sent", ""), ("temporary", "sender_closed")}


def test_closing_does_not_wait_longer_than_its_grace() -> None:
    silent: set[int] = set()

    def fall_silent(number: int, verb: str, argument: str) -> bytes | None:
        silent.update({number} if verb == "BODY" and "person1@" in argument else ())
        return SILENCE if number in silent else None

    with scripted(Script(reply=fall_silent)) as server, smtp_sender(server.url, connections=2) as sender:
        answers: list[Answer] = []
        for answer in handed_over(sender, [outgoing(n) for n in range(3)]):
            answers.append(answer)
            if len(answers) == 1:
                sender.close(grace_seconds=0.1)
        assert sorted((a.delivery_id, a.kind) for a in answers)[1] == (1, "unknown")


def test_leaving_early_withdraws_what_has_not_begun() -> None:
    with scripted() as server, smtp_sender(server.url, connections=1) as sender:
        answers = handed_over(sender, [outgoing(n) for n in range(5000)])
        next(iter(answers))
        answers.close()  # type: ignore[attr-defined]
        assert [a.kind for a in handed_over(sender, [outgoing(5000)])] == ["sent"]
        assert len(server.accepted) < 5000


def test_an_idle_connection_is_given_back() -> None:
    timeouts = Timeouts(connect=10, command=10, final=10, idle=0.02)
    with scripted() as server, smtp_sender(server.url, timeouts=timeouts) as sender:
        list(handed_over(sender, [outgoing(1)]))
        while server.open:
            pass
        assert server.commands[-1][1] == "QUIT"
        assert [a.kind for a in handed_over(sender, [outgoing(2)])] == ["sent"]
        assert server.n_connections == 2


def test_greylisting_puts_off_each_new_recipient_once_and_speaks_of_nobody_else() -> None:
    known: set[str] = set()

    def greylist(number: int, verb: str, argument: str) -> bytes | None:
        if verb != "RCPT" or "old@" in argument or argument in known:
            return None
        known.add(argument)
        return b"450 4.2.0 Greylisted, see you in 5 minutes\r\n"

    with scripted(Script(reply=greylist)) as server, smtp_sender(server.url, connections=2) as sender:
        messages = [outgoing(1), outgoing(2), outgoing(3, rcpt_to="old@mail.example")]
        first = sorted(handed_over(sender, messages))
        assert [(a.kind, a.about) for a in first] == [("temporary", "message")] * 2 + [("sent", "message")]
        assert [a.kind for a in handed_over(sender, messages[:2])] == ["sent", "sent"]
        assert len(server.accepted) == 3


@MODES
def test_a_slow_server_within_its_time_outs_gets_everything(extensions: tuple[str, ...]) -> None:
    """Every reply takes a while; none of them too long."""

    def dawdle(number: int, verb: str, argument: str) -> bytes | None:
        time.sleep(0.01)  # in the server's thread: this is what being slow is
        return None

    with scripted(Script(extensions=extensions, reply=dawdle)) as server:
        messages = [outgoing(n) for n in range(20)]
        answers = send(server, *messages, connections=2, timeouts=PATIENT)
        check_promise(server, messages, answers)
        assert {a.kind for a in answers} == {"sent"}


@MODES
@pytest.mark.parametrize("stage", ["MAIL", "DATA", "BODY"])
def test_a_full_queue_is_temporary_and_says_so_of_the_server(extensions: tuple[str, ...], stage: str) -> None:
    full = b"452 4.3.1 Insufficient system storage\r\n"
    script = Script(extensions=extensions, reply=lambda n, verb, a: full if verb == stage else None)
    with scripted(script) as server:
        messages = [outgoing(n) for n in range(5)]
        answers = send(server, *messages)
        check_promise(server, messages, answers)
        assert {(a.kind, a.reply, a.about) for a in answers} == {("temporary", full.decode().strip(), "server")}


def test_a_full_mailbox_speaks_of_its_owner_alone() -> None:
    def full(number: int, verb: str, argument: str) -> bytes | None:
        return b"452 4.2.2 Mailbox full\r\n" if verb == "RCPT" and "person1@" in argument else None

    with scripted(Script(reply=full)) as server:
        answers = send(server, outgoing(1), outgoing(2))
        assert [(a.kind, a.about) for a in answers] == [("temporary", "message"), ("sent", "message")]


def test_what_no_connection_was_there_for_was_not_tried() -> None:
    with scripted() as server:
        url = server.url
    with smtp_sender(url) as sender:
        assert {a.about for a in handed_over(sender, [outgoing(1), outgoing(2)])} == {"connection"}
    with scripted(Script(greeting=b"421 4.3.2 Too busy\r\n")) as server:
        assert [a.about for a in send(server, outgoing(1))] == ["connection"]
    with scripted(Script(reply=lambda n, verb, a: b"421 4.3.2 Bye\r\n" if verb == "MAIL" else None)) as server:
        assert [a.about for a in send(server, outgoing(1))] == ["server"]


def test_a_lower_share_of_connections_is_kept_from_the_next_message_on() -> None:
    with scripted() as server, smtp_sender(server.url, connections=8) as sender:
        list(handed_over(sender, [outgoing(n) for n in range(200)]))
        n_before = server.n_connections
        sender.limit_connections(2)
        answers = list(handed_over(sender, [outgoing(n) for n in range(200, 600)]))
        assert {a.kind for a in answers} == {"sent"}
        assert len(server.open) <= 2
        assert server.n_connections == n_before


TROUBLES = st.sampled_from(
    [
        b"451 4.3.0 Later\r\n",
        b"450 4.2.0 Greylisted\r\n",
        b"421 4.3.2 Bye\r\n",
        b"550 5.1.1 Nobody\r\n",
        b"503 5.5.1 Out of step\r\n",
        b"354 Go ahead\r\n",
        b"250 Ok\r\n",
        b"who knows\r\n",
        CUT,
    ]
)


@MODES
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.differing_executors])
def test_whatever_a_server_says_the_promise_holds(data: st.DataObject, extensions: tuple[str, ...]) -> None:
    """Any trouble at any commands of any connection: one answer each, nothing lost, nothing taken twice."""
    troubles = data.draw(st.dictionaries(st.integers(0, 60), TROUBLES, max_size=20))
    n_connections = data.draw(st.integers(1, 4))
    said: list[str] = []

    def trouble(number: int, verb: str, argument: str) -> bytes | None:
        if verb in ("EHLO", "QUIT"):
            return None
        said.append(verb)
        reply = troubles.get(len(said))
        # What would be a lie and not a trouble: taking a body with 2xx is always meant.
        return b"554 5.0.0 No\r\n" if verb == "BODY" and reply == b"354 Go ahead\r\n" else reply

    with scripted(Script(extensions=extensions, reply=trouble)) as server:
        messages = [outgoing(n) for n in range(8)]
        answers = send(server, *messages, connections=n_connections, timeouts=PATIENT)
        check_promise(server, messages, answers)
