"""Every reply has an id, and what was logged meanwhile has it, too."""

import json
import logging
from typing import Any

import pytest
import structlog
from django.test import Client
from structlog.stdlib import ProcessorFormatter

from dripstone.api.v4 import tags as tags_api
from tests.api.caller import Caller

PATHS = ["/v4/tags", "/v4/nothing", "/ext/v1/clock", "/sign-in", "/nothing", "/healthz", "/metrics", "/v4/openapi.json"]
PATHS += ["/static/dripstone.css", "/oauth/token", "/v4/oauth/token", "/mcp", "/.well-known/oauth-authorization-server"]


@pytest.mark.parametrize("path", PATHS)
def test_every_reply_has_one(path: str, db: None) -> None:
    first, second = (Client().get(path)["X-Request-Id"] for _ in range(2))
    assert first and second and first != second


@pytest.mark.parametrize("given", ["8e03978e-40d5-43dd-bc93-6894a57f9324", "a", "x" * 64, "trace_1"])
def test_one_that_came_with_the_request_stays(alice: Caller, given: str) -> None:
    assert Client().get("/v4/tags", headers={"X-Request-Id": given})["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\r\nX: y", "é", "a,b", "\x1b[31m"])
def test_one_that_could_stand_for_something_else_in_a_log_does_not(alice: Caller, given: str) -> None:
    answer = Client().get("/v4/tags", headers={"X-Request-Id": given})
    assert answer["X-Request-Id"] != given
    assert answer["X-Request-Id"].isalnum()


def test_what_is_logged_meanwhile_has_it(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("our mistake")

    monkeypatch.setattr(tags_api, "reply", broken)
    (handler,) = [one for one in logging.getLogger().handlers if isinstance(one.formatter, ProcessorFormatter)]
    lines: list[str] = []
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(handler.format(record)))
    answer = Client().get("/v4/tags", headers={"X-Kit-Api-Key": alice.key, "X-Request-Id": "mine"})
    assert answer.status_code == 500
    line = json.loads(lines[0])
    assert (line["event"], line["path"], line["request_id"]) == ("request_failed", "/v4/tags", "mine")
    assert structlog.contextvars.get_contextvars() == {}
