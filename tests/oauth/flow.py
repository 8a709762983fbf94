"""Connecting an app in a test, as the app and the person's browser do it."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.test import Client

from dripstone.accounts.models import Account, User
from dripstone.oauth import applications
from dripstone.oauth.models import Application
from tests.factories import MONDAY_9, make_app
from tests.web.conftest import signed_in

CALLBACK = "https://shop.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query))


@dataclass
class App:
    """An app of `account`. A public one uses PKCE."""

    account: Account
    is_public: bool = False
    callback: str = CALLBACK
    row: Application = field(init=False)
    secret: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.row = make_app(self.account, self.callback, is_public=self.is_public)
        if not self.is_public:
            self.secret = applications.rotate_secret(self.row, MONDAY_9)

    @property
    def credentials(self) -> dict[str, str]:
        return {"client_id": self.row.client_id} | ({"client_secret": self.secret} if self.secret else {})

    def address(self, **changes: str | None) -> str:
        """Where it sends people. None leaves a parameter out."""
        asked: dict[str, str | None] = {
            "client_id": self.row.client_id,
            "response_type": "code",
            "redirect_uri": self.callback,
            "state": "xyz &=?",
        }
        if self.is_public:
            asked |= {"code_challenge": challenge(), "code_challenge_method": "S256"}
        given = {name: value for name, value in (asked | changes).items() if value is not None}
        return f"/oauth/authorize?{urlencode(given)}"

    def sent_back(self, browser: Client, account: Account | None = None, **changes: str | None) -> dict[str, str]:
        """What the person's browser brings, once they allowed it."""
        answer = browser.post(self.address(**changes), {"account": (account or self.account).pk, "allow": "1"})
        assert answer.status_code == 302, answer.content.decode()
        return query_of(answer["Location"])

    def code(self, browser: Client, account: Account | None = None, **changes: str | None) -> str:
        return self.sent_back(browser, account, **changes)["code"]

    def exchange(self, code: str, path: str = "/oauth/token", **changes: str | None) -> tuple[int, Any]:
        asked: dict[str, str | None] = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.callback}
        if self.is_public:
            asked["code_verifier"] = VERIFIER
        return self._ask(path, asked | changes)

    def refresh(self, token: str, **changes: str | None) -> tuple[int, Any]:
        asked: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": token}
        return self._ask("/oauth/token", asked | changes)

    def ask(self, path: str = "/oauth/token", **members: str | None) -> tuple[int, Any]:
        return self._ask(path, members)

    def _ask(self, path: str, members: dict[str, str | None]) -> tuple[int, Any]:
        given = {name: value for name, value in (self.credentials | members).items() if value is not None}
        answer = Client().post(path, json.dumps(given), content_type="application/json")
        return answer.status_code, json.loads(answer.content) if answer.content else None

    def tokens(self, browser: Client, account: Account | None = None, **changes: str | None) -> Any:
        status, given = self.exchange(self.code(browser, account, **changes))
        assert status == 200, given
        return given


def browser_of(user: User) -> Client:
    return signed_in(user, Client())


def call(token: str, method: str = "get", path: str = "/v4/account", body: Any = None) -> Any:
    data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return getattr(Client(), method)(path, headers={"Authorization": f"Bearer {token}"}, **data)


def is_open(token: str) -> bool:
    """Whether it opens the API."""
    return bool(call(token).status_code == 200)
