from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from dripstone import clock, signing
from dripstone.engine import notices, transitions
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events.models import Event
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_broadcast, make_subscriber

ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def path(delivery: Delivery) -> str:
    return f"/u/{signing.make('unsubscribe', delivery.pk)}"


@pytest.fixture
def stranger() -> Client:
    """A mail program: no cookies, no session, and CSRF checks as in production."""
    return Client(enforce_csrf_checks=True)


def bob() -> Subscriber:
    return Subscriber.objects.get(email_address="bob@example.org")


def everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Subscriber, Enrollment, Delivery, Event)]


def test_it_shows_who_and_from_whom_without_the_whole_address(stranger: Client, path: str) -> None:
    page = stranger.get(path).content.decode()
    assert "b•••@example.org" in page
    assert "bob@example.org" not in page
    assert "Alice" in page


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("query", ["", "?again=1", "?List-Unsubscribe=One-Click"])
def test_it_never_changes_anything_on_a_get(stranger: Client, path: str, method: str, query: str) -> None:
    before = everything()
    assert getattr(stranger, method)(path + query).status_code == 200
    assert everything() == before


def test_it_unsubscribes_with_one_click_without_cookies_or_redirects(
    stranger: Client, path: str, delivery: Delivery
) -> None:
    answer = stranger.post(path, ONE_CLICK, content_type=FORM)
    assert answer.status_code == 200
    assert bob().state == "cancelled"
    assert Enrollment.objects.get(subscriber=bob()).status == "removed"
    told = Event.objects.get(type="subscriber.unsubscribed")
    assert (told.subscriber_id, told.subject_id) == (bob().pk, delivery.pk)
    assert not answer.cookies


def test_it_takes_one_click_as_multipart_too(stranger: Client, path: str) -> None:
    assert stranger.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert bob().state == "cancelled"


def test_it_unsubscribes_with_the_button_and_says_it_is_done(stranger: Client, path: str) -> None:
    answer = stranger.post(path, follow=True)
    assert answer.redirect_chain == [(path, 302)]
    page = answer.content.decode()
    assert "You are unsubscribed" in page
    assert "Subscribe again" in page
    assert bob().state == "cancelled"


@pytest.mark.parametrize("rest", [")", ".", ">", ").", "%3E", ",", "”", "&gt;"])
def test_it_works_with_what_a_mail_program_took_for_a_part_of_the_link(stranger: Client, path: str, rest: str) -> None:
    assert "b•••@example.org" in stranger.get(path + rest).content.decode()
    assert stranger.post(path + rest, ONE_CLICK, content_type=FORM).status_code == 200
    assert bob().state == "cancelled"


def test_it_may_be_pressed_twice(stranger: Client, path: str) -> None:
    stranger.post(path, ONE_CLICK, content_type=FORM)
    once = everything()
    assert stranger.post(path, ONE_CLICK, content_type=FORM).status_code == 200
    assert everything() == once


def test_it_takes_people_back_who_pressed_it_by_mistake(stranger: Client, path: str) -> None:
    stranger.post(path)
    answer = stranger.post(f"{path}/resubscription", follow=True)
    assert "You are subscribed again" in answer.content.decode()
    assert bob().state == "active"
    assert Enrollment.objects.get(subscriber=bob()).status == "removed"  # R15: coming back resumes nothing


def test_the_way_back_is_open_for_a_day(stranger: Client, path: str) -> None:
    stranger.post(path)
    Subscriber.objects.update(canceled_at=F("canceled_at") - timedelta(hours=23))
    assert "Subscribe again" in stranger.get(path).content.decode()
    Subscriber.objects.update(canceled_at=F("canceled_at") - timedelta(hours=2))
    assert "Subscribe again" not in stranger.get(path).content.decode()
    answer = stranger.post(f"{path}/resubscription", follow=True)
    assert "You are unsubscribed" in answer.content.decode()
    assert bob().state == "cancelled"


