"""What each role may do. The pages come from web/urls.py, so a new one is tried as soon as it exists."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from dripstone.accounts import members
from dripstone.accounts.models import Account, Membership, User
from tests.factories import MONDAY_9, make_account
from tests.web.conftest import Settled, signed_in
from tests.web.routes import PAGES

# Who may open a page is said by frame.member, .owner or .own. These are open to whoever comes.
OPEN = {
    "sign_in": "who is signed in goes on from here",
    "sign_out": "ends a session, whosever it is",
    "no_account": "for those who are in none",
    "authorization": "where apps send people: it asks them to sign in, and comes back",
    "authorization_as_kit_has_it": "the same",
    "unsubscribe": "the link in an email: its signed token is the permission",
    "resubscription": "the link in an email: its signed token is the permission",
    "picture": "whoever gets an email must be able to load its pictures: what they are called is the permission",
    "confirm": "the link in an email: its signed token is the permission",
    "form_page": "whoever visits a site with the form may fill it in",
    "form_thanks": "whoever has filled it in",
    "form_script": "whoever visits a site with the form must be able to load it",
    "verification": "the link in a mail: its signed token is the permission",
    "first": "the link that the server prints: its signed token is the permission",
    "invitation": "the link in a mail: its signed token is the permission",
    "new_password": "the link in a mail: its token is the permission",
    "new_address": "the link in a mail: its token is the permission",
    "forgotten": "for those who cannot sign in",
    "sign_up": "for those who have no user yet",
}
# What is one's own, and nobody else's: a viewer changes it like anybody.
OWN = {
    "consent_revocation",
    "choosing",
    "people_columns",
    "settings_you",
    "settings_email_address",
    "leaving",
    "sessions_ending",
    "session_ending",
}


@pytest.fixture
def account(settled: Settled, db: None) -> Account:
    return settled.account


@pytest.fixture
def alice(settled: Settled, db: None, client: Client) -> Client:
    return signed_in(settled.owner, client)


def path_of(route: str, ids: dict[str, Any]) -> str:
    return re.sub(r"(\w+)/<[^>]+>", lambda found: f"{found[1]}/{ids[found[1]]}", f"/{route}")


def access_of(route: str) -> str:
    view: Any = resolve(re.sub(r"<int:[^>]+>", "1", re.sub(r"<str:[^>]+>", "x", f"/{route}"))).func
    return str(getattr(view, "access", "open"))


ACCESS = {name: access_of(route) for name, route in PAGES}
ROUTES = dict(PAGES)


def having(access: str) -> list[str]:
    return [name for name, one in ACCESS.items() if one == access]


def test_every_page_says_who_may_open_it() -> None:
    assert set(having("open")) == set(OPEN)
    assert set(having("own")) == OWN


@pytest.mark.parametrize("name", having("member"))
def test_a_viewer_changes_nothing(name: str, viewer: Client, settled: Settled) -> None:
    path = path_of(ROUTES[name], settled.ids)
    assert viewer.delete(path).status_code in {403, 405}
    assert viewer.post(path).status_code in {403, 405}  # 405: nobody can
    assert viewer.get(path).status_code in {200, 302, 404, 405}


@pytest.mark.parametrize("name", having("member"))
def test_what_a_viewer_may_not_do_is_said(name: str, viewer: Client, editor: Client, settled: Settled) -> None:
    path = path_of(ROUTES[name], settled.ids)
    refused = viewer.post(path)
    assert (refused.status_code == 405) == (editor.post(path).status_code == 405)
    assert refused.status_code == 405 or "You are a viewer in" in refused.content.decode()


@pytest.mark.parametrize("name", having("member"))
def test_an_editor_may_open_every_page_of_work(name: str, editor: Client, settled: Settled) -> None:
    path = path_of(ROUTES[name], settled.ids)
    assert 403 not in {editor.get(path).status_code, editor.post(path).status_code}


@pytest.mark.parametrize("name", having("owner"))
def test_pages_of_owners_are_for_owners(
    name: str, alice: Client, editor: Client, viewer: Client, settled: Settled
) -> None:
    path = path_of(ROUTES[name], settled.ids)
    for browser in (editor, viewer):
        assert 403 in {browser.get(path).status_code, browser.post(path).status_code} <= {403, 405}
    assert alice.get(path).status_code in {200, 302, 405}


def test_it_says_which_role_one_has_and_who_can_change_it(alice: Client, viewer: Client) -> None:
    answer = viewer.post("/inbox/emptying")
    page = answer.content.decode()
    assert "You are a viewer in Alice." in page
    assert "A viewer may look at everything and change nothing." in page
    assert "alice@example.com" in page


def test_it_says_the_same_in_a_part_of_a_page(alice: Client, viewer: Client) -> None:
    answer = viewer.post("/inbox/emptying", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Retarget"]) == (403, "#notices")
    assert "You are a viewer in Alice" in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_a_role_holds_from_the_next_request_on(alice: Client, viewer: Client, account: Account) -> None:
    Membership.objects.filter(user__email="viewer@example.com").update(role="editor")
    assert viewer.post("/inbox/emptying").status_code == 302
    Membership.objects.filter(user__email="viewer@example.com").delete()
    assert viewer.get("/")["Location"] == "/accounts/none"
    assert "You are in no account" in viewer.get("/accounts/none").content.decode()


# --- Several accounts -----------------------------------------------------------------------------------------------


@pytest.fixture
def club(alice: Client) -> Account:
    club = make_account("The Club")
    members.join(club, User.objects.get(email="alice@example.com"), "viewer", MONDAY_9)
    return club


def test_with_one_account_there_is_nothing_to_choose(alice: Client) -> None:
    assert "/choosing" not in alice.get("/").content.decode()


def test_with_several_one_chooses_and_stays_there(alice: Client, account: Account, club: Account) -> None:
    assert "The Club" in alice.get("/inbox").content.decode()
    assert alice.post(f"/accounts/{club.pk}/choosing")["Location"] == "/"
    assert alice.get("/").context["account"] == club
    assert alice.get("/inbox").context["account"] == club
    assert alice.post("/inbox/emptying").status_code == 403
    alice.post(f"/accounts/{account.pk}/choosing")
    assert alice.get("/").context["account"] == account


def test_a_form_of_the_account_before_is_refused(alice: Client, club: Account) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = alice.cookies
    token = careful.get("/inbox/emptying").context["csrf_token"]
    assert careful.post(f"/accounts/{club.pk}/choosing", {"csrfmiddlewaretoken": str(token)}).status_code == 302
    assert careful.post("/inbox/emptying", {"csrfmiddlewaretoken": str(token)}).status_code == 403
    part = careful.post("/inbox/emptying", headers={"HX-Request": "true", "X-CSRFToken": str(token)})
    assert (part.status_code, part["HX-Retarget"]) == (403, "#notices")
    assert "Nothing was changed" in part.content.decode()


def test_somebody_elses_account_cannot_be_chosen(mallory: Client, account: Account) -> None:
    assert mallory.post(f"/accounts/{account.pk}/choosing").status_code == 404
    assert mallory.get("/").context["account"] != account


def test_whoever_is_in_no_account_can_only_sign_out(client: Client, alice: Client) -> None:
    assert alice.get("/accounts/none")["Location"] == "/"
    assert Client().get("/accounts/none")["Location"] == "/sign-in"
