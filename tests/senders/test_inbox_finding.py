"""Captured mail found by what somebody types; what is kept for that follows the messages."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.senders import inbox_finding as finding
from dripstone.senders.models import CapturedHead, CapturedMessage, CapturedText
from tests.factories import make_account
from tests.web.making import make_message

pytestmark = pytest.mark.django_db


def ids(account: Account, typed: str, before: int | None = None, after: int | None = None) -> list[int]:
    return finding.messages(account.pk, typed, 10, before=before, after=after).ids


def test_another_account_has_mail_of_its_own(alice: Account) -> None:
    make_message(make_account("Mallory"))
    assert ids(alice, "bob") == ids(alice, "plain") == []


def test_heads_and_texts_go_with_their_messages(alice: Account) -> None:
    make_message(alice)
    ids(alice, "bob")
    assert CapturedHead.objects.count() == CapturedText.objects.count() == 1
    CapturedMessage.objects.all().delete()
    assert not CapturedHead.objects.exists()
    assert not CapturedText.objects.exists()


def test_texts_are_read_for_a_moment_and_it_says_when_some_are_left(alice: Account) -> None:
    for _ in range(finding.READ_AT_A_TIME + 5):
        make_message(alice)
    assert finding.read_texts(finding.Span(alice.pk), patience=-1) is False
    assert not CapturedText.objects.exists()
    assert finding.read_texts(finding.Span(alice.pk), patience=60) is True
    assert CapturedText.objects.count() == finding.READ_AT_A_TIME + 5


def test_so_many_texts_are_looked_through_at_a_time(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    old, middle, new = (make_message(alice) for _ in range(3))
    assert ids(alice, "plain words") == [new.pk, middle.pk, old.pk]
    monkeypatch.setattr(finding, "TEXTS", 2)
    found = finding.messages(alice.pk, "plain words", 10)
    assert (found.ids, found.edge) == ([new.pk, middle.pk], old.pk)
    assert finding.messages(alice.pk, "plain words", 10, before=old.pk + 1) == ([old.pk], True, None)
    forward = finding.messages(alice.pk, "plain words", 10, after=old.pk - 1)
    assert (forward.ids, forward.edge) == ([old.pk, middle.pk], new.pk)
    assert ids(alice, "bob@") == [new.pk, middle.pk, old.pk], "recipients and subjects of all"


def test_a_search_may_read_nothing(alice: Account) -> None:
    make_message(alice)
    assert finding.messages(alice.pk, "plain words", 10, patience=0).ids == []
    assert not CapturedText.objects.exists()


def test_before_and_after_a_message(alice: Account) -> None:
    first, second, third = (make_message(alice) for _ in range(3))
    assert ids(alice, "bob", before=third.pk) == [second.pk, first.pk]
    assert ids(alice, "bob", after=first.pk) == [second.pk, third.pk]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=250))
def test_any_text_may_be_typed(alice: Account, typed: str) -> None:
    ids(alice, typed)


def test_the_migration_writes_the_heads_of_what_was_there_and_may_run_twice(alice: Account) -> None:
    message = make_message(alice, subject="Grüße")
    CapturedHead.objects.all().delete()
    migration: Any = importlib.import_module("dripstone.senders.migrations.0007_searching_the_inbox")
    for _ in range(2):
        with connection.schema_editor() as editor:
            migration.fill(apps, editor)
    assert CapturedHead.objects.get().head == "bob@example.org grusse"
    assert ids(alice, "gruße") == [message.pk]
