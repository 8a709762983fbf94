"""A template goes, and what had it gets another one."""

from datetime import datetime

import pytest

from dripstone.accounts.models import Account
from dripstone.content import templates
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import templates as acts
from dripstone.errors import Invalid
from tests.factories import make_account, make_email, make_sequence


def make_template(account: Account, now: datetime, name: str = "T") -> EmailTemplate:
    return templates.create(account.pk, {"name": name, "html": "{{ message_content }}"}, now)


def test_sequences_and_emails_get_the_other_one(alice: Account, now: datetime) -> None:
    going, other = make_template(alice, now), make_template(alice, now)
    sequence = make_sequence(alice, {}, email_template=going)
    email = make_email(sequence, position=1, email_template=going)
    acts.delete(alice, going, other.pk, now)
    sequence.refresh_from_db()
    email.refresh_from_db()
    assert (sequence.email_template_id, email.email_template_id) == (other.pk, other.pk)
    assert email.version == 2 and not EmailTemplate.objects.filter(pk=going.pk).exists()


def test_without_another_they_have_none_of_their_own(alice: Account, now: datetime) -> None:
    going = make_template(alice, now)
    sequence = make_sequence(alice, email_template=going)
    acts.delete(alice, going, None, now)
    sequence.refresh_from_db()
    assert sequence.email_template_id is None


def test_what_is_deleted_does_not_hold_it_back(alice: Account, now: datetime) -> None:
    going = make_template(alice, now)
    sequence = make_sequence(alice, email_template=going, deleted_at=now)
    make_email(sequence, position=0, email_template=going)
    make_email(make_sequence(alice), position=0, email_template=going, deleted_at=now)
    acts.delete(alice, going, None, now)
    assert not EmailTemplate.objects.exists()


def test_the_other_one_must_be_the_account_s_and_another(alice: Account, now: datetime) -> None:
    going, foreign = make_template(alice, now), make_template(make_account("Mallory"), now)
    make_sequence(alice, email_template=going)
    for replacement in (going.pk, foreign.pk):
        with pytest.raises(Invalid):
            acts.delete(alice, going, replacement, now)
    assert EmailTemplate.objects.filter(pk=going.pk).exists()
