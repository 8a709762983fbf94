"""Settings: the account, its sending addresses, members and API keys."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts import members, sending_addresses
from dripstone.accounts.models import Account, ApiKey, Membership, SendingAddress, User
from dripstone.accounts.verbs import account_for_key
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid
from tests.factories import MONDAY_9, make_account, make_sequence, make_user
from tests.web.letters import link_in, sent

GENERAL = {
    "name": "Plain Letter",
    "postal_address": "1 Long Lane\r\nSpringfield",
    "time_zone": "Europe/Paris",
    "send_hour": "7",
    "language": "fa",
    "direction": "rtl",
    "per_second": "20",
    "per_day": "",
}


def text(answer: Any) -> str:
    return str(answer.content.decode())


# --- The account ------------------------------------------------------------------------------------------------------


def test_an_account_is_changed(alice: Client, account: Account) -> None:
    assert "Saved." in text(alice.post("/settings", GENERAL, follow=True))
    account.refresh_from_db()
    assert (account.name, account.time_zone, account.send_hour) == ("Plain Letter", "Europe/Paris", 7)
    assert (account.language, account.direction) == ("fa", "rtl")
    assert (account.per_second, account.per_day) == (20, None)
    assert account.postal_address.split() == ["1", "Long", "Lane", "Springfield"]
    page = text(alice.get("/settings"))
    assert 'value="fa"' in page
    assert '<option value="rtl" selected>' in page


@pytest.mark.parametrize(
    ("member", "value", "sentence"),
    [
        ("name", " ", "Name can&#x27;t be blank"),
        ("time_zone", "Nowhere", "must be an IANA time zone"),
        ("send_hour", "24", "between 0 and 23"),
        ("language", 'de"><script>', "must be a language tag"),
        ("direction", "up", "must be one of: ltr, rtl"),
        ("per_second", "100001", "Per second must be an integer between 1 and 100000"),
        ("per_day", "-1", "or 0 for no limit"),
    ],
)
def test_a_wrong_value_is_said_and_changes_nothing(
    alice: Client, account: Account, member: str, value: str, sentence: str
) -> None:
    answer = alice.post("/settings", GENERAL | {member: value})
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert "Plain Letter" in text(answer) or member == "name"
    account.refresh_from_db()
    assert account.name == "Alice"


def test_a_limit_is_taken_away_by_emptying_its_field(alice: Client, account: Account) -> None:
    Account.objects.update(per_second=5, per_day=700)
    page = text(alice.get("/settings"))
    assert 'value="5"' in page
    assert 'value="700"' in page
    alice.post("/settings", GENERAL | {"per_second": "", "per_day": "0"})
    account.refresh_from_db()
    assert (account.per_second, account.per_day) == (None, None)


def test_a_missing_postal_address_is_pointed_out(alice: Client, account: Account) -> None:
    assert "no postal address yet" not in text(alice.get("/settings"))
    Account.objects.update(postal_address="")
    assert "no postal address yet" in text(alice.get("/settings"))


def test_a_zone_under_an_older_name_stays(alice: Client, account: Account) -> None:
    Account.objects.update(time_zone="US/Eastern")
    assert '<option value="US/Eastern" selected>' in text(alice.get("/settings"))


def test_the_foot_of_the_side_leads_to_what_one_may_open(alice: Client, editor: Client) -> None:
    assert 'href="/settings"' in text(alice.get("/"))
    page = text(editor.get("/settings/you"))
    assert 'href="/settings"' not in page
    assert 'href="/settings/you"' in page


# --- Sending addresses ------------------------------------------------------------------------------------------------


def added(alice: Client, email: str = "shop@example.com") -> SendingAddress:
    alice.post("/settings/addresses", {"email_address": email, "from_name": "The Shop"})
    return SendingAddress.objects.get(email_address=email)


def test_a_new_address_is_asked_by_mail_before_anything_goes_from_it(alice: Client, account: Account) -> None:
    row = added(alice)
    assert (row.is_verified, row.from_name) == (False, "The Shop")
    [message] = sent()
    assert (message["To"], message["From"]) == ("shop@example.com", f"Alice <{account.primary_email_address}>")
    assert Delivery.objects.get().account == account
    with pytest.raises(Invalid, match="not verified yet"):
        edits.create_sequence(account, {"name": "Course", "email_address": "shop@example.com"}, MONDAY_9)
    assert "Not verified" in text(alice.get("/settings/addresses"))


def test_the_link_in_the_mail_verifies_it(alice: Client, account: Account) -> None:
    added(alice)
    path, stranger = link_in(sent()[0]), Client()
    assert "May they send from your address?" in text(stranger.get(path))
    assert not SendingAddress.objects.get(email_address="shop@example.com").is_verified
    assert "The address is verified" in text(stranger.post(path, follow=True))
    edits.create_sequence(account, {"name": "Course", "email_address": "shop@example.com"}, MONDAY_9)
    assert list(sending_addresses.verified(account).values_list("email_address", flat=True))[1:] == ["shop@example.com"]


def test_only_the_newest_link_works_and_for_a_week(alice: Client, account: Account) -> None:
    row = added(alice)
    first = link_in(sent()[0])
    alice.post(f"/settings/addresses/{row.pk}/verification")
    assert len(sent()) == 1  # not again within five minutes
    SendingAddress.objects.filter(pk=row.pk).update(asked_at=clock.now() - timedelta(minutes=6))
    alice.post(f"/settings/addresses/{row.pk}/verification")
    second = link_in(sent()[1])
    assert (Client().get(first).status_code, Client().get(second).status_code) == (404, 200)
    SendingAddress.objects.filter(pk=row.pk).update(asked_at=clock.now() - sending_addresses.LASTS)
    assert Client().get(second).status_code == 404


@pytest.mark.parametrize("token", ["x", "AAAA", "1.x"])
def test_a_link_that_we_did_not_write_verifies_nothing(client: Client, db: None, token: str) -> None:
    assert client.post(f"/v/{token}").status_code == 404


def test_an_address_is_in_the_list_once(alice: Client, account: Account) -> None:
    added(alice)
    answer = alice.post("/settings/addresses", {"email_address": "Shop@Example.com"})
    assert answer.status_code == 422
    assert "is in the list already" in text(answer)
    assert account.sending_addresses.count() == 2


def test_a_verified_address_becomes_the_default(alice: Client, account: Account) -> None:
    row = added(alice)
    assert "Only a verified address" in text(alice.post(f"/settings/addresses/{row.pk}/default", follow=True))
    sending_addresses.verify(row)
    alice.post(f"/settings/addresses/{row.pk}/default")
    assert [one.email_address for one in account.sending_addresses.filter(is_default=True)] == ["shop@example.com"]


def test_a_from_name_is_changed(alice: Client, account: Account) -> None:
    row = added(alice)
    alice.post(f"/settings/addresses/{row.pk}", {"from_name": " Robin "})
    row.refresh_from_db()
    assert row.from_name == "Robin"
    assert alice.post(f"/settings/addresses/{row.pk}", {"from_name": "a\nBcc: x@example.com"}).status_code == 422


def test_an_address_that_sequences_use_stays_and_says_which(alice: Client, account: Account) -> None:
    row = added(alice)
    sequence = make_sequence(account, name="Caves", sending_address=row)
    page = text(alice.get(f"/settings/addresses/{row.pk}/removal"))
    assert f'href="/sequences/{sequence.pk}"' in page
    assert "Remove it" not in page
    assert "Sequences send from it: Caves" in text(alice.post(f"/settings/addresses/{row.pk}/removal", follow=True))
    sequence.deleted_at = MONDAY_9
    sequence.save()
    assert "is removed" in text(alice.post(f"/settings/addresses/{row.pk}/removal", follow=True))
    sequence.refresh_from_db()
    assert sequence.sending_address.is_default


def test_the_default_address_stays(alice: Client, account: Account) -> None:
    row = account.sending_addresses.get()
    assert "It is the default" in text(alice.get(f"/settings/addresses/{row.pk}/removal"))
    assert "The default address stays" in text(alice.post(f"/settings/addresses/{row.pk}/removal", follow=True))
    assert account.sending_addresses.exists()


def test_a_sequence_keeps_the_sender_it_has(account: Account) -> None:
    row = account.sending_addresses.get()
    sequence = make_sequence(account, sending_address=row)
    SendingAddress.objects.update(is_verified=False)
    edits.update_sequence(account, sequence.pk, {"email_address": row.email_address, "name": "Caves"}, MONDAY_9)


# --- Members ----------------------------------------------------------------------------------------------------------


def test_a_member_gets_another_role_and_is_removed(alice: Client, account: Account) -> None:
    member = make_user(account, "carol@example.com", role="viewer").memberships.get()
    answer = alice.post(f"/settings/members/{member.pk}/role", {"role": "editor"}, follow=True)
    assert "carol@example.com is now an editor." in text(answer)
    assert "Remove carol@example.com?" in text(alice.get(f"/settings/members/{member.pk}/removal"))
    alice.post(f"/settings/members/{member.pk}/removal")
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_the_last_owner_neither_goes_nor_becomes_less(alice: Client, account: Account) -> None:
    mine = account.memberships.get()
    for path, given in ((f"/settings/members/{mine.pk}/role", {"role": "viewer"}), ("/settings/you/leaving", {})):
        assert "An account needs an owner" in text(alice.post(path, given, follow=True))
    assert account.memberships.get().is_owner


def test_who_leaves_is_out(alice: Client, viewer: Client, account: Account) -> None:
    assert "Leave Alice?" in text(viewer.get("/settings/you/leaving"))
    assert "You are in no account" in text(viewer.post("/settings/you/leaving", follow=True))
    assert account.memberships.count() == 1


# --- API keys ---------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once(alice: Client, account: Account) -> None:
    made = alice.post("/settings/keys", {"name": "Our shop"})
    assert made["Location"] == "/settings/keys", "so that loading the page again makes no second one"
    answer = alice.get("/settings/keys")
    [key] = re.findall(r"<code>(kit_[0-9a-f]+)</code>", text(answer))
    assert account_for_key(key) == account
    assert answer["Cache-Control"] == "no-store"
    page = text(alice.get("/settings/keys"))
    assert key not in page
    assert f"ends in {key[-4:]}" in page
    assert "Our shop" in page
    assert "never" in page
    assert "made_key" not in alice.session


def test_a_key_is_shown_in_its_own_account_only(alice: Client, account: Account) -> None:
    """Its owner changes to another account between the two pages."""
    members.join(other := make_account("Other"), User.objects.get(email="alice@example.com"), "owner", MONDAY_9)
    alice.post("/settings/keys", {"name": "Our shop"})
    alice.post(f"/accounts/{other.pk}/choosing")
    assert "kit_" not in text(alice.get("/settings/keys"))


def test_a_key_has_full_access_when_its_box_is_ticked(alice: Client, account: Account) -> None:
    alice.post("/settings/keys", {"name": "Our shop", "has_full_access": "false"})
    alice.post("/settings/keys", {"name": "Our sync", "has_full_access": ["false", "true"]})
    made = dict(ApiKey.objects.values_list("name", "has_full_access"))
    assert made == {"Our shop": False, "Our sync": True}
    assert "full access" in text(alice.get("/settings/keys"))


def test_a_key_needs_a_name(alice: Client, account: Account) -> None:
    assert alice.post("/settings/keys", {"name": " "}).status_code == 422
    assert not ApiKey.objects.exists()


def test_revoking_a_key_asks_first(alice: Client, account: Account) -> None:
    alice.post("/settings/keys", {"name": "Our shop"})
    key = ApiKey.objects.get()
    assert "Revoke Our shop?" in text(alice.get(f"/settings/keys/{key.pk}/revocation"))
    key.refresh_from_db()
    assert key.revoked_at is None
    alice.post(f"/settings/keys/{key.pk}/revocation")
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert alice.post(f"/settings/keys/{key.pk}/revocation").status_code == 404
    assert "Revoked" in text(alice.get("/settings/keys"))
