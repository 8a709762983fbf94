"""Text that becomes SQL: the tables it names are there, no value is an error, and large conditions work."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from django.apps import apps
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.conditions import matching, sql
from dripstone.engine.models import Enrollment
from dripstone.grammar import MAX_LEAVES, Condition
from dripstone.subscribers.models import CustomField, Subscriber
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db


def test_tables_are_there() -> None:
    """Columns are, since every leaf is asked in test_reference.py."""
    named = set(re.findall(r"\b(?:FROM|JOIN) ([a-z]+_[a-z]+)", Path(sql.__file__).read_text()))
    named |= {"subscribers_tagging", "subscribers_formsubscription", "engine_enrollment"}
    assert named <= {model._meta.db_table for model in apps.get_models()}
    assert {status for statuses in sql._STATUSES.values() for status in statuses} == set(Enrollment.Status.values)


def test_a_hundred_leaves_of_each_kind_are_one_statement(now: datetime) -> None:
    account = make_account()
    person = make_subscriber(account)
    tags = [make_tag(account, person).pk for _ in range(4)]
    leaves: list[Condition] = [{"type": "tags", "ids": [tags[number % 4]]} for number in range(MAX_LEAVES)]
    for condition in (
        {"all": leaves},
        {"any": leaves},
        {"not": {"all": [{"not": leaf} for leaf in leaves]}},
        {"any": [{"all": [leaf, leaves[0]]} for leaf in leaves[:50]]},
        {"type": "tags", "ids": tags, "has": "all"},
    ):
        assert list(matching(condition, account, now)) == [person]
        assert not matching({"not": condition}, account, now).exists()


def test_it_can_stand_inside_other_queries(now: datetime) -> None:
    account = make_account()
    person, other = make_subscriber(account), make_subscriber(account)
    tag = make_tag(account, person)
    sequence = make_sequence(account)
    for one in (person, other):
        make_enrollment(sequence, one)
    people = matching(
        {"all": [{"type": "tags", "ids": [tag.pk]}, {"type": "sent", "count_less_than": 1}]}, account, now
    )
    assert [row.subscriber_id for row in Enrollment.objects.filter(subscriber__in=people)] == [person.pk]
    outside = Subscriber.objects.filter(account=account).exclude(pk__in=people.values("pk"))
    assert list(outside) == [other]
    assert people.union(outside).count() == 2


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=50)
def test_no_value_is_an_error(text: str) -> None:
    account = make_account()
    field = CustomField.objects.create(account=account, label="F", key="f", name="ck", created_at=MONDAY_9)
    make_subscriber(account, fields={str(field.pk): text})
    asked = {"type": "custom_field", "subscriber_custom_field_id": field.pk}
    said = {"is": text, "contains": text, "greater_than": "1", "before": "2026-01-01", "days_from_now": "3"}
    for comparison, value in said.items():
        assert matching({**asked, "comparison": comparison, "value": value}, account, MONDAY_9).count() <= 1
    assert matching({**asked, "comparison": "is", "value": text}, account, MONDAY_9).count() == 1
    Subscriber.objects.filter(account=account).delete()
    field.delete()