@pytest.mark.parametrize("order", [["api"], ["link", "api"], ["api", "link"], ["owner"]])
def test_it_takes_nobody_back_whom_somebody_else_unsubscribed(stranger: Client, path: str, order: list[str]) -> None:
    """Whoever holds a forwarded mail could undo what the owner did."""
    for who in order:
        if who == "link":
            stranger.post(path)
        else:
            transitions.cancel(bob().pk, clock.now(), cause=(who,))
    assert "Subscribe again" not in stranger.get(path).content.decode()
    stranger.post(f"{path}/resubscription")
    assert bob().state == "cancelled"


def test_the_link_of_another_email_leads_nobody_back(stranger: Client, path: str, delivery: Delivery) -> None:
    stranger.post(path)
    other = make_broadcast(bob(), status="sent", sent_at=MONDAY_9, ended_at=MONDAY_9)
    stranger.post(f"/u/{signing.make('unsubscribe', other.pk)}/resubscription")
    assert bob().state == "cancelled"
    stranger.post(f"{path}/resubscription")
    assert bob().state == "active"


def test_it_takes_nobody_back_on_a_get(stranger: Client, path: str) -> None:
    stranger.post(path)
    assert stranger.get(f"{path}/resubscription").status_code == 405
    assert bob().state == "cancelled"


def test_it_offers_no_way_back_to_who_complained(stranger: Client, path: str) -> None:
    Subscriber.objects.update(state="complained")
    page = stranger.get(path).content.decode()
    assert "You are unsubscribed" in page
    assert "Subscribe again" not in page


@pytest.mark.parametrize("token", ["abc", "A" * 500, "..", "%00", "é", "AAAAAAAAAAAAAAAAAAAAMQ"])
@pytest.mark.parametrize("rest", ["", "/resubscription"])
def test_it_is_kind_about_a_broken_link(stranger: Client, db: None, token: str, rest: str) -> None:
    answer = stranger.post(f"/u/{token}{rest}")
    assert answer.status_code == 404
    if "%" not in token and token != "..":
        assert "This link does not work" in answer.content.decode()


def test_it_knows_no_token_of_another_kind_or_for_a_delivery_that_is_gone(stranger: Client, delivery: Delivery) -> None:
    for token in (signing.make("confirm", delivery.pk), signing.make("unsubscribe", delivery.pk + 1)):
        assert stranger.post(f"/u/{token}").status_code == 404
    assert stranger.post(f"/u/{signing.make('unsubscribe', 2**70)}").status_code == 404
    assert stranger.post(f"/u/{signing.make('unsubscribe', delivery.pk, 1)}").status_code == 404
    assert bob().state == "active"


def test_it_leaves_no_trace_of_the_link(stranger: Client, path: str) -> None:
    for answer in (
        stranger.get(path),
        stranger.get("/u/broken"),
        stranger.post(path),
        stranger.post(path, ONE_CLICK, content_type=FORM),
    ):
        assert answer["Cache-Control"] == "no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert "noindex" in answer["X-Robots-Tag"]


def test_a_broadcast_has_such_a_link_and_comes_from_the_account(stranger: Client, delivery: Delivery) -> None:
    row = make_broadcast(bob(), status="sent", sent_at=MONDAY_9, ended_at=MONDAY_9)
    path = f"/u/{signing.make('unsubscribe', row.pk)}"
    page = stranger.get(path).content.decode()
    assert "b•••@example.org" in page
    assert row.account.sending_addresses.get(is_default=True).email_address in page
    stranger.post(path, ONE_CLICK, content_type=FORM)
    assert bob().state == "cancelled"
    assert Event.objects.get(type="subscriber.unsubscribed").subject_id == row.pk


def test_a_notice_has_none(stranger: Client, delivery: Delivery) -> None:
    row = notices.confirmation(make_subscriber(delivery.account, state="inactive").pk, MONDAY_9)
    path = f"/u/{signing.make('unsubscribe', row.pk)}"
    assert [stranger.get(path).status_code, stranger.post(path).status_code] == [404, 404]
