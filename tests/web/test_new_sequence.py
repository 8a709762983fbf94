"""A new sequence: its name, and what it begins with."""

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.sequences.models import Sequence


@pytest.mark.parametrize(("starter", "n_drafts"), [("course", 5), ("welcome", 3), ("evergreen", 4), ("empty", 0)])
def test_it_makes_a_sequence_with_drafts_to_rewrite(
    alice: Client, account: Account, starter: str, n_drafts: int
) -> None:
    answer = alice.post("/sequences/new", {"name": "Mine", "starter": starter})
    made = Sequence.objects.get(account=account)
    assert answer["Location"] == f"/sequences/{made.pk}"
    assert (made.name, made.emails.count(), made.emails.filter(published=True).count()) == ("Mine", n_drafts, 0)


def test_a_link_has_chosen_already(alice: Client) -> None:
    page = alice.get("/sequences/new?starter=welcome").content.decode()
    assert 'value="welcome" checked' in page
    assert page.count(" checked") == 1


def test_what_is_refused_keeps_what_was_typed(alice: Client) -> None:
    answer = alice.post("/sequences/new", {"name": " ", "starter": "evergreen"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert '<a href="#f-name">Name can' in page
    assert 'value="evergreen" checked' in page
    assert not Sequence.objects.exists()


def test_an_unknown_starter_is_refused(alice: Client) -> None:
    assert alice.post("/sequences/new", {"name": "Mine", "starter": "novel"}).status_code == 422


def test_a_viewer_is_shown_no_way_to_it(viewer: Client) -> None:
    assert "/sequences/new" not in viewer.get("/").content.decode()
