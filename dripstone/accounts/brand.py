"""What an account looks like: its colors, and the profile of who writes. Apps that make things for it ask for them."""

import re
from typing import Any

from django.db import transaction

from dripstone.accounts.models import Account, CreatorProfile
from dripstone.errors import Invalid
from dripstone.given import MAX_NAME, Checked, Given, is_page

MAX_COLORS = 10
MAX_BIO = 2_000
MAX_URL = 2_000
MEMBERS = ("name", "byline", "bio", "image_url", "profile_url")
URLS = ("image_url", "profile_url")

HEX = re.compile(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})", re.ASCII)
OWN_IMAGE = re.compile(r"/i/[0-9a-f]{32}\.(jpg|png|gif)")


def check_colors(given: Given) -> list[str]:
    """The `colors`: hex codes, in the order given. Raises Invalid, with a sentence for each that is none."""
    colors = Checked(given).take("colors")
    if colors is None or "colors" not in given:
        raise Invalid.member("colors", "Colors can't be blank")
    if not isinstance(colors, list):
        raise Invalid.member("colors", "Colors must be an array")
    if len(colors) > MAX_COLORS:
        raise Invalid.member("colors", f"Colors can't have more than {MAX_COLORS} entries")
    if wrong := [color for color in colors if not isinstance(color, str) or not HEX.fullmatch(color)]:
        raise Invalid(problems=[("colors", f"Colors {color} is not a valid hex color code.") for color in wrong])
    return colors


def set_colors(account: Account, given: Given) -> list[str]:
    """In place of those there are. Raises Invalid."""
    account.colors = check_colors(given)
    account.save(update_fields=["colors"])
    return account.colors


def profile_of(account: Account) -> CreatorProfile | None:
    return CreatorProfile.objects.filter(account=account).first()


@transaction.atomic
def write_profile(account: Account, given: Given) -> CreatorProfile:
    """given   any of MEMBERS; a new profile needs a `name`, and is empty where nothing is said

    Raises Invalid with every problem.
    """
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    profile = profile_of(account) or CreatorProfile(account=account)
    for name, value in _check_profile(given, is_new=profile._state.adding).items():
        setattr(profile, name, value)
    profile.save()
    return profile


def _check_profile(given: Given, *, is_new: bool) -> dict[str, Any]:
    read = Checked(given, required=("name",) if is_new else ())
    read.name("name")
    read.text_or_null("byline", MAX_NAME)
    read.text_or_null("bio", MAX_BIO)
    for name in URLS:
        read.text_or_null(name, MAX_URL)
        url = (read.values.get(name) or "").strip()
        if url and not is_page(url) and not (name == "image_url" and OWN_IMAGE.fullmatch(url)):
            read.wrong(name, "must be an address such as https://example.com/me")
    return {name: (value or "").strip() for name, value in read.sound().items()}


def delete_profile(account: Account) -> bool:
    """False: there was none."""
    return CreatorProfile.objects.filter(account=account).delete()[0] > 0
