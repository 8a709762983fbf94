"""Encryption and signing in, against aiosmtpd."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from dripstone.senders.base import Answer
from dripstone.senders.smtp.sender import SmtpSender
from dripstone.senders.ways import parse
from tests.senders.helpers import BODY, HASTY, PATIENT, free_port, handed_over, outgoing


class Handler:
    def __init__(self) -> None:
        self.received: list[tuple[bytes, bool, bool]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        self.received.append((content, session.ssl is not None, bool(session.authenticated)))
        return "250 2.0.0 Ok"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=(data.login, data.password) == (b"joe", b"s/cret"), handled=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def handler() -> Handler:
    return Handler()


def context(authority: trustme.CA) -> ssl.SSLContext:
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    return server_context


def start(handler: Handler, **options: Any) -> Iterator[Controller]:
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), authenticator=authenticate, **options)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def starttls_port(handler: Handler, authority: trustme.CA) -> Iterator[int]:
    for controller in start(handler, tls_context=context(authority), auth_require_tls=True):
        yield controller.port


@pytest.fixture
def smtps_port(handler: Handler, authority: trustme.CA) -> Iterator[int]:
    for controller in start(handler, ssl_context=context(authority), auth_require_tls=False):
        yield controller.port


@pytest.fixture
def plain_port(handler: Handler) -> Iterator[int]:
    for controller in start(handler, auth_require_tls=False):
        yield controller.port


def send_by(url: str, timeouts: Any = PATIENT) -> list[Answer]:
    sender = SmtpSender(parse(url), timeouts=timeouts)
    try:
        return list(handed_over(sender, [outgoing(n) for n in range(5)]))
    finally:
        sender.close()


def test_it_encrypts_when_the_server_offers_it(starttls_port: int, ca_file: Path, handler: Handler) -> None:
    answers = send_by(f"smtp://127.0.0.1:{starttls_port}?ca={ca_file}")
    assert {a.kind for a in answers} == {"sent"}
    assert handler.received == [(BODY, True, False)] * 5


def test_it_signs_in_after_starttls(starttls_port: int, ca_file: Path, handler: Handler) -> None:
    answers = send_by(f"smtp://joe:s%2Fcret@127.0.0.1:{starttls_port}?starttls=1&ca={ca_file}")
    assert {a.kind for a in answers} == {"sent"}
    assert handler.received == [(BODY, True, True)] * 5


def test_smtps_is_encrypted_from_the_first_byte(smtps_port: int, ca_file: Path, handler: Handler) -> None:
    answers = send_by(f"smtps://joe:s%2Fcret@127.0.0.1:{smtps_port}?ca={ca_file}")
    assert {a.kind for a in answers} == {"sent"}
    assert len(handler.received) == 5
    assert all(is_authenticated for _, _, is_authenticated in handler.received)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_nobody_vouches_for_is_refused(scheme: str, starttls_port: int, smtps_port: int) -> None:
    number = starttls_port if scheme == "smtp" else smtps_port
    answers = send_by(f"{scheme}://127.0.0.1:{number}")
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "tls_failed")}
    assert "certificate verify failed" in answers[0].reply.lower()


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_verification_can_be_switched_off(scheme: str, starttls_port: int, smtps_port: int) -> None:
    number = starttls_port if scheme == "smtp" else smtps_port
    assert {a.kind for a in send_by(f"{scheme}://127.0.0.1:{number}?verify=0")} == {"sent"}


def test_starttls_can_be_required(plain_port: int) -> None:
    answers = send_by(f"smtp://127.0.0.1:{plain_port}?starttls=1")
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "tls_failed")}
    assert "STARTTLS" in answers[0].reply


def test_a_wrong_password_is_temporary_and_never_shown(plain_port: int, caplog: pytest.LogCaptureFixture) -> None:
    answers = send_by(f"smtp://joe:wr0ngsecret@127.0.0.1:{plain_port}?starttls=0")
    assert {(a.kind, a.reason) for a in answers} == {("temporary", "auth_failed")}
    assert answers[0].reply.startswith("535")
    assert "wr0ngsecret" not in repr(answers) + caplog.text + repr([r.__dict__ for r in caplog.records])


def test_a_server_without_auth_is_told_apart(handler: Handler) -> None:
    for controller in start(handler):  # AUTH only after STARTTLS, which it does not offer
        answers = send_by(f"smtp://joe:s%2Fcret@127.0.0.1:{controller.port}?starttls=0")
        assert {(a.kind, a.reason) for a in answers} == {("temporary", "auth_failed")}


def test_tls_to_a_server_that_speaks_none_is_temporary(plain_port: int) -> None:
    answers = send_by(f"smtps://127.0.0.1:{plain_port}", HASTY)
    assert {a.kind for a in answers} == {"temporary"}
    assert {a.reason for a in answers} <= {"tls_failed", "timeout_before_body"}
