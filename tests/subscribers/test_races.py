"""Two calls at the same instant, on two connections with real commits: both succeed, one row is made."""

from datetime import datetime

import pytest

from dripstone.content import snippets
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag, Tagging
from tests import factories
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_tag_is_made(now: datetime) -> None:
    account = factories.make_account()
    results = together(lambda: tags.create(account.pk, {"name": "VIP"}, now, cause=causes.API))
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert Tag.objects.count() == 1


def test_one_subscriber_is_made(now: datetime) -> None:
    account = factories.make_account()
    bea = {"email_address": "bea@example.org", "first_name": "Bea"}
    results = together(lambda: subscribe.upsert(account.pk, bea, now, cause=causes.API))
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
    results = together(lambda: fields.create(account.pk, {"label": "Company"}, now, cause=causes.API))
    assert sorted(is_new for _, is_new in results) == [False] * 5 + [True]
    assert CustomField.objects.count() == 1


def test_labels_of_one_key_all_find_a_key(now: datetime) -> None:
    account = factories.make_account()
    labels = iter(["A b", "A-b", "A_b", "A.b", "A!b", "A?b"])
    together(lambda: fields.create(account.pk, {"label": next(labels)}, now, cause=causes.API))
    assert len(set(CustomField.objects.values_list("key", flat=True))) == 6


def test_values_written_together_are_all_kept(now: datetime) -> None:
    account = factories.make_account()
    for number in range(6):
        fields.create(account.pk, {"label": f"F{number}"}, now, cause=causes.API)
    givens = iter([{"email_address": "bea@example.org", "fields": {f"f{number}": "x"}} for number in range(6)])
    together(lambda: subscribe.upsert(account.pk, next(givens), now, cause=causes.API))
    assert len(Subscriber.objects.get().fields) == 6


def test_snippets_made_together_have_keys_of_their_own(now: datetime) -> None:
    account = factories.make_account()
    together(lambda: snippets.create(account.pk, {"name": "Footer", "snippet_type": "inline", "content": "x"}, now))
    keys = set(account.snippets.values_list("key", flat=True))
    assert keys == {"footer", "footer-2", "footer-3", "footer-4", "footer-5", "footer-6"}
