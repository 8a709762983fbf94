"""Pictures of accounts: one row each, within the account's room."""

from datetime import datetime
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.errors import Invalid
from dripstone.images import store
from dripstone.images.models import Image
from tests.factories import make_account
from tests.images.making import a_picture


def test_the_same_bytes_twice_are_one_image(alice: Account, now: datetime) -> None:
    first, second = (store.add(alice.pk, a_picture(), name, now) for name in ("one.png", "two.png"))
    assert first == second and Image.objects.get().name == "one.png"


def test_the_same_in_two_accounts_has_one_address_and_goes_with_the_last(alice: Account, now: datetime) -> None:
    mine = store.add(alice.pk, a_picture(), "a.png", now)
    theirs = store.add(make_account("Mallory").pk, a_picture(), "b.png", now)
    assert mine.path == theirs.path
    store.delete(mine)
    assert store.find(theirs.digest, theirs.kind)
    store.delete(theirs)
    assert store.find(theirs.digest, theirs.kind) is None


def test_an_address_is_found_by_its_own_ending_only(alice: Account, now: datetime) -> None:
    image = store.add(alice.pk, a_picture(), "a.png", now)
    assert store.find(image.digest, "png") and store.find(image.digest, "jpg") is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\photos\\cave.png", "cave.png"),
        ("../../etc/passwd", "passwd"),
        ("  ", "image.png"),
        ("", "image.png"),
        ("a\0b\u200b.png", "ab.png"),
        ("x" * 400, "x" * 255),
    ],
)
def test_names_are_of_files(alice: Account, now: datetime, name: str, kept: str) -> None:
    assert store.add(alice.pk, a_picture(), name, now).name == kept


def test_an_account_has_room_for_so_many(alice: Account, now: datetime, settings: Any) -> None:
    settings.DRIPSTONE_MAX_IMAGES = 1
    store.add(alice.pk, a_picture(10), "a.png", now)
    with pytest.raises(Invalid, match="has 1 images, and can have no more: delete some first"):
        store.add(alice.pk, a_picture(20), "b.png", now)
    store.add(alice.pk, a_picture(10), "again.png", now)
    store.add(make_account("Bob").pk, a_picture(20), "b.png", now)


def test_an_account_has_room_for_so_much(alice: Account, now: datetime, settings: Any) -> None:
    settings.DRIPSTONE_MAX_IMAGES_MB = 0
    with pytest.raises(Invalid, match="fill their 0 MB"):
        store.add(alice.pk, a_picture(), "a.png", now)


def test_it_finds_the_images_that_html_names(alice: Account, now: datetime) -> None:
    image = store.add(alice.pk, a_picture(), "a.png", now)
    html = f'<img src="{store.url(image)}"><td background=\'{image.path}?x\'><a href="/i/{"0" * 31}.png">'
    assert store.digests(html) == {image.digest}
