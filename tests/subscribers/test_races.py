"""Two calls at the same instant, on two connections with real commits: both succeed, one row is made."""

from datetime import datetime

import pytest

from dripstone.content import library
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag, Tagging
from tests import factories
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_tag_is_made(now: datetime) -> None:
    account = factories.make_account()
    results = together(lambda: tags.create(account.pk, "VIP", now, cause=causes.API))
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert Tag.objects.count() == 1


def test_one_subscriber_is_made(now: datetime) -> None:
    account = factories.make_account()
    results = together(lambda: subscribe.upsert(account.pk, "bea@example.org", now, cause=causes.API, first_name="Bea"))
    assert sorted(result.is_new for result in results) == [False] * 5 + [True]
    assert Subscriber.objects.count() == 1
    assert Event.objects.filter(type="subscriber.created").count() == 1


def test_one_tagging_and_one_event_are_made(now: datetime) -> None:
    account = factories.make_account()
    person, tag = factories.make_subscriber(account), factories.make_tag(account)
    results = together(lambda: tags.add(tag, person, now, cause=causes.API))
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert Tagging.objects.count() == Event.objects.filter(type="subscriber.tag_added").count() == 1


def test_one_field_is_made(now: datetime) -> None:
    account = factories.make_account()
    results = together(lambda: fields.create(account.pk, "Company", now, cause=causes.API))
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert CustomField.objects.count() == 1


def test_labels_of_one_key_all_find_a_key(now: datetime) -> None:
    account = factories.make_account()
    labels = iter(["A b", "A-b", "A_b", "A.b", "A!b", "A?b"])
    together(lambda: fields.create(account.pk, next(labels), now, cause=causes.API))
    assert len(set(CustomField.objects.values_list("key", flat=True))) == 6


def test_values_written_together_are_all_kept(now: datetime) -> None:
    account = factories.make_account()
    for number in range(6):
        fields.create(account.pk, f"F{number}", now, cause=causes.API)
    numbers = iter(range(6))
    together(
        lambda: subscribe.upsert(
            account.pk, "bea@example.org", now, cause=causes.API, fields={f"f{next(numbers)}": "x"}
        )
    )
    assert len(Subscriber.objects.get().fields) == 6


def test_snippets_made_together_have_keys_of_their_own(now: datetime) -> None:
    account = factories.make_account()
    together(lambda: library.create_snippet(account.pk, "Footer", "inline", "x", now))
    keys = set(account.snippets.values_list("key", flat=True))
    assert keys == {"footer", "footer-2", "footer-3", "footer-4", "footer-5", "footer-6"}
