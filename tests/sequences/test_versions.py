"""Versions of an email: whatever people may have got is kept, and nothing else is."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dripstone.accounts.models import Account
from dripstone.content.versions import UNKNOWN
from dripstone.engine.acts import edits
from dripstone.errors import NotFound
from dripstone.sequences import versions
from dripstone.sequences.models import EmailVersion, Sequence, SequenceEmail
from tests.factories import MONDAY_9, make_account, make_sequence
from tests.racing import together

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)
KEY = "API key test (…f3a2)"


@pytest.fixture
def course(alice: Account) -> Sequence:
    return make_sequence(alice)


def create(sequence: Sequence, **values: Any) -> SequenceEmail:
    body = {"subject": "Hello", "delay_value": 1, "delay_unit": "days", **values}
    email = edits.create_email(sequence.account, sequence.pk, body, MONDAY_9, KEY).email
    assert email is not None
    return email


def write(email: SequenceEmail, **values: Any) -> None:
    edits.update_email(email.sequence.account, email.sequence_id, email.pk, values, LATER)


def subjects(email: SequenceEmail) -> list[str]:
    return list(email.versions.order_by("number").values_list("subject", flat=True))


def test_publishing_keeps_a_version_with_who_and_when(course: Sequence) -> None:
    email = create(course, published=True, content="<p>One</p>", preview_text="Look")
    write(email, content="<p>Two</p>")
    new, old = versions.of(SequenceEmail.objects.get(pk=email.pk))
    assert (old.number, old.content, old.preview_text) == (1, "<p>One</p>", "Look")
    assert (old.published_at, old.published_by) == (MONDAY_9, KEY)
    assert (new.number, new.content, new.published_at, new.published_by) == (2, "<p>Two</p>", LATER, "owner")


def test_what_is_written_before_publishing_makes_no_version(course: Sequence) -> None:
    email = create(course)
    write(email, subject="Hello again")
    assert subjects(email) == []
    write(email, published=True)
    write(email, published=False)
    write(email, subject="Secret")
    assert subjects(email) == ["Hello again"]
    write(email, published=True, subject="Out")
    assert subjects(email) == ["Hello again", "Out"]


def test_what_prints_the_same_is_the_same_version(course: Sequence) -> None:
    email = create(course, published=True)
    write(email, delay_value=3, position=4, subject="Hello")
    write(email, published=False)
    write(email, published=True)
    assert subjects(email) == ["Hello"]


def test_a_text_that_comes_back_is_published_once_more(course: Sequence) -> None:
    email = create(course, published=True)
    write(email, subject="Other")
    write(email, subject="Hello")
    assert subjects(email) == ["Hello", "Other", "Hello"]


def test_what_an_older_server_published_is_kept_before_it_is_overwritten(course: Sequence) -> None:
    email = create(course, published=True)
    SequenceEmail.objects.filter(pk=email.pk).update(subject="By the server before", updated_at=LATER)
    write(email, subject="New")
    assert subjects(email) == ["Hello", "By the server before", "New"]
    assert versions.one(email, 2).published_by == UNKNOWN


def test_what_an_older_server_published_is_in_the_list(course: Sequence) -> None:
    email = create(course)
    SequenceEmail.objects.filter(pk=email.pk).update(published=True)
    assert [one.subject for one in versions.of(SequenceEmail.objects.get(pk=email.pk))] == ["Hello"]


def test_a_version_that_is_not_there_is_not_found(course: Sequence) -> None:
    email = create(course, published=True)
    with pytest.raises(NotFound):
        versions.one(create(course, published=True), 2)
    assert versions.one(email, 1).subject == "Hello"


def test_emails_of_before_get_a_first_version(course: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("dripstone.sequences.migrations.0009_first_versions")
    monkeypatch.setattr(migration, "BATCH", 2)
    published, edited, draft, deleted, known = [create(course, published=n != 2) for n in range(5)]
    write(edited, subject="Later")
    edits.delete_email(course.account, course.pk, deleted.pk, LATER)
    EmailVersion.objects.exclude(email=known).delete()
    for _ in range(2):
        migration.fill(None, SimpleNamespace(connection=connection))
    assert [subjects(one) for one in (published, edited, draft, deleted, known)] == [
        ["Hello"],
        ["Later"],
        [],
        [],
        ["Hello"],
    ]
    assert [published.versions.get().published_at, edited.versions.get().published_at] == [MONDAY_9, LATER]


@pytest.mark.django_db(transaction=True)
def test_a_missing_version_is_made_once_however_many_need_it() -> None:
    email = make_sequence(make_account(), {}).emails.get()
    kept = together(lambda: versions.current(email))
    assert [one.number for one in kept] == [1] * 6
    assert email.versions.count() == 1


WRITES = st.lists(
    st.fixed_dictionaries(
        {}, optional={"subject": st.sampled_from("ABC"), "published": st.booleans(), "delay_value": st.integers(1, 2)}
    ),
    max_size=8,
)


class TestEverythingPublished(TestCase):
    @given(WRITES)
    def test_is_a_version_and_in_order(self, writes: list[dict[str, Any]]) -> None:
        """Against the simplest account of it: the texts people could get, one after the other."""
        email = create(make_sequence(make_account()))
        subject, published = "Hello", False
        could_get: list[str] = []
        for values in writes:
            write(email, **values)
            subject, published = values.get("subject", subject), values.get("published", published)
            if published and could_get[-1:] != [subject]:
                could_get.append(subject)
        assert subjects(email) == could_get
