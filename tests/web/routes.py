"""Every page there is, from web/urls.py: a new one is tried as soon as it exists."""

import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver

from dripstone.web import urls

# Pages with something in their address that answer whoever has it, each with the reason.
OPEN = {
    "unsubscribe": "the link in an email: its signed token is the permission",
    "resubscription": "the link in an email: its signed token is the permission",
    "picture": "whoever gets an email must be able to load its pictures: what they are called is the permission",
    "verification": "the link in a mail: its signed token is the permission",
    "invitation": "the link in a mail: its signed token is the permission",
    "new_password": "the link in a mail: its token is the permission",
    "new_address": "the link in a mail: its token is the permission",
    "first": "the link that the server prints: its signed token is the permission",
    "forecast_day": "a day is nobody's: it shows the account of whoever looks",
    "confirm": "the link in an email: its signed token is the permission",
    "form_page": "whoever visits a site with the form may fill it in",
    "form_thanks": "whoever has filled it in",
    "form_script": "whoever visits a site with the form must be able to load it",
}


def pages(found: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, route with <converter:name>) of each."""
    for one in found:
        route = f"{prefix}{one.pattern}"
        if isinstance(one, URLResolver):
            yield from pages(one.url_patterns, route)
        else:
            yield str(one.name), route


PAGES = list(pages(urls.urlpatterns))
WITH_IDS = [route for name, route in PAGES if "<" in route and name not in OPEN]
WITHOUT_IDS = [route for _, route in PAGES if "<" not in route]


def path_to(route: str, ids: dict[str, Any]) -> str:
    """With the id that `tests.owned` has for the noun before it."""
    return re.sub(r"(\w+)/<[^>]+>", lambda found: f"{found[1]}/{ids[found[1]]}", f"/{route}")
