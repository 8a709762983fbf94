"""Segments that name one another, and what stands where once something is deleted."""

from datetime import datetime

import pytest

from dripstone.accounts.models import Account
from dripstone.conditions import segments, uses
from dripstone.conditions.people import MAX_EXPANDED
from dripstone.errors import Invalid
from dripstone.grammar import Condition
from dripstone.subscribers.models import Segment
from tests.factories import make_account, make_sequence, make_tag
from tests.racing import together

pytestmark = pytest.mark.django_db


def naming(*ids: int) -> Condition:
    return {"not": {"type": "segments", "ids": list(ids)}}


def make(account: Account, filter: Condition, name: str = "S") -> Segment:
    return segments.create(account.pk, {"name": name, "filter": filter}, datetime.fromisoformat("2026-11-23T09:00Z"))


def refusal(segment: Segment, filter: Condition) -> list[str]:
    with pytest.raises(Invalid) as refused:
        segments.update(segment, {"filter": filter})
    return refused.value.messages


CIRCLE = "filter can't contain the segment itself, directly or through other segments"
TOO_DEEP = "filter makes segments inside one another, more than 3 deep"


def test_none_is_inside_itself() -> None:
    account = make_account()
    first = make(account, {"all": []})
    second = make(account, naming(first.pk))
    third = make(account, {"any": [naming(second.pk), naming(first.pk)]})
    for one in (first, second, third):
        assert refusal(first, naming(one.pk)) == [CIRCLE]
    assert segments.update(third, {"filter": naming(first.pk)}).filter == naming(first.pk)


def test_they_are_three_deep_at_most() -> None:
    account = make_account()
    chain = [make(account, {"all": []})]
    for _ in range(2):
        chain.append(make(account, naming(chain[-1].pk)))
    with pytest.raises(Invalid) as refused:
        make(account, naming(chain[-1].pk))
    assert refused.value.messages == [TOO_DEEP]
    below = make(account, {"all": []})
    assert refusal(chain[0], naming(below.pk)) == [TOO_DEEP]  # it is the last of three already


def test_all_leaves_of_segments_inside_count() -> None:
    account = make_account()
    tag = {"type": "tags", "ids": [make_tag(account).pk]}
    large = [make(account, {"all": [tag] * 100}) for _ in range(10)]
    together = make(account, {"any": [naming(one.pk) for one in large]})
    assert together.filter["any"]
    more = make(account, {"all": [tag]})
    limit = f"filter has more than {MAX_EXPANDED} conditions with those of the segments that it names"
    assert refusal(together, {"any": [naming(one.pk) for one in (*large, more)]}) == [limit]
    grown = {"all": [*[tag] * 99, naming(more.pk, large[1].pk)]}
    assert "makes a segment that names this one have more than 1,000" in refusal(large[0], grown)[0]


@pytest.mark.django_db(transaction=True)
def test_two_cannot_close_a_circle_together() -> None:
    account = make_account()
    pair = [make(account, {"all": []}), make(account, {"all": []})]
    turns = iter([(pair[0], pair[1]), (pair[1], pair[0])])

    def name_the_other() -> Segment:
        one, other = next(turns)
        return segments.update(one, {"filter": naming(other.pk)})

    results = together(name_the_other, times=2)
    assert sorted(isinstance(result, Invalid) for result in results) == [False, True]


def test_uses_are_found_also_through_other_segments() -> None:
    account = make_account()
    tag = make_tag(account, name="VIP")
    inner = make(account, {"type": "tags", "ids": [tag.pk]}, "Inner")
    outer = make(account, naming(inner.pk), "Outer")
    make(account, {"all": []}, "Other")
    sources = [{"type": "segment", "ids": [outer.pk]}]
    sequence = make_sequence(account, name="Course", exclude_subscriber_sources=sources)
    filtered = {"subject": "Only for some", "filter": naming(inner.pk)}
    email = make_sequence(account, filtered, {"filter": {"all": []}}).emails.order_by("position")[0]
    make_sequence(account, name="Gone", exclude_subscriber_sources=sources, deleted_at=account.created_at)
    found = uses.of(("tag", tag.pk), account.pk)
    assert [(one.kind, one.pk, one.through) for one in found] == [
        ("segment", inner.pk, ()),
        ("segment", outer.pk, (inner.pk,)),
        ("filter", email.pk, (inner.pk,)),
        ("exclusion", sequence.pk, (inner.pk, outer.pk)),
    ]
    assert [one.words for one in found] == [
        "the segment “Inner”",
        "the segment “Outer”",
        "the filter of the email “Only for some”",
        "the exclusions of the sequence “Course”",
    ]
    assert uses.of(("tag", tag.pk), make_account().pk) == []


def test_the_old_form_of_a_filter_finds_its_uses() -> None:
    account = make_account()
    tag = make_tag(account)
    condition = {"type": "tag", "operator": "not_in", "ids": [tag.pk]}
    segment = make(account, {"match": "all", "conditions": [condition]})
    assert [one.pk for one in uses.of(("tag", tag.pk), account.pk)] == [segment.pk]
