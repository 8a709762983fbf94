"""/search: everything by its name, and nothing of another account."""

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.content import snippets, templates
from dripstone.sequences.models import Sequence, SequenceEmail
from tests import owned
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber

PART = {"HX-Request": "true", "HX-Target": "hits"}


@pytest.fixture
def caves(account: Account) -> Sequence:
    return make_sequence(
        account, {"subject": "Hello {{ subscriber.first_name }}, caves"}, {"subject": "Limestone"}, name="Caves & co"
    )


def titles(browser: Client, typed: str) -> dict[str, list[str]]:
    """Group → titles."""
    groups = browser.get("/search", {"q": typed}).context["groups"]
    return {group.name: ["".join(piece.text for piece in hit.title) for hit in group.hits] for group in groups}


def test_it_finds_things_of_every_kind_by_the_beginning_of_their_words(
    alice: Client, account: Account, caves: Sequence
) -> None:
    text = {"name": "My cave", "snippet_type": "inline", "content": "x"}
    snippets.create(account.pk, text, MONDAY_9)
    templates.create(account.pk, {"name": "Cavern", "html": "{{ message_content }}"}, MONDAY_9)
    found = titles(alice, "CAVE")
    assert found["Sequences"] == ["Caves & co"]
    assert found["Emails"] == ["Hello [first name], caves"]
    assert found["Snippets"] == ["My cave"]
    assert found["Templates"] == ["Cavern"]
    assert titles(alice, "ave") == {}


def test_several_words_must_all_be_there(alice: Client, caves: Sequence) -> None:
    assert titles(alice, "caves hel")["Emails"] == ["Hello [first name], caves"]
    assert titles(alice, "caves lime") == {}


def test_a_hit_leads_to_its_page(alice: Client, caves: Sequence) -> None:
    page = alice.get("/search", {"q": "lime"}).content.decode()
    email = caves.emails.get(position=1)
    assert f'href="/sequences/{caves.pk}/emails/{email.pk}"' in page
    assert "<mark>Lime</mark>stone" in page


def test_what_is_gone_is_not_found(alice: Client, caves: Sequence) -> None:
    SequenceEmail.objects.filter(position=1).update(deleted_at=MONDAY_9)
    assert titles(alice, "lime") == {}
    Sequence.objects.update(deleted_at=MONDAY_9)
    assert titles(alice, "caves") == {}


def test_the_list_at_the_head_is_a_part_with_fewer_of_each(alice: Client, account: Account) -> None:
    for number in range(7):
        make_sequence(account, name=f"Caves {number}")
    part = alice.get("/search", {"q": "caves"}, headers=PART).content.decode()
    assert "<html" not in part
    assert part.count('role="option"') == 5 + 1, "and the way to all of them"
    assert 'href="/search?q=caves"' in part
    assert "5 results and more" in part
    assert len(titles(alice, "caves")["Sequences"]) == 7


def test_it_says_that_it_found_nothing(alice: Client) -> None:
    assert "Nothing begins with “zz”." in alice.get("/search", {"q": "zz"}, headers=PART).content.decode()
    assert "Nothing begins with “zz”" in alice.get("/search?q=zz").content.decode()
    assert alice.get("/search", {"q": " "}, headers=PART).content.decode().count('role="option"') == 0


@pytest.mark.parametrize(
    "typed", ["%", "_", "\0", "'; --", "<script>", "é" * 500, "a " * 300, "\\", "{{ x }}", "😀", "&amp;"]
)
def test_it_takes_any_text(alice: Client, caves: Sequence, typed: str) -> None:
    for headers in ({}, PART):
        answer = alice.get("/search", {"q": typed}, headers=headers)
        assert answer.status_code == 200
        assert "<script>" not in answer.content.decode()


def test_nobody_finds_what_another_account_has(alice: Client, account: Account) -> None:
    other = make_account("Mallory")
    owned.one_of_each(other)
    make_subscriber(other, first_name="Zed", email_address="zed@example.org")
    for typed in ("a", "b", "c", "course", "email", "everybody", "sign", "tag", "zed", "rita", "reader"):
        assert titles(alice, typed) == {}, typed


def test_every_page_has_the_field(alice: Client, account: Account) -> None:
    for path in ("/", "/inbox", "/settings", "/search"):
        assert 'role="combobox"' in alice.get(path).content.decode()
