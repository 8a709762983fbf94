"""Mail about accounts: notices of no account, which leave through a real mail server or not at all."""

from typing import Any

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.engine import claim, life, notices, reasons, wake
from dripstone.engine.acts import letting_in
from dripstone.engine.models import Delivery, Notice
from dripstone.errors import Invalid
from dripstone.senders.models import CapturedMessage
from tests.api.caller import Caller
from tests.driving import Engine
from tests.factories import make_account, make_key, make_user

pytestmark = pytest.mark.django_db

GIVEN = {"email_address": "new@example.com", "role": "editor"}


@pytest.fixture
def account(db: None) -> Account:
    return make_account()


@pytest.fixture
def mail_server(settings: Any, limit: Any) -> None:
    settings.DRIPSTONE_FROM = ("", "accounts@example.com")
    limit("")


def invite(account: Account, engine: Engine) -> Delivery:
    letting_in.invite(account, GIVEN, make_user(account), engine.clock.now())
    return Delivery.objects.latest("pk")


def test_it_goes_through_the_mail_server(account: Account, engine: Engine, mail_server: None) -> None:
    row = invite(account, engine)
    assert (row.account_id, row.status) == (0, "planned")
    life.until_idle()
    row.refresh_from_db()
    assert row.status == "sent"
    [message] = engine.mail.messages
    assert (message.rcpt_to, message.mail_from) == ("new@example.com", "accounts@example.com")
    assert b"From: Dripstone <accounts@example.com>" in message.data
    assert bytes(Notice.objects.get().message) == b""  # the link is forgotten


def test_a_worker_of_the_version_before_walks_past_it(account: Account, engine: Engine, mail_server: None) -> None:
    """It begins behind 0."""
    invite(account, engine)
    assert claim._accounts_ready(0, 10, engine.clock.now()) == []
    assert claim._accounts_ready(-1, 10, engine.clock.now()) == [0]


def test_a_lost_job_costs_only_time(account: Account, engine: Engine, mail_server: None) -> None:
    invite(account, engine)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    wake.missing_senders(engine.clock.now(), 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'send'")
        assert cursor.fetchone() == (1,)


def test_no_key_can_read_it(account: Account, engine: Engine, mail_server: None) -> None:
    api = Caller(account, make_key(account)[1])
    invite(account, engine)
    life.until_idle()
    assert api.get("/ext/v1/deliveries")[1]["deliveries"] == []
    assert api.get("/ext/v1/inbox")[1]["messages"] == []
    row = Delivery.objects.get()
    assert api.get(f"/ext/v1/deliveries/{row.pk}")[0] == 404


def test_where_nothing_leaves_the_machine_nothing_is_asked_for(account: Account, engine: Engine) -> None:
    with pytest.raises(Invalid, match="No mail server is set"):
        invite(account, engine)
    assert not Notice.objects.exists()
    assert not account.invitations.exists()


def test_what_was_asked_for_before_never_lands_in_an_inbox(
    account: Account, engine: Engine, mail_server: None, settings: Any
) -> None:
    row = invite(account, engine)
    settings.DRIPSTONE_MAIL_URL = "memory://engine"
    life.until_idle()
    row.refresh_from_db()
    assert (row.status, row.reason) == ("failed", reasons.NO_MAIL_SERVER)
    assert engine.mail.messages == []
    assert not CapturedMessage.objects.exists()


def test_without_an_address_to_send_from_it_says_so(engine: Engine, limit: Any) -> None:
    limit("")
    assert notices.why_no_account_mail().startswith("DRIPSTONE_FROM is not set")
