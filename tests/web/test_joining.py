"""How people get in: the first owner, invitations, signing up where everybody may."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts import invitations, members, sign_in, verbs
from dripstone.accounts.models import Account, Invitation, Membership, User
from dripstone.engine.models import Notice
from tests.factories import make_account, make_user
from tests.racing import together
from tests.web.letters import link_in, sent

PASSWORD = "correct horse battery"
FIRST = {"name": "Plain Letter", "email_address": "Ann@Example.com", "time_zone": "Europe/Paris", "password": PASSWORD}


def path_of(link: str) -> str:
    return "/" + link.split("/", 3)[3]


def invited(account: Account, email: str = "new@example.com", role: str = "editor") -> Invitation:
    given = {"email_address": email, "role": role}
    return invitations.invite(account, given, None, clock.system_now())


def path_to(invitation: Invitation) -> str:
    return path_of(invitations.link(invitation))


# --- The first owner --------------------------------------------------------------------------------------------------


def test_the_printed_link_makes_the_first_owner_and_signs_them_in(client: Client, db: None) -> None:
    path = path_of(verbs.first_link())
    assert "Make its first account" in client.get(path).content.decode()
    assert client.post(path, FIRST)["Location"] == "/"
    member = Membership.objects.get()
    assert (member.user.email, member.role, member.account.time_zone) == ("ann@example.com", "owner", "Europe/Paris")
    assert client.get("/").context["account"] == member.account
    assert not member.account.api_keys.exists()


def test_the_printed_link_works_once(client: Client, db: None) -> None:
    path = path_of(verbs.first_link())
    client.post(path, FIRST)
    assert Client().get(path).status_code == 404
    assert Client().post(path, FIRST | {"email_address": "eve@example.com"}).status_code == 404
    assert User.objects.count() == 1


def test_signing_in_to_an_empty_server_says_where_the_link_is(client: Client, db: None) -> None:
    assert "no user yet" in client.get("/sign-in").content.decode()
    client.post(path_of(verbs.first_link()), FIRST)
    assert "no user yet" not in Client().get("/sign-in").content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_the_printed_link_at_once_one_is_first() -> None:
    path, addresses = path_of(verbs.first_link()), [f"user{number}@example.com" for number in range(4)]
    answers = together(lambda: Client().post(path, FIRST | {"email_address": addresses.pop()}).status_code, times=4)
    assert sorted(answers) == [302, 404, 404, 404]
    assert User.objects.count() == Account.objects.count() == 1


@pytest.mark.parametrize("token", ["x", "AAAA", "0.x"])
def test_another_link_makes_no_first_owner(client: Client, db: None, token: str) -> None:
    assert client.post(f"/first/{token}", FIRST).status_code == 404
    assert not User.objects.exists()


def test_what_is_wrong_is_said_and_what_was_typed_stays(client: Client, db: None) -> None:
    typed = FIRST | {"password": "short", "time_zone": "Nowhere"}
    answer = client.post(path_of(verbs.first_link()), typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "too short" in page
    assert "must be an IANA time zone" in page
    assert "Plain Letter" in page
    assert not User.objects.exists()


# --- Invitations ------------------------------------------------------------------------------------------------------


def test_an_owner_invites_somebody_by_mail(alice: Client, account: Account, mail_server: None) -> None:
    answer = alice.post("/settings/members", {"email_address": "New@Example.com", "role": "viewer"}, follow=True)
    assert "new@example.com is invited" in answer.content.decode()
    [message] = sent()
    assert (message["To"], message["From"]) == ("new@example.com", "Our server <accounts@example.com>")
    assert message["Subject"] == "Invitation to Alice"
    assert message["List-Unsubscribe"] is None
    page = Client().get(link_in(message)).content.decode()
    assert "Join Alice" in page
    assert "as a viewer" in page


def test_an_invitation_makes_a_user_and_lets_them_in(client: Client, account: Account) -> None:
    answer = client.post(path_to(invited(account)), {"password": PASSWORD})
    assert answer["Location"] == "/"
    assert [(one.account, one.role) for one in members.of_user(User.objects.get())] == [(account, "editor")]
    assert "Welcome to Alice" in client.get("/").content.decode()
    assert Client().post("/sign-in", {"email": "new@example.com", "password": PASSWORD}).status_code == 302


def test_an_invitation_works_once(client: Client, account: Account) -> None:
    path = path_to(invited(account))
    client.post(path, {"password": PASSWORD})
    answer = Client().post(path, {"password": PASSWORD + "2"})
    assert answer.status_code == 404
    assert "does not work any more" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_invitation_pressed_twice_at_once_makes_one_user() -> None:
    path = path_to(invited(make_account()))

    def press() -> str:
        """Where it leads. Whoever comes when the user is there already is sent to the page again, which has gone."""
        browser = Client()
        answer = browser.post(path, {"password": PASSWORD})
        if answer.status_code == 302 and answer["Location"] == "/":
            return "inside"
        return str((browser.get(path) if answer.status_code == 302 else answer).status_code)

    assert sorted(together(press, times=4)) == ["404", "404", "404", "inside"]
    assert Membership.objects.count() == User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_signing_up_and_an_invitation_at_once_make_one_user_of_the_address() -> None:
    """And whoever is second is told to sign in."""
    now = clock.system_now()
    signing_up = invitations.to_sign_up("new@example.com", now)
    paths = [path_to(signing_up), path_to(invited(make_account())), path_to(invited(make_account()))]
    taking = iter(paths)
    given = {"name": "Mine", "time_zone": "UTC", "password": PASSWORD}

    def accept() -> str:
        """Where it leads: inside, or to the page that says why not (at once, or by way of itself)."""
        path = next(taking)
        browser = Client()
        answer = browser.post(path, given)
        if answer.status_code == 302 and answer["Location"] == "/":
            return "inside"
        page = browser.get(path) if answer.status_code == 302 else answer
        assert "has a user here already. Sign in to accept." in page.content.decode()
        return "outside"

    assert sorted(together(accept, times=len(paths))) == ["inside", "outside", "outside"]
    assert User.objects.count() == Membership.objects.count() == 1
    assert Invitation.objects.filter(accepted_at=None).count() == 2, "their invitations are still theirs to accept"


def test_looking_at_an_invitation_accepts_nothing(client: Client, account: Account) -> None:
    invitation = invited(account)
    assert client.get(path_to(invitation)).status_code == client.head(path_to(invitation)).status_code == 200
    invitation.refresh_from_db()
    assert invitation.accepted_at is None


def test_a_withdrawn_invitation_opens_nothing(alice: Client, account: Account) -> None:
    invitation = invited(account)
    assert alice.post(f"/settings/invitations/{invitation.pk}/withdrawal").status_code == 302
    assert Client().post(path_to(invitation), {"password": PASSWORD}).status_code == 404
    assert alice.post(f"/settings/invitations/{invitation.pk}/withdrawal").status_code == 404


def test_an_expired_invitation_opens_nothing(client: Client, account: Account) -> None:
    invitation = invited(account)
    Invitation.objects.update(expires_at=clock.system_now() - timedelta(seconds=1))
    assert client.post(path_to(invitation), {"password": PASSWORD}).status_code == 404


def test_only_the_newest_invitation_of_an_address_works(client: Client, account: Account) -> None:
    first, second = invited(account), invited(account, role="viewer")
    assert client.get(path_to(first)).status_code == 404
    assert client.get(path_to(second)).status_code == 200


def test_who_has_a_user_signs_in_and_accepts(client: Client, account: Account) -> None:
    bob = make_user(make_account("Bob"), "new@example.com", PASSWORD)
    path = path_to(invited(account))
    assert f"/sign-in?next={path}" in client.get(path).content.decode()
    assert client.post(path, {"password": "another password"})["Location"] == path
    assert bob.memberships.count() == 1
    client.post("/sign-in", {"email": "new@example.com", "password": PASSWORD})
    assert client.post(path)["Location"] == "/"
    assert bob.memberships.count() == 2
    assert client.get("/").context["account"] == account


def test_an_invitation_is_for_one_address(mallory: Client, account: Account) -> None:
    path = path_to(invited(account))
    assert "you are signed in as" in mallory.get(path).content.decode()
    mallory.post(path, {"password": PASSWORD})
    assert not account.memberships.exists()


def test_a_guessed_password_is_refused_and_the_invitation_stays(client: Client, account: Account) -> None:
    path = path_to(invited(account))
    assert client.post(path, {"password": "short"}).status_code == 422
    assert client.post(path, {"password": PASSWORD}).status_code == 302


def test_no_other_site_accepts_for_somebody(account: Account) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(path_to(invited(account)), {"password": PASSWORD}).status_code == 403
    assert strict.post("/sign-up", {"email_address": "a@example.com"}).status_code == 403
    assert strict.post("/passwords/forgotten", {"email_address": "a@example.com"}).status_code == 403


def test_a_member_is_not_invited_again(alice: Client, account: Account, mail_server: None) -> None:
    answer = alice.post("/settings/members", {"email_address": "alice@example.com", "role": "viewer"})
    assert answer.status_code == 422
    assert "They are a member already" in answer.content.decode()
    assert not Notice.objects.exists()


def test_without_a_mail_server_it_names_the_command(alice: Client, account: Account) -> None:
    page = alice.get("/settings/members").content.decode()
    assert "No mail server is set" in page
    assert f"dripstone users invite bob@example.com --account {account.pk} --role editor" in page
    assert alice.post("/settings/members", {"email_address": "a@example.com", "role": "viewer"}).status_code == 422
    assert not Invitation.objects.exists()


# --- Signing up -------------------------------------------------------------------------------------------------------


def test_nobody_signs_up_unless_everybody_may(client: Client, db: None, mail_server: None) -> None:
    assert "by invitation" in client.get("/sign-up").content.decode()
    client.post("/sign-up", {"email_address": "new@example.com"})
    assert not Invitation.objects.exists()
    assert "/sign-up" not in client.get("/sign-in").content.decode()


def test_where_everybody_may_one_signs_up_by_mail(client: Client, db: None, mail_server: None, settings: Any) -> None:
    settings.DRIPSTONE_SIGN_UP = "open"
    assert "/sign-up" in client.get("/sign-in").content.decode()
    assert "mailbox" in client.post("/sign-up", {"email_address": "New@Example.com"}).content.decode()
    path = link_in(sent()[0])
    given = {"name": "Mine", "time_zone": "Asia/Tokyo", "password": PASSWORD}
    assert client.post(path, given)["Location"] == "/"
    member = Membership.objects.get()
    assert (member.user.email, member.role, member.account.name) == ("new@example.com", "owner", "Mine")


def test_asking_again_fills_nobodys_mailbox(client: Client, mail_server: None, settings: Any, db: None) -> None:
    settings.DRIPSTONE_SIGN_UP = "open"
    for _ in range(5):
        assert client.post("/sign-up", {"email_address": "bob@example.com"}).status_code == 200
    assert len(sent()) == sign_in.ASKS_FOR_ADDRESS


def test_without_a_mail_server_signing_up_names_the_command(client: Client, db: None, settings: Any) -> None:
    settings.DRIPSTONE_SIGN_UP = "open"
    assert "dripstone accounts create" in client.get("/sign-up").content.decode()
