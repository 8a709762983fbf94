"""/settings/brand: colors with their contrast, and who writes."""

from datetime import datetime

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts import brand
from dripstone.accounts.models import Account
from dripstone.images import store
from dripstone.web import contrast
from tests.images.making import a_picture
from tests.web.reading import text_of

PAGE = "/settings/brand"


def colors_of(account: Account) -> list[str]:
    account.refresh_from_db()
    return account.colors


def test_colors_are_saved_in_their_order_and_empty_fields_passed_over(alice: Client, account: Account) -> None:
    answer = alice.post(PAGE, {"colors": ["", " #1a6b4f ", "", "#abc"]})
    assert answer["Location"] == PAGE
    assert colors_of(account) == ["#1a6b4f", "#abc"]
    page = alice.get(PAGE).content.decode()
    assert 'fill="#1a6b4f"' in page
    assert page.count('name="colors"') == 10
    assert "6.4 to 1 on white: fine for text" in page
    assert "1.9 to 1 on white: too pale for text" in page
    alice.post(PAGE, {"colors": [""] * 10})
    assert colors_of(account) == []


def test_what_is_no_color_is_refused_with_what_was_typed(alice: Client, account: Account) -> None:
    alice.post(PAGE, {"colors": ["#1a6b4f"]})
    answer = alice.post(PAGE, {"colors": ["#1a6b4f", "teal"]})
    assert answer.status_code == 422
    assert "Colors teal is not a valid hex color code." in text_of(answer)
    assert 'value="teal"' in answer.content.decode()
    assert 'fill="teal"' not in answer.content.decode()
    assert colors_of(account) == ["#1a6b4f"]


def test_a_profile_is_written_changed_and_deleted(alice: Client, account: Account, now: datetime) -> None:
    assert "There is none yet" in text_of(alice.get(PAGE))
    image = store.add(account.pk, a_picture(), "me.png", now)
    typed = {
        "name": "Ann",
        "byline": "Caves",
        "bio": "Down.",
        "image_url": image.path,
        "profile_url": "https://a.example",
    }
    assert alice.post(f"{PAGE}/profile", typed)["Location"] == PAGE
    known = brand.profile_of(account)
    assert known is not None
    assert {name: getattr(known, name) for name in brand.MEMBERS} == typed
    page = alice.get(PAGE).content.decode()
    assert f'value="{image.path}" checked' in page
    assert f"/images/{image.pk}/small" in page
    alice.post(f"{PAGE}/profile/deletion")
    assert brand.profile_of(account) is None


def test_a_profile_that_is_refused_keeps_what_was_typed(alice: Client, account: Account) -> None:
    answer = alice.post(f"{PAGE}/profile", {"name": "", "byline": "Caves", "profile_url": "me", "image_url": ""})
    assert answer.status_code == 422
    assert "Name can't be blank" in text_of(answer).replace("’", "'").replace("&#x27;", "'")
    assert 'value="Caves"' in answer.content.decode()
    assert brand.profile_of(account) is None


def test_a_picture_elsewhere_stays_until_another_is_chosen(alice: Client, account: Account) -> None:
    brand.write_profile(account, {"name": "Ann", "image_url": "https://elsewhere.example/me.jpg"})
    assert 'value="https://elsewhere.example/me.jpg" checked' in alice.get(PAGE).content.decode()


def test_the_picture_of_a_profile_may_be_deleted_and_it_says_so(alice: Client, account: Account, now: datetime) -> None:
    image = store.add(account.pk, a_picture(), "me.png", now)
    brand.write_profile(account, {"name": "Ann", "image_url": image.path})
    question = alice.get(f"/images/{image.pk}/deletion")
    assert "Your creator profile has it as its picture" in text_of(question)
    store.delete(image)
    known = brand.profile_of(account)
    assert known is not None
    assert known.image_url == ""


@given(st.from_regex(brand.HEX, fullmatch=True))
def test_contrast_is_between_one_and_twenty_one(color: str) -> None:
    assert 1 <= contrast.on_white(color) <= 21
    assert contrast.in_words(color)


@pytest.mark.parametrize(
    ("color", "said"),
    [
        ("#000", "21 to 1 on white: fine for text"),
        ("#FFFFFF", "1 to 1 on white: too pale for text"),
        ("#767676", "4.5 to 1 on white: fine for text"),
        ("#777777", "4.4 to 1 on white: large text only"),
    ],
)
def test_contrast_is_that_of_wcag(color: str, said: str) -> None:
    assert contrast.in_words(color) == said
