"""Apps on pages: asked for access, made, given another secret, deleted; access revoked."""

import re
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts import members
from dripstone.accounts.models import Account, User
from dripstone.oauth import tokens
from dripstone.oauth.models import Application, Consent
from tests.factories import MONDAY_9, make_account, make_app, make_user
from tests.oauth.flow import App

CALLBACK = "https://shop.example/callback"


@pytest.fixture
def user(alice: Client) -> User:
    return User.objects.get(email="alice@example.com")


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- Being asked --------------------------------------------------------------------------------------------------


def test_the_page_says_who_asks_for_what_and_where_one_is_sent(alice: Client, account: Account) -> None:
    page = text_of(alice.get(App(account).address()))
    for part in ("Allow Shop to work in your account?", "The app was made by Alice", "See everything",
                 "Change everything", "https://shop.example", "alice@example.com"):  # fmt: skip
        assert part in page
    assert "Change everything" not in text_of(alice.get(App(account).address(scope="read")))


def test_who_is_in_several_chooses(alice: Client, account: Account, user: User) -> None:
    club = make_account("Club")
    members.join(club, user, "viewer", MONDAY_9)
    app = App(account)
    page = alice.get(app.address())
    assert "In which account?" in text_of(page)
    assert "so the app can only look" in text_of(page)
    assert re.findall(r'value="(\d+)" checked', page.content.decode()) == [str(account.pk)]
    alice.post(f"/accounts/{club.pk}/choosing")
    assert re.findall(r'value="(\d+)" checked', alice.get(app.address()).content.decode()) == [str(club.pk)]
    refused = alice.post(app.address(), {"allow": "1"})
    assert (refused.status_code, "Choose an account." in text_of(refused)) == (422, True)


def test_who_is_signed_out_signs_in_and_comes_back(account: Account, client: Client) -> None:
    make_user(account, "bob@example.com")
    app = App(account)
    sent = client.get(app.address())
    assert sent["Location"].startswith("/sign-in?next=")
    page = client.get(sent["Location"]).content.decode()
    wanted = re.search(r'name="next" value="([^"]+)"', page)
    assert wanted is not None
    back = wanted[1].replace("&amp;", "&")
    signed_in = client.post("/sign-in", {"email": "bob@example.com", "password": "correct horse battery", "next": back})
    assert signed_in["Location"] == app.address()
    assert "Allow" in text_of(client.get(signed_in["Location"]))


def test_a_wrong_request_is_told_before_anybody_signs_in(account: Account, client: Client) -> None:
    answer = client.get(App(account).address(redirect_uri="https://evil.example/"))
    assert answer.status_code == 400
    assert "Location" not in answer


def test_who_is_in_no_account_has_none_to_offer(account: Account, alice: Client, user: User) -> None:
    user.memberships.all().delete()
    assert alice.get(App(account).address())["Location"] == "/accounts/none"


def test_the_browser_may_follow_to_the_app_and_on_from_there(alice: Client, account: Account) -> None:
    policy = alice.get(App(account).address())["Content-Security-Policy"]
    assert "form-action 'self' https: https:;" in policy
    assert "frame-ancestors 'none'" in policy


def test_names_of_apps_are_text(alice: Client, account: Account) -> None:
    app = App(account)
    Application.objects.update(name="<b>Bank</b>")
    assert b"<b>Bank" not in alice.get(app.address()).content


# --- Settings -----------------------------------------------------------------------------------------------------


def make(browser: Client, **changes: str) -> Any:
    given = {"name": "Shop", "redirect_uris": f"{CALLBACK}\nhttp://localhost:3000/cb", "client_type": "confidential"}
    return browser.post("/settings/apps", given | changes)


def test_an_app_is_made_and_its_secret_shown_once(alice: Client, user: User) -> None:
    made = make(alice)
    row = Application.objects.get()
    assert made["Location"] == f"/settings/apps/{row.pk}"
    page = text_of(alice.get(made["Location"]))
    secret = re.search(r"ocs_\S{43}", page)
    assert secret is not None
    assert (row.user, row.secret_hint, row.redirect_uris) == (
        user,
        secret[0][-4:],
        f"{CALLBACK} http://localhost:3000/cb",
    )
    assert row.client_id in page
    assert secret[0] not in text_of(alice.get(made["Location"]))


