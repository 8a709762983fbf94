from typing import Any

import pytest
from django.conf import settings

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


# --- Colors and profile -------------------------------------------------------------------------------------------

PROFILE = {
    "name": "Alice",
    "byline": "Caves",
    "bio": "Down there.",
    "image_url": "",
    "profile_url": "https://a.example",
}


def test_colors_are_replaced_as_a_whole(alice: Caller) -> None:
    assert alice.get("/v4/account/colors") == (200, {"colors": []})
    for colors in (["#000000", "#FFFFFF"], ["#abc"], []):
        assert alice.put("/v4/account/colors", {"colors": colors}) == (200, {"colors": colors})
        assert alice.get("/v4/account/colors") == (200, {"colors": colors})


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"colors": ["#000000", "#123_not_a_code"]}, ["Colors #123_not_a_code is not a valid hex color code."]),
        (
            {"colors": ["red", "#12345", "#00000g"]},
            [
                "Colors red is not a valid hex color code.",
                "Colors #12345 is not a valid hex color code.",
                "Colors #00000g is not a valid hex color code.",
            ],
        ),
        ({"colors": [3]}, ["Colors 3 is not a valid hex color code."]),
        ({"colors": ["#000000"] * 11}, ["Colors can't have more than 10 entries"]),
        ({"colors": "#000000"}, ["Colors must be an array"]),
        ({"colors": None}, ["Colors can't be blank"]),
        ({}, ["Colors can't be blank"]),
    ],
)
def test_colors_that_are_none_are_refused_and_nothing_changes(alice: Caller, body: Any, errors: list[str]) -> None:
    alice.put("/v4/account/colors", {"colors": ["#1a6b4f"]})
    assert alice.put("/v4/account/colors", body) == (422, {"errors": errors})
    assert alice.get("/v4/account/colors")[1] == {"colors": ["#1a6b4f"]}


def test_a_profile_is_missing_until_it_is_written(alice: Caller) -> None:
    missing = (404, {"errors": ["Not Found"]})
    assert alice.get("/v4/account/creator_profile") == missing
    assert alice.delete("/ext/v1/account/creator_profile") == missing
    assert alice.put("/ext/v1/account/creator_profile", PROFILE) == (200, {"profile": PROFILE})
    assert alice.get("/v4/account/creator_profile") == (200, {"profile": PROFILE})
    assert alice.put("/ext/v1/account/creator_profile", {"bio": None})[1] == {"profile": {**PROFILE, "bio": ""}}
    assert alice.delete("/ext/v1/account/creator_profile") == (204, None)
    assert alice.get("/v4/account/creator_profile") == missing


def test_a_picture_of_the_account_has_its_whole_address(alice: Caller) -> None:
    path = f"/i/{'0' * 32}.png"
    answer = alice.put("/ext/v1/account/creator_profile", {"name": "Alice", "image_url": path})[1]
    assert answer["profile"]["image_url"] == f"{settings.DRIPSTONE_URL}{path}"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, ["name can't be blank"]),
        ({"name": " "}, ["name can't be blank"]),
        ({"name": "A", "byline": 3}, ["byline must be a string"]),
        ({"name": "A", "bio": "x" * 2001}, ["bio is too long (maximum is 2000 characters)"]),
        ({"name": "A", "profile_url": "me"}, ["profile_url must be an address such as https://example.com/me"]),
        (
            {"name": "A", "profile_url": f"/i/{'0' * 32}.png"},
            ["profile_url must be an address such as https://example.com/me"],
        ),
        ({"name": "A", "image_url": "javascript:x"}, ["image_url must be an address such as https://example.com/me"]),
    ],
)
def test_a_profile_that_cannot_be_is_refused(alice: Caller, body: Any, errors: list[str]) -> None:
    assert alice.put("/ext/v1/account/creator_profile", body) == (422, {"errors": errors})
    assert alice.get("/v4/account/creator_profile")[0] == 404
