from tests import factories
from tests.api.caller import Caller


def test_it_tells_whose_key_this_is(alice: Caller) -> None:
    user = factories.make_user(alice.account, "alice@example.com")
    status, answer = alice.get("/v4/account")
    assert status == 200
    assert answer["user"] == {"id": user.pk, "email": "alice@example.com"}
    account = answer["account"]
    assert account["timezone"] == {
        "name": "America/New_York",
        "friendly_name": "Eastern Time (US & Canada)",
        "utc_offset": "-05:00",
    }
    assert account["sending_addresses"][0]["is_default"] is True
    assert account["created_at"] == "2026-11-23T09:00:00Z"


def test_an_account_without_a_user_has_an_address(alice: Caller) -> None:
    assert alice.get("/v4/account")[1]["user"]["email"] == alice.account.primary_email_address
