"""Opening an SMTP connection: connect, greeting, EHLO, TLS, AUTH. aiosmtplib does it; then the transport is ours."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import NamedTuple, cast

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPHeloError, SMTPResponseException

from dripstone.senders import reasons
from dripstone.senders.base import printable
from dripstone.senders.smtp.replies import Reply
from dripstone.senders.urls import MailUrl


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. Defaults: RFC 5321 § 4.5.3.2; shorter ones after the final dot make duplicates."""

    connect: float = 60.0  # from the first SYN to the end of AUTH
    command: float = 300.0
    final: float = 600.0  # the body and the reply to its final dot
    idle: float = 60.0  # an unused connection is given back after this


class Features(NamedTuple):
    """What the server offered in its last EHLO."""

    pipelining: bool = False
    eight_bit: bool = False
    utf8: bool = False
    size: bool = False


class NotOpened(Exception):
    """No connection could be opened, so no message can have left. reason and reply: as in Answer."""

    def __init__(self, reason: str, reply: str) -> None:
        super().__init__(reason, reply)
        self.reason, self.reply = reason, reply


class Opener:
    """Opens connections to one server."""

    def __init__(self, mail: MailUrl, timeouts: Timeouts) -> None:
        self._mail, self._timeouts = mail, timeouts
        may_encrypt = mail.scheme == "smtps" or mail.starttls is not False
        self._tls = _tls_context(mail) if may_encrypt else None  # reading the CA bundle takes 20 ms
        self._helo = mail.helo
        self.features = Features()  # of the connection opened last

    async def open(self) -> tuple[asyncio.Transport, Features]:
        """A connection ready for MAIL. Raises NotOpened, at the latest after timeouts.connect, and nothing else."""
        if not self._helo:  # once per process: it may ask DNS
            self._helo = await asyncio.to_thread(_own_name)
        smtp = SMTP(
            hostname=self._mail.host,
            port=self._mail.port,
            local_hostname=self._helo,
            timeout=self._timeouts.connect,
            use_tls=self._mail.scheme == "smtps",
            start_tls=False,  # done step by step below, so that each failure has its name
            tls_context=self._tls,
        )
        try:
            async with asyncio.timeout(self._timeouts.connect):
                return await self._converse(smtp)
        except NotOpened:
            smtp.close()
            raise
        except (SMTPException, OSError, ValueError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            smtp.close()
            raise _why(error) from error
        except BaseException:  # cancelled, because the sender closes: no socket may stay behind, the loop waits for it
            smtp.close()
            raise

    async def _converse(self, smtp: SMTP) -> tuple[asyncio.Transport, Features]:
        await smtp.connect()
        await _greet(smtp)
        encrypted = self._mail.scheme == "smtps"
        if not encrypted and self._wants_tls(smtp):
            await smtp.starttls()
            await _greet(smtp)  # RFC 3207: what was said before TLS is forgotten
            encrypted = True
        if self._mail.username:
            await self._log_in(smtp, encrypted=encrypted)
        if smtp.transport is None or smtp.transport.is_closing():
            raise NotOpened(reasons.CUT_BEFORE_BODY, "")
        self.features = _features(smtp)
        return cast(asyncio.Transport, smtp.transport), self.features

    def _wants_tls(self, smtp: SMTP) -> bool:
        offered = smtp.supports_extension("starttls")
        if self._mail.starttls and not offered:
            raise NotOpened(reasons.TLS_FAILED, "The server does not offer STARTTLS, which starttls=1 requires")
        return offered and self._mail.starttls is not False

    async def _log_in(self, smtp: SMTP, *, encrypted: bool) -> None:
        if not encrypted and self._mail.starttls is None and not _is_this_machine(smtp):
            # An attacker who strips STARTTLS from the EHLO reply would be handed the password.
            hint = "The server offers no STARTTLS: a password is sent in the clear only with starttls=0"
            raise NotOpened(reasons.TLS_FAILED, hint)
        try:
            await smtp.login(self._mail.username, self._mail.password)
        except SMTPAuthenticationError as error:
            raise NotOpened(reasons.AUTH_FAILED, str(Reply(error.code, error.message))) from error
        except (SMTPException, ValueError) as error:
            if isinstance(error, OSError):  # the connection, not the password
                raise
            raise NotOpened(reasons.AUTH_FAILED, printable(str(error))) from error


async def _greet(smtp: SMTP) -> None:
    try:
        await smtp.ehlo()
    except SMTPHeloError:
        if not smtp.is_connected:
            raise
        await smtp.helo()


def _features(smtp: SMTP) -> Features:
    has = smtp.supports_extension
    return Features(has("pipelining"), has("8bitmime"), has("smtputf8"), has("size"))


def _is_this_machine(smtp: SMTP) -> bool:
    peer = smtp.get_transport_info("peername")
    with contextlib.suppress(ValueError, TypeError, IndexError):
        return ipaddress.ip_address(peer[0]).is_loopback
    return False


def _why(error: BaseException) -> NotOpened:
    """The first cause that has a name of its own."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = cast(BaseException, error.__cause__)
    words = printable(str(chain[-1]) or str(chain[0]))
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return NotOpened(reasons.TLS_FAILED, words)
        if isinstance(cause, socket.gaierror):
            return NotOpened(reasons.HOST_NOT_FOUND, words)
        if isinstance(cause, ConnectionRefusedError):
            return NotOpened(reasons.CONNECTION_REFUSED, words)
        if isinstance(cause, TimeoutError):
            return NotOpened(reasons.TIMEOUT_BEFORE_BODY, words)
        if isinstance(cause, SMTPResponseException):
            if cause.code < 200:
                return NotOpened(reasons.NONSENSE_BEFORE_BODY, words)
            return NotOpened(reasons.NOT_OPENED, str(Reply(cause.code, cause.message)))
    # Several addresses, all refused: asyncio joins their messages in a plain OSError.
    is_refused = "Connect call failed" in words or "refused" in words.lower()
    return NotOpened(reasons.CONNECTION_REFUSED if is_refused else reasons.CUT_BEFORE_BODY, words)


def _tls_context(mail: MailUrl) -> ssl.SSLContext:
    """Raises ValueError when the ca file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=mail.ca or None)
    except OSError as error:
        raise ValueError(f"DRIPSTONE_MAIL_URL: the ca file {mail.ca!r} cannot be used: {error}") from error
    if not mail.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _own_name() -> str:
    name = socket.getfqdn()
    return name if name.isascii() and name and not set(name) & set(" \t") else "localhost"
