"""`include_total_count`: kept counts where nothing is filtered but the state, else the rows; both say the same."""

from datetime import timedelta

import pytest

from dripstone.engine import life, plan, transitions
from dripstone.events import causes
from dripstone.senders.memory import MemorySender
from dripstone.subscribers import forms
from dripstone.subscribers.models import Subscriber
from tests import factories
from tests.api.caller import Caller

NOW = factories.MONDAY_9
STATUSES = ("active", "inactive", "cancelled", "bounced", "complained", "all")


@pytest.fixture
def lists(alice: Caller, clock: object) -> list[str]:
    """People of every state with a tag, on a form and in a sequence, which some have completed, at two instants."""
    people = []
    for number, state in enumerate(("active", "active", "active", "inactive")):
        joined = NOW - timedelta(days=number % 2)
        people += [factories.make_subscriber(alice.account, state=state, created_at=joined) for _ in range(2)]
    tag = factories.make_tag(alice.account, *people)
    form = forms.create(alice.account.pk, {"name": "Footer"}, NOW)
    sequence = factories.make_sequence(alice.account, {"delay_value": 0}, active=True)
    for number, person in enumerate(people):
        forms.add(form, person, {}, NOW, cause=causes.NONE)
        factories.make_enrollment(sequence, person, NOW - timedelta(days=number % 3))
    _complete()
    later = factories.make_subscriber(alice.account)
    factories.make_enrollment(sequence, later, NOW)  # on their way, and leaves
    for verb, person in zip(
        (transitions.cancel, transitions.bounce, transitions.complain, transitions.cancel),
        [*people[:3], later],
        strict=True,
    ):
        verb(person.pk, NOW)
    return [
        "/v4/subscribers",
        f"/v4/tags/{tag.pk}/subscribers",
        f"/v4/forms/{form.pk}/subscribers",
        f"/v4/sequences/{sequence.pk}/subscribers",
    ]


def _complete() -> None:
    plan.everything_due(NOW)
    while life.send_batch("worker", MemorySender(), lambda: NOW):
        pass


@pytest.mark.parametrize("status", STATUSES)
def test_a_total_is_as_many_as_the_list_has(alice: Caller, lists: list[str], status: str) -> None:
    for url in lists:
        page = alice.get(url, status=status, include_total_count="true")[1]
        assert page["pagination"]["total_count"] == len(page["subscribers"]), url


@pytest.mark.parametrize("column", ["created", "added", "tagged", "updated"])
@pytest.mark.parametrize("side", ["after", "before"])
def test_a_filtered_list_has_the_same_people_page_by_page(
    alice: Caller, lists: list[str], column: str, side: str
) -> None:
    edge = (NOW - timedelta(hours=12)).isoformat()
    for url in lists:
        query = {f"{column}_{side}": edge, "status": "all", "include_total_count": "true"}
        whole = alice.get(url, **query)[1]
        found = [person["id"] for person in whole["subscribers"]]
        walked, cursor, is_more = [], "", True
        while is_more:
            page = alice.get(url, **query, per_page=2, after=cursor)[1]
            walked += [person["id"] for person in page["subscribers"]]
            cursor, is_more = page["pagination"]["end_cursor"] or "", page["pagination"]["has_next_page"]
        assert walked == found
        assert whole["pagination"]["total_count"] == len(found)


def test_people_created_in_order_come_in_the_order_of_their_ids_whatever_is_filtered(alice: Caller) -> None:
    for age in (3, 2, 1):
        factories.make_subscriber(alice.account, created_at=NOW - timedelta(days=age))
    expected = sorted(Subscriber.objects.values_list("pk", flat=True), reverse=True)
    for query in ({}, {"created_before": NOW.isoformat()}, {"created_before": NOW.isoformat(), "sort_field": "id"}):
        assert [person["id"] for person in alice.get("/v4/subscribers", **query)[1]["subscribers"]] == expected


def test_places_are_counted_by_sequence_and_status(alice: Caller, lists: list[str]) -> None:
    for query in ({}, {"status": "completed"}, {"status": "removed"}, {"sequence_id": lists[-1].split("/")[3]}):
        page = alice.get("/ext/v1/enrollments", **query, include_total_count="true")[1]
        assert page["pagination"]["total_count"] == len(page["enrollments"]) > 0, query


def test_a_place_entered_again_is_found_by_its_new_instant(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, {}, repeat=True)
    person = factories.make_subscriber(alice.account)
    factories.make_enrollment(sequence, person, NOW - timedelta(days=9))
    factories.make_enrollment(sequence, person, NOW, "bulk")
    url, day_before = f"/v4/sequences/{sequence.pk}/subscribers", (NOW - timedelta(days=1)).isoformat()
    assert len(alice.get(url, added_after=day_before)[1]["subscribers"]) == 1
    assert alice.get(url, added_before=day_before)[1]["subscribers"] == []
