"""What all pages share: headers, error pages, names."""

import re

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import URLPattern

from dripstone.accounts.models import Account
from dripstone.web import urls


@pytest.mark.parametrize("path", ["/", "/inbox", "/inbox/emptying", "/nothing-here"])
def test_it_lets_pages_load_from_here_only(alice: Client, path: str) -> None:
    answer = alice.get(path)
    assert answer["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "no-store"
    assert "noindex" in answer["X-Robots-Tag"]


@pytest.mark.parametrize("path", ["/", "/inbox", "/inbox/emptying", "/nothing-here"])
def test_it_writes_no_style_or_script_into_a_page(alice: Client, path: str) -> None:
    page = alice.get(path).content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_it_has_its_own_page_for_what_is_not_there(client: Client, account: Account) -> None:
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert "Nothing here" in answer.content.decode()


@pytest.mark.parametrize("name", ["400", "403", "404", "500", "403_csrf"])
def test_it_can_show_an_error_when_nothing_else_works(name: str) -> None:
    """Django renders 500.html without a request: no user, no database."""
    page = render_to_string(f"{name}.html")
    assert "<h1>" in page
    assert "Dripstone</title>" in page


def test_it_asks_for_sign_in_everywhere_but_on_public_pages(client: Client, db: None) -> None:
    entrances = {"sign_up", "first", "invitation", "forgotten", "new_password", "new_address"}
    links = {
        "unsubscribe",
        "resubscription",
        "confirm",
        "verification",
        "picture",
        "form_page",
        "form_thanks",
        "form_script",
    }
    apps = {"authorization", "authorization_as_kit_has_it"}  # what is wrong with a request is said before
    public = {"sign_in", "sign_out"} | entrances | links | apps
    for pattern in urls.urlpatterns:
        if isinstance(pattern, URLPattern) and pattern.name not in public:
            route = re.sub(r"<int:\w+>", "1", str(pattern.pattern))
            assert client.get(f"/{route}")["Location"].startswith("/sign-in"), route


def test_it_serves_its_style_sheet(alice: Client) -> None:
    sheet, *_ = re.findall(r'<link rel="stylesheet" href="([^"]+)"', alice.get("/").content.decode())
    answer = alice.get(sheet)
    assert b"--accent" in answer.getvalue()
    answer.close()  # it holds the file open