def test_a_public_app_has_no_secret(alice: Client) -> None:
    made = make(alice, client_type="public", redirect_uris="com.example.shop:/callback")
    page = text_of(alice.get(made["Location"]))
    assert "It has no secret" in page
    assert "ocs_" not in page
    assert alice.get(f"{made['Location']}/secret").status_code == 404


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": " "}, "Name can&#x27;t be blank"),
        ({"redirect_uris": ""}, "Redirect URIs can&#x27;t be blank"),
        ({"redirect_uris": "http://shop.example/"}, "http://shop.example/ must begin with https://"),
        ({"client_type": "other"}, "must be one of: confidential, public"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(alice: Client, changes: dict[str, str], sentence: str) -> None:
    refused = make(alice, **changes)
    assert refused.status_code == 422
    assert sentence in refused.content.decode()
    assert not Application.objects.exists()


def test_an_app_is_changed(alice: Client, account: Account) -> None:
    row = make_app(account)
    given = {"name": "Boutique", "redirect_uris": "https://boutique.example/cb"}
    assert alice.post(f"/settings/apps/{row.pk}", given).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.redirect_uris) == ("Boutique", "https://boutique.example/cb")
    refused = alice.post(f"/settings/apps/{row.pk}", {"name": "", "redirect_uris": "nonsense"})
    assert refused.status_code == 422
    row.refresh_from_db()
    assert row.name == "Boutique"


def test_another_secret_is_asked_about_first(alice: Client, account: Account) -> None:
    row = make_app(account)
    path = f"/settings/apps/{row.pk}/secret"
    assert "stops working at once" in text_of(alice.get(path))
    assert Application.objects.get().client_secret == row.client_secret
    page = text_of(alice.post(path, follow=True))
    assert re.search(r"ocs_\S{43}", page)
    assert Application.objects.get().client_secret != row.client_secret


def test_a_deletion_says_what_ends(alice: Client, account: Account, user: User) -> None:
    row = make_app(account)
    path = f"/settings/apps/{row.pk}/deletion"
    assert "nothing ends with it" in text_of(alice.get(path))
    tokens.give_out(account, user.email, row, "public", MONDAY_9)
    assert "allowed 1 time, in this account and others: that access ends at once" in text_of(alice.get(path))
    alice.post(path)
    assert not Application.objects.exists()
    assert not Consent.objects.exists()


def test_an_owner_sees_and_revokes_what_others_allowed(alice: Client, account: Account) -> None:
    helper = make_user(account, "helper@example.com", role="viewer")
    tokens.give_out(account, helper.email, make_app(make_account("Studio"), name="Planner"), "public", MONDAY_9)
    page = text_of(alice.get("/settings/apps"))
    for part in ("Planner", "made by Studio", "helper@example.com", "Read "):
        assert part in page
    consent = Consent.objects.get()
    path = f"/settings/consents/{consent.pk}/revocation"
    assert "since helper@example.com allowed it" in text_of(alice.get(path))
    assert alice.post(path)["Location"] == "/settings/apps"
    page = text_of(alice.get("/settings/apps"))
    assert "No app has access" in page
    assert "Revoked by a member" in page
    assert alice.post(path).status_code == 404


def test_everybody_sees_and_revokes_what_they_allowed(viewer: Client, alice: Client, account: Account) -> None:
    app = make_app(account)
    tokens.give_out(account, "viewer@example.com", app, "public", MONDAY_9)
    mine = Consent.objects.get()
    tokens.give_out(account, "alice@example.com", app, "public", MONDAY_9)
    theirs = Consent.objects.exclude(pk=mine.pk).get()
    assert "Apps you allowed" in text_of(viewer.get("/settings/you"))
    assert viewer.get(f"/settings/consents/{theirs.pk}/revocation").status_code == 404
    assert viewer.post(f"/settings/consents/{theirs.pk}/revocation").status_code == 404
    assert viewer.post(f"/settings/consents/{mine.pk}/revocation")["Location"] == "/settings/you"
    assert "Apps you allowed" not in text_of(viewer.get("/settings/you"))


def test_an_account_has_so_many_apps(alice: Client, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dripstone.oauth.applications.MOST", 1)
    make_app(account)
    assert "more than 1 apps" in make(alice).content.decode()
