"""The local inbox's SMTP door: mail that programs under test send lands in an account's captured mail.

On this machine nobody needs to sign in. Where others can reach it (DRIPSTONE_INBOX_HOST is no loopback address) they
must, with an API key, and only after STARTTLS: senders/checks.py refuses a start without a certificate.
"""

import asyncio
import ipaddress
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from dripstone.accounts.models import Account, SendingAddress
from dripstone.accounts.verbs import account_for_key
from dripstone.senders import inbox
from dripstone.senders.base import Outgoing

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 10_000_000
MAX_RECIPIENTS = 50
MAX_CONNECTIONS = 20
MESSAGES_AT_A_TIME = 4  # being received: each may take ten times its length in memory, if its lines are short
SECONDS_OF_SILENCE = 60.0

WHOSE = "550 5.7.1 Which account? Sign in with an API key as the password, or use a From address of an account"
NOT_YOURS = "550 5.7.1 <{}> is no sending address of the account you signed in to"
TOO_MANY_RECIPIENTS = f"452 4.5.3 At most {MAX_RECIPIENTS} recipients per message"

DATABASE = ThreadPoolExecutor(1, thread_name_prefix="dripstone-inbox")


def run(host: str, port: int) -> Controller:
    """Listens until `.stop()`, in a thread of its own. Raises OSError when the port is taken."""
    certificate = settings.DRIPSTONE_INBOX_CERTIFICATE
    is_open = not is_loopback(host)
    controller = _Controller(
        Door(),
        hostname=host,
        port=port,
        ident="Dripstone local inbox",
        data_size_limit=MAX_MESSAGE_BYTES,
        enable_SMTPUTF8=True,
        timeout=SECONDS_OF_SILENCE,
        tls_context=tls(certificate) if certificate else None,
        require_starttls=is_open,
        authenticator=authenticate,
        auth_require_tls=is_open,
        auth_required=is_open,
    )
    controller.start()
    return controller


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name counts as reachable, unless it is localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls(certificate: str) -> ssl.SSLContext:
    """`certificate`: a PEM file with the key and the chain. Raises OSError (ssl.SSLError too) when it is not that."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, password=lambda: "")  # an encrypted key is refused, instead of asked about
    return context


class _Controller(Controller):
    """Bounds what all its connections take together."""

    def __init__(self, *arguments: Any, **parameters: Any) -> None:
        super().__init__(*arguments, **parameters)
        self.n_connections = 0
        self.room = asyncio.Semaphore(MESSAGES_AT_A_TIME)

    def factory(self) -> SMTP:
        return _Conversation(self, self.handler, **self.SMTP_kwargs)


class _Conversation(SMTP):
    def __init__(self, controller: _Controller, *arguments: Any, **parameters: Any) -> None:
        super().__init__(*arguments, **parameters)
        self._controller, self._is_counted = controller, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._is_counted:  # STARTTLS makes the connection a second time
            self._is_counted = True
            self._controller.n_connections += 1
        super().connection_made(transport)
        if self._controller.n_connections > MAX_CONNECTIONS and isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.7.0 Too many connections\r\n")
            transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._is_counted:
            self._is_counted = False
            self._controller.n_connections -= 1

    async def smtp_DATA(self, arg: str) -> None:
        async with self._controller.room:
            await super().smtp_DATA(arg)


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    """The password is an API key; the user name may be anything. auth_data is the account's id."""
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    # aiosmtpd calls this in its event loop, where Django forbids queries.
    account_id = DATABASE.submit(account_id_for_key, data.password.decode("utf-8", "replace")).result()
    return AuthResult(success=account_id is not None, handled=False, auth_data=account_id)


class Door:
    """An aiosmtpd handler."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return TOO_MANY_RECIPIENTS
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        account_id = session.auth_data if session.authenticated else None
        try:
            return await asyncio.get_running_loop().run_in_executor(DATABASE, keep, account_id, envelope)
        except Exception:
            log.exception("inbox_server_failed")
            return "451 4.3.0 The inbox cannot store mail right now; try again"


def account_id_for_key(key: str) -> int | None:
    try:
        account = account_for_key(key)
        return account.pk if account else None
    finally:
        connection.close()


def keep(signed_in: int | None, envelope: Envelope) -> str:
    """Store the message for its recipients; the SMTP reply.

    signed_in  the account's id. Its senders must be its own, in the envelope and in the message
    """
    try:
        data, mail_from = bytes(envelope.original_content or b""), envelope.mail_from or ""
        (row,) = inbox.captured([Outgoing(0, 0, 1, mail_from, "", data)])
        if signed_in is not None:
            for address in (mail_from, row.from_address):
                if not sends_from(signed_in, address):
                    return NOT_YOURS.format(address)
        account_id = signed_in or whose(mail_from) or whose(row.from_address) or the_only_one()
        if account_id is None:
            return WHOSE
        row.account_id = account_id
        inbox.keep(row, envelope.rcpt_tos)
        return "250 2.0.0 Kept in the local inbox"
    finally:
        connection.close()


def sends_from(account_id: int, address: str) -> bool:
    return _verified(address).filter(account_id=account_id).exists()


def whose(address: str) -> int | None:
    """The account that sends from this address; None when there are two, rather than a guess."""
    owners = _verified(address).values_list("account_id", flat=True)[:2]
    return owners[0] if len(owners) == 1 else None


def _verified(address: str) -> QuerySet[SendingAddress]:
    """Others do not count: anybody may write any address into their settings."""
    return SendingAddress.objects.filter(email_address__iexact=address, is_verified=True)


def the_only_one() -> int | None:
    accounts = Account.objects.values_list("id", flat=True)[:2]
    return accounts[0] if len(accounts) == 1 else None
