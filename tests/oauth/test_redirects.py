from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.oauth import redirects


def is_sound(uri: str, *, is_public: bool = False) -> bool:
    return not list(redirects.complaints(uri, is_public=is_public))


@pytest.mark.parametrize(
    "uri",
    [
        "https://shop.example/callback",
        "https://shop.example:8443/callback?a=b",
        "https://shop.example",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:3000/callback",
        "http://[::1]:3000/callback",
        "http://localhost:3000/callback",
    ],
)
def test_it_may_lead_to_a_server_or_to_ones_own_machine(uri: str) -> None:
    assert is_sound(uri)


@pytest.mark.parametrize("uri", ["com.example.shop:/callback", "cursor://agent/callback"])
def test_a_scheme_of_its_own_is_for_apps_without_a_secret(uri: str) -> None:
    assert is_sound(uri, is_public=True)
    assert not is_sound(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "//shop.example/callback",
        "shop.example",
        "http://shop.example/callback",
        "http://127.0.0.2/callback",
        "http://127.0.0.1.evil.example/",
        "https:shop.example",
        "https:///callback",
        "https://a@shop.example/",
        "https://shop.example/#",
        "https://*.example/",
        "https://shop.example:port/",
        "https://shop.example:0/",
        "https://[shop/",
        "https://shop.example/a b",
        "https://shop.example\\@evil.example",
        "https://shöp.example/",
        "https://shop.example/\n",
        "javascript:/alert(1)",
        "JAVASCRIPT:/alert(1)",
        "data:/text/html,x",
        "file:///etc/passwd",
        "view-source:/x",
        "urn:ietf:wg:oauth:2.0:oob",
        "https://shop.example/" + "a" * 2000,
    ],
)
@pytest.mark.parametrize("is_public", [False, True])
def test_what_may_lead_elsewhere_is_not_registered(uri: str, is_public: bool) -> None:
    assert not is_sound(uri, is_public=is_public)


@given(st.text(max_size=60), st.booleans())
def test_what_is_registered_leads_to_one_place(text: str, is_public: bool) -> None:
    uri = f"https://{text}"
    if is_sound(uri, is_public=is_public):
        parts = urlsplit(uri)
        assert parts.hostname
        assert parts.username is None
        assert not parts.fragment
        assert redirects.place(uri) == f"https://{parts.netloc}"
        assert not redirects.is_loopback(uri)
