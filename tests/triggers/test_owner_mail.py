"""Owners are told at most once a minute by each place of a rule, and of how many people."""

import email
import email.policy
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from dripstone.accounts.models import Account
from dripstone.automations import doers
from dripstone.automations import verbs as automations
from dripstone.engine.acts import forget
from dripstone.engine.models import Delivery, Notice
from dripstone.events import causes
from dripstone.rules import verbs as rules
from dripstone.subscribers.models import Subscriber, locked_all
from dripstone.triggers import owner_mail, reasons, what
from dripstone.triggers.models import OwnerMail
from dripstone.triggers.what import Done
from tests import factories, owned
from tests.driving import Engine
from tests.factories import MONDAY_9, make_subscriber, make_user

pytestmark = pytest.mark.django_db

TEXT = {"kind": "mail_owner", "text": "{{ subscriber.first_name }} is here.\nLook after them."}


@pytest.fixture
def account() -> Account:
    account = factories.make_account("Alice")
    make_user(account, "alice@example.com")
    make_user(account, "bob@example.com")
    make_user(account, "eve@example.com", role="editor")
    return account


def tell(account: Account, now: datetime, *people: Subscriber, action: Any = TEXT, rule: int = 7) -> Done:
    with transaction.atomic():
        held = what.hold(account.pk, [{"kind": "unsubscribe"}, action])
        locked = locked_all(account.pk, [one.pk for one in people])
        return what.perform(action, held, locked, now, cause=causes.rule(causes.API, rule), source="rule")


def seconds(n: int) -> datetime:
    return MONDAY_9 + timedelta(seconds=n)


def test_the_first_goes_at_once_and_the_rest_of_the_minute_together(account: Account) -> None:
    ann, bea, cleo = (make_subscriber(account, first_name=name) for name in ("Ann", "Bea", "Cleo"))
    assert tell(account, seconds(0), ann) == Done({ann.pk})
    assert (owner_mail.next_instant(seconds(-1)), owner_mail.next_instant(seconds(0))) == (seconds(0), None)
    assert owner_mail.send_due(seconds(0)) == 1
    tell(account, seconds(10), bea)
    tell(account, seconds(50), cleo, ann)
    assert owner_mail.next_instant(seconds(50)) == seconds(60)
    assert owner_mail.send_due(seconds(59)) == 0
    assert owner_mail.send_due(seconds(60)) == 1
    assert owner_mail.send_due(seconds(60)) == 0
    told = [(one.email_address, one.subject) for one in Notice.objects.order_by("pk")]
    assert told == [
        ("alice@example.com", "Alice: Ann is here."),
        ("bob@example.com", "Alice: Ann is here."),
        ("alice@example.com", "Alice: Bea is here."),
        ("bob@example.com", "Alice: Bea is here."),
    ]
    assert b"It happened for 1 person." in bytes(Notice.objects.order_by("pk")[0].message)
    last = bytes(Notice.objects.order_by("-pk")[0].message)
    assert b"It happened for 2 people more." in last
    assert b"Bea is here.\r\nLook after them." in last
    row = OwnerMail.objects.get()
    assert (row.place, row.text, row.n_waiting, row.subscriber_id) == ("rule 7 1", "", 0, None)
    tell(account, seconds(3_600), ann)
    assert owner_mail.send_due(seconds(3_600)) == 1


def test_it_says_what_the_rule_or_the_automation_is_called(account: Account) -> None:
    tag = factories.make_tag(account, name="Course")
    rule = rules.create(account, owned.rule_about(tag.pk) | {"name": "Course page"}, MONDAY_9)
    automation = automations.create(account, owned.automation_about(tag.pk) | {"name": "After it"}, MONDAY_9)
    asked = [f"rule {rule.pk}", f"automation {automation.pk}", "rule 0"]
    assert doers.names(asked) == {
        f"rule {rule.pk}": "the rule “Course page”",
        f"automation {automation.pk}": "the automation “After it”",
    }
    tell(account, seconds(0), make_subscriber(account), rule=rule.pk)
    owner_mail.send_due(seconds(0), doers.names)
    message = email.message_from_bytes(bytes(Notice.objects.all()[0].message), policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    assert "what the rule “Course page” of Alice has to tell you" in body.get_content()


def test_places_and_accounts_do_not_wait_for_one_another(account: Account) -> None:
    mallory = factories.make_account("Mallory")
    make_user(mallory, "mallory@example.com")
    tell(account, seconds(0), make_subscriber(account))
    tell(account, seconds(0), make_subscriber(account), rule=8)
    tell(mallory, seconds(0), make_subscriber(mallory))
    assert owner_mail.send_due(seconds(0)) == 3
    assert Notice.objects.filter(account=mallory).get().email_address == "mallory@example.com"
    assert Notice.objects.filter(account=account).count() == 4


def test_what_is_cut_off_is_still_to_be_said(account: Account) -> None:
    tell(account, seconds(0), make_subscriber(account))
    with transaction.atomic():
        assert owner_mail.send_due(seconds(0)) == 1
        transaction.set_rollback(True)
    assert not Notice.objects.exists()
    assert owner_mail.send_due(seconds(1)) == 1


def test_a_person_who_is_deleted_is_counted_and_not_named(account: Account) -> None:
    ann = make_subscriber(account, first_name="Ann")
    tell(account, seconds(0), ann, make_subscriber(account))
    forget.forget(account, ann.pk, "owner", seconds(0))
    owner_mail.send_due(seconds(0))
    message = bytes(Notice.objects.all()[0].message)
    assert b"Ann" not in message
    assert b"It happened for 2 people." in message


def test_without_a_sender_nobody_is_told(account: Account) -> None:
    ann = make_subscriber(account)
    account.sending_addresses.update(is_default=False)
    assert tell(account, seconds(0), ann) == Done(passed={ann.pk: reasons.NO_SENDER})
    assert not OwnerMail.objects.exists()


def test_a_text_that_takes_too_much_work_passes(account: Account) -> None:
    ann = make_subscriber(account)
    heavy = "{% for i in (1..9000) %}{% for j in (1..9000) %}{{ subscriber.id }}{% endfor %}{% endfor %}"
    done = tell(account, seconds(0), ann, action={"kind": "mail_owner", "text": heavy})
    assert done == Done(passed={ann.pk: reasons.NOT_RENDERED})
    assert not OwnerMail.objects.exists()


def test_an_address_that_takes_no_mail_keeps_nobody_else_from_being_told(account: Account) -> None:
    make_user(account, "zoë@exämple.com")
    tell(account, seconds(0), make_subscriber(account))
    assert owner_mail.send_due(seconds(0)) == 1
    assert Notice.objects.count() == 2


def test_it_arrives(engine: Engine, account: Account) -> None:
    tell(account, engine.clock.now(), make_subscriber(account, first_name="Ann"))
    owner_mail.send_due(engine.clock.now())
    engine.run()
    assert {one.rcpt_to for one in engine.mail.messages} == {"alice@example.com", "bob@example.com"}
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sent"}
