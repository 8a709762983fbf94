"""Doing something with many people at once, on pages."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.bulk import operations, runner
from dripstone.bulk.models import BulkAction
from dripstone.subscribers.models import Subscriber, Tag
from tests.automations.making import automation, wait
from tests.factories import MONDAY_9, make_account, make_subscriber, make_tag
from tests.web.reading import hidden_members


@pytest.fixture
def tag(account: Account, clock: Any) -> Tag:
    for name in ("Ann", "Bob", "Cid"):
        make_subscriber(account, first_name=name, email_address=f"{name.lower()}@example.org")
    return make_tag(account, name="Course")


def work(account: Account) -> None:
    runner.finish(operations.ALL, account.pk, lambda: MONDAY_9)


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def ask(client: Client, url: str, **members: Any) -> Any:
    return client.post(url, members)


def told(client: Client, url: str, **members: Any) -> Any:
    """Asked, and answered with yes."""
    question = ask(client, url, **members)
    return client.post(url, hidden_members(question))


def test_people_who_match_are_counted_acted_on_and_reported(alice: Client, account: Account, tag: Tag) -> None:
    url = "/people/bulk?q=bob"
    assert "Do something with 1 person" in text(alice.get(url))
    question = text(ask(alice, url, add_tag=tag.pk, last=""))
    assert "Do this with 1 person found by “bob”?" in question
    assert "gets the tag “Course”" in question
    assert "It can be undone for a day" in question
    assert not BulkAction.objects.exists()
    answer = told(alice, url, add_tag=tag.pk, quiet="on")
    row = BulkAction.objects.get()
    assert answer["Location"] == f"/bulk_actions/{row.pk}"
    assert not row.fires_rules
    under_way = text(alice.get(f"/bulk_actions/{row.pk}"))
    assert 'hx-trigger="every 2s"' in under_way
    assert "Cancel the rest" in under_way
    work(account)
    done = text(alice.get(f"/bulk_actions/{row.pk}", headers={"HX-Target": "bulk-action"}))
    assert "<html" not in done
    assert "hx-trigger" not in done
    assert "1 person done." in done
    assert "Add the tag “Course”" in text(alice.get("/bulk_actions"))


def test_they_are_moved_into_an_automation_and_out_of_it(alice: Client, account: Account, tag: Tag) -> None:
    assert "Move into an automation" not in text(alice.get("/people/bulk"))
    course = automation(account, wait("pause"), name="Course", now=MONDAY_9)
    assert "Move into an automation" in text(alice.get("/people/bulk"))
    question = text(ask(alice, "/people/bulk?q=bob", move_in=course.pk))
    assert "enters the automation “Course”" in question
    told(alice, "/people/bulk?q=bob", move_in=course.pk, move_out="")
    assert BulkAction.objects.get().actions == [{"kind": "move", "automation_id": course.pk, "way": "in"}]


def test_those_ticked(alice: Client, account: Account, tag: Tag) -> None:
    ann, bob, _ = account.subscribers.order_by("pk")
    page = text(alice.get("/people"))
    assert f'name="ids" value="{ann.pk}" form="ticked"' in page
    told(alice, f"/people/bulk?ids={bob.pk}&ids={ann.pk}", last="unsubscribe")
    work(account)
    assert list(account.subscribers.order_by("pk").values_list("state", flat=True)) == ["cancelled"] * 2 + ["active"]


def test_of_a_state_and_a_filter_both_are_meant(alice: Client, account: Account, tag: Tag) -> None:
    make_subscriber(account, state="bounced")
    told(alice, "/people/bulk?state=bounced", last="delete")
    work(account)
    assert account.subscribers.count() == 3
    assert not account.subscribers.filter(state="bounced").exists()


def test_if_it_would_do_something_else_by_now_it_asks_again(alice: Client, account: Account, tag: Tag) -> None:
    question = ask(alice, "/people/bulk", last="delete")
    account.subscribers.order_by("pk").first().delete()  # type: ignore[union-attr]
    again = alice.post("/people/bulk", hidden_members(question))
    assert "Things have moved since you asked" in text(again)
    assert not BulkAction.objects.exists()


def test_nothing_chosen_is_refused(alice: Client, tag: Tag) -> None:
    answer = ask(alice, "/people/bulk", add_tag="", last="")
    assert answer.status_code == 422
    assert "Choose at least one thing to do" in text(answer)


def test_cancelled_and_undone(alice: Client, account: Account, tag: Tag) -> None:
    told(alice, "/people/bulk", add_tag=tag.pk)
    first = BulkAction.objects.get()
    assert "Cancelled" in text(alice.post(f"/bulk_actions/{first.pk}/cancellation", follow=True))
    told(alice, "/people/bulk", add_tag=tag.pk)
    second = BulkAction.objects.latest("pk")
    work(account)
    assert tag.taggings.count() == 3
    question = alice.post(f"/bulk_actions/{second.pk}/undoing")
    assert "3 changes of tags and fields are taken back" in text(question)
    alice.post(f"/bulk_actions/{second.pk}/undoing", hidden_members(question))
    work(account)
    assert "3 changes undone." in text(alice.get(f"/bulk_actions/{second.pk}"))
    assert tag.taggings.count() == 0


def test_nobody_of_another_account_is_meant(alice: Client, account: Account, tag: Tag) -> None:
    stranger = make_subscriber(make_account())
    assert alice.get(f"/people/bulk?ids={stranger.pk}").status_code == 404
    assert Subscriber.objects.filter(pk=stranger.pk).exists()
