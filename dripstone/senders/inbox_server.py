"""The local inbox's SMTP door: mail that programs on this machine send lands in an account's captured mail."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from django.db import connection

from dripstone.accounts.models import Account, SendingAddress
from dripstone.accounts.verbs import account_for_key
from dripstone.senders.base import Outgoing
from dripstone.senders.inbox import captured
from dripstone.senders.models import CapturedMessage

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 25_000_000
WHOSE = "550 5.7.1 Which account? Sign in with an API key as the password, or use a From address of an account"

DATABASE = ThreadPoolExecutor(1, thread_name_prefix="dripstone-inbox")


def run(host: str, port: int) -> Controller:
    """Listens until `.stop()`, in a thread of its own. Raises OSError when the port is taken."""
    controller = Controller(
        Door(),
        hostname=host,
        port=port,
        ident="Dripstone local inbox",
        data_size_limit=MAX_MESSAGE_BYTES,
        enable_SMTPUTF8=True,
        authenticator=authenticate,
        auth_require_tls=False,  # loopback only
        auth_required=False,
    )
    controller.start()
    return controller


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    """The password is an API key; the user name may be anything. auth_data is the account's id."""
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    # aiosmtpd calls this in its event loop, where Django forbids queries.
    account_id = DATABASE.submit(account_id_for_key, data.password.decode("utf-8", "replace")).result()
    return AuthResult(success=account_id is not None, handled=False, auth_data=account_id)


class Door:
    """An aiosmtpd handler."""

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


def keep(account_id: int | None, envelope: Envelope) -> str:
    """Store one message per recipient; the SMTP reply."""
    try:
        data, mail_from = bytes(envelope.original_content or b""), envelope.mail_from or ""
        rows = captured([Outgoing(0, account_id or 0, 1, mail_from, to, data) for to in envelope.rcpt_tos])
        account_id = account_id or whose(mail_from) or whose(rows[0].from_address) or the_only_one()
        if account_id is None:
            return WHOSE
        for row in rows:
            row.account_id = account_id
        CapturedMessage.objects.bulk_create(rows)
        return "250 2.0.0 Kept in the local inbox"
    finally:
        connection.close()


def whose(address: str) -> int | None:
    """The account that sends from this address; None when there are two, rather than a guess."""
    owners = SendingAddress.objects.filter(email_address__iexact=address).values_list("account_id", flat=True)[:2]
    return owners[0] if len(owners) == 1 else None


def the_only_one() -> int | None:
    accounts = Account.objects.values_list("id", flat=True)[:2]
    return accounts[0] if len(accounts) == 1 else None
