"""What happened in an account, on its page and by API."""

import re
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.events import causes, types
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag
from dripstone.web import paging
from dripstone.web.pages import activity
from tests.factories import MONDAY_9, make_account, make_subscriber, make_tag

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, email_address="noor@example.org")


@pytest.fixture
def vip(account: Account) -> Tag:
    return make_tag(account, name="VIP")


def shown(alice: Client, query: str = "") -> str:
    answer = alice.get(f"/activity{query}")
    assert answer.status_code == 200
    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def older(alice: Client, query: str) -> str:
    """The query of the next page."""
    found = re.search(r'rel="next" href="([^"]+)"', alice.get(f"/activity{query}").content.decode())
    return found[1].replace("&amp;", "&") if found else ""


def test_it_tells_what_happened_to_whom_and_by_what(alice: Client, noor: Subscriber, vip: Tag) -> None:
    stranger = make_account("Bob")
    tags.add(make_tag(stranger, name="Theirs"), make_subscriber(stranger), MONDAY_9, cause=causes.API)
    tags.add(vip, noor, MONDAY_9, cause=("api", "rule 7"))
    tags.remove(vip, noor, MONDAY_9, cause=causes.quietly(causes.OWNER))
    page = shown(alice)
    assert "Got the tag “VIP”, by the rule 7, by API noor@example.org" in page
    assert "Lost the tag “VIP”, by hand (rules were told not to fire) noor@example.org" in page
    assert page.index("Lost the tag") < page.index("Got the tag")
    assert "Theirs" not in page


@pytest.mark.parametrize(
    ("query", "n_lost", "n_got"),
    [
        (f"?kind={types.TAG_ADDED}", 0, 1),
        ("?cause=rule", 0, 1),
        ("?cause=rule+7", 0, 1),
        ("?cause=rule+70", 0, 0),
        ("?cause=owner", 1, 0),
        ("?cause=time", 0, 0),
        (f"?kind={types.TAG_REMOVED}&cause=api", 0, 0),
        ("?kind=nonsense&cause=nonsense", 1, 1),
    ],
)
def test_it_is_filtered_by_kind_and_cause(
    alice: Client, noor: Subscriber, vip: Tag, query: str, n_lost: int, n_got: int
) -> None:
    tags.add(vip, noor, MONDAY_9, cause=("api", "rule 7"))
    tags.remove(vip, noor, MONDAY_9, cause=causes.OWNER)
    page = shown(alice, query)
    assert (page.count("Lost the tag"), page.count("Got the tag")) == (n_lost, n_got)


def test_a_filter_looks_at_so_many_events_and_goes_on_with_the_next_page(
    alice: Client, noor: Subscriber, vip: Tag, monkeypatch: Any
) -> None:
    monkeypatch.setattr(activity, "LOOKED_AT", 3)
    tags.add(vip, noor, MONDAY_9, cause=("api", "rule 7"))
    for _ in range(3):
        tags.remove(vip, noor, MONDAY_9, cause=causes.OWNER)
        tags.add(vip, noor, MONDAY_9, cause=causes.OWNER)
    query, pages = "?cause=rule", []
    while query:
        pages.append(shown(alice, query))
        query = older(alice, query)
    assert [page.count("by the rule 7") for page in pages] == [0, 0, 1]
    assert "Older looks on" in pages[0].replace("  ", " ")
    assert "looks on" not in pages[-1]


def test_pages_repeat_and_hide_nothing(alice: Client, noor: Subscriber, vip: Tag, monkeypatch: Any) -> None:
    monkeypatch.setattr(paging, "PER_PAGE", 2)
    for _ in range(3):
        tags.add(vip, noor, MONDAY_9, cause=causes.OWNER)
        tags.remove(vip, noor, MONDAY_9, cause=causes.OWNER)
    query, n = f"?kind={types.TAG_ADDED}", 0
    while query:
        n += shown(alice, query).count("Got the tag")
        query = older(alice, query)
    assert n == 3
