"""Talking to the API in a test."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.oauth import scopes, tokens
from tests import factories
from tests.kit import contract

NOT_FULL_ACCESS = (
    401,
    {"errors": ["The access token is invalid", "This needs an API key with full access, or OAuth"]},
)


@dataclass
class Caller:
    """Talks JSON to the API with one account's key, or with a token. A call returns (status, document).

    Every answer is held against Kit's contract on the way, where the contract is at hand.
    """

    account: Account
    key: str

    def by_token(self) -> "Caller":
        """The same account, for an app that an owner of it has allowed everything."""
        email, app = factories.make_user(self.account).email, factories.make_app(self.account)
        given = tokens.give_out(self.account, email, app, scopes.PUBLIC, clock.now())
        return Caller(self.account, given["access_token"])

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        response = Client().get(path, query, headers=self._headers())
        return self._answer("get", path, response, is_slim="slim" in query)

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """headers: `if_match="…"`."""
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.send("PUT", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.send("DELETE", path, body, **headers)

    def raw(
        self, method: str, path: str, data: bytes, content_type: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        given = self._headers() | {name.replace("_", "-"): value for name, value in headers.items()}
        response = getattr(Client(), method)(path, data, content_type=content_type, headers=given)
        return self._answer(method, path, response)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        if method == "GET":
            return self.get(path)
        data = b"" if body is None else json.dumps(body).encode()
        return self.raw(method.lower(), path, data, **headers)

    def _headers(self) -> dict[str, str]:
        is_token = self.key.startswith(tokens.ACCESS)
        return {"Authorization": f"Bearer {self.key}"} if is_token else {"X-Kit-Api-Key": self.key}

    @staticmethod
    def _answer(method: str, path: str, response: Any, *, is_slim: bool = False) -> tuple[int, Any]:
        assert "X-Request-Id" in response
        content = response.getvalue()
        is_file = response.get("Content-Type", "").startswith("text/csv")
        document: Any = json.loads(content) if content and not is_file else None
        if response.status_code >= 400:
            assert list(document) in (["errors"], ["errors", "impact"])
            assert document["errors"]
            assert all(isinstance(sentence, str) for sentence in document["errors"])
        elif not is_slim:
            _hold_to_contract(method, urlsplit(path).path, response.status_code, document)
        return response.status_code, document


@dataclass
class Settled(Caller):
    """One whose account has a row of every kind."""

    ids: Mapping[str, Any]  # by noun: tests/owned.py


def _hold_to_contract(method: str, path: str, status: int, document: Any) -> None:
    for operation in contract.operations().values():
        template = re.sub(r"\{\w+\}", r"\\d+", operation.path)
        if operation.method == method and re.fullmatch(template, path):
            # Kit publishes `warnings` for one status of each write; ours warn whenever there is something to say.
            if document is not None:
                document = {name: value for name, value in document.items() if name != "warnings"}
            assert operation.problems(status, document) == []
