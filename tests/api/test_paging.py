"""Cursor paging: every walk over the pages meets each row once."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dripstone.api.paging import Paging, page
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller


def test_it_pages_forward_and_backward(alice: Caller) -> None:
    tags = [factories.make_tag(alice.account).pk for _ in range(5)][::-1]
    first = alice.get("/v4/tags", per_page=2)[1]
    assert [tag["id"] for tag in first["tags"]] == tags[:2]
    assert first["pagination"] == {
        "has_previous_page": False,
        "has_next_page": True,
        "start_cursor": _cursor([tags[0]]),
        "end_cursor": _cursor([tags[1]]),
        "per_page": 2,
    }
    second = alice.get("/v4/tags", per_page=2, after=first["pagination"]["end_cursor"])[1]
    assert [tag["id"] for tag in second["tags"]] == tags[2:4]
    assert (second["pagination"]["has_previous_page"], second["pagination"]["has_next_page"]) == (True, True)
    last = alice.get("/v4/tags", per_page=2, after=second["pagination"]["end_cursor"])[1]
    assert last["pagination"]["has_next_page"] is False
    back = alice.get("/v4/tags", per_page=2, before=second["pagination"]["start_cursor"])[1]
    assert back == first


def test_a_row_that_goes_leaves_the_cursor_good(alice: Caller) -> None:
    tags = [factories.make_tag(alice.account) for _ in range(3)]
    cursor = alice.get("/v4/tags", per_page=1)[1]["pagination"]["end_cursor"]
    tags[2].delete()
    assert [tag["id"] for tag in alice.get("/v4/tags", after=cursor)[1]["tags"]] == [tags[1].pk, tags[0].pk]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"per_page": "0"}, "per_page must be an integer between 1 and 1000"),
        ({"per_page": "-1"}, "per_page must be an integer between 1 and 1000"),
        ({"per_page": "ten"}, "per_page must be an integer between 1 and 1000"),
        ({"per_page": "1.5"}, "per_page must be an integer between 1 and 1000"),
        ({"per_page": "٣"}, "per_page must be an integer between 1 and 1000"),
        ({"after": "!"}, "after is not a cursor of this list"),
        ({"before": "WzEsMl0="}, "before is not a cursor of this list"),
        ({"after": "WyJhIl0="}, "after is not a cursor of this list"),
        ({"after": base64.b64encode(b"[99999999999999999999]").decode()}, "after is not a cursor of this list"),
        ({"after": base64.b64encode(b"[true]").decode()}, "after is not a cursor of this list"),
        ({"after": base64.b64encode(b"\xff").decode()}, "after is not a cursor of this list"),
        ({"after": "WzFd", "before": "WzFd"}, "Only one of after and before may be given"),
        ({"include_total_count": "maybe"}, "include_total_count must be true or false"),
    ],
)
def test_it_refuses_what_is_no_page(alice: Caller, query: dict[str, str], sentence: str) -> None:
    assert alice.get("/v4/tags", **query) == (422, {"errors": [sentence]})


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", 3])
def test_it_refuses_instants_no_cursor_has(alice: Caller, value: Any) -> None:
    query = {"sort_field": "created_at", "after": _cursor([value, 1])}
    assert alice.get("/v4/subscribers", **query) == (422, {"errors": ["after is not a cursor of this list"]})


def test_a_page_holds_a_thousand_at_most(alice: Caller) -> None:
    for asked, given_size in (("1000", 1000), ("1001", 1000), ("9" * 30, 1000), ("007", 7), ("", 500)):
        assert alice.get("/v4/tags", per_page=asked)[1]["pagination"]["per_page"] == given_size


def test_empty_cursors_count_as_left_out(alice: Caller) -> None:
    assert alice.get("/v4/tags", after="", before="")[0] == 200


class TestWalks(TestCase):
    @given(
        ages=st.lists(st.integers(0, 3), max_size=12),
        per_page=st.integers(1, 5),
        order=st.sampled_from([("-id",), ("id",), ("created_at", "id"), ("-created_at", "-id")]),
    )
    def test_each_row_is_met_once_in_order(self, ages: list[int], per_page: int, order: tuple[str, ...]) -> None:
        account = factories.make_account()
        for age in ages:
            factories.make_subscriber(account, created_at=factories.MONDAY_9.replace(day=20 + age))
        rows = Subscriber.objects.filter(account=account)
        expected = list(rows.order_by(*order).values_list("pk", flat=True))

        forward, paging = [], Paging(per_page=per_page)
        while True:
            found = page(rows, paging, *order)
            forward += [row.pk for row in found.rows]
            if not found.pagination["has_next_page"]:
                break
            paging = Paging(per_page=per_page, after=found.pagination["end_cursor"])
        assert forward == expected

        backward = [row.pk for row in found.rows]
        while found.pagination["has_previous_page"]:
            found = page(rows, Paging(per_page=per_page, before=found.pagination["start_cursor"]), *order)
            backward = [row.pk for row in found.rows] + backward
        assert backward == expected


def _cursor(values: list[Any]) -> str:
    return base64.b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()
