"""What is wrong before anybody looks at the body's members: paths, methods, keys, bytes."""

import io
import json
import logging
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from dripstone.accounts.models import ApiKey
from dripstone.api.v4 import tags as tags_api
from tests import factories
from tests.api.caller import Caller

UNAUTHORIZED = (401, {"errors": ["The access token is invalid"]})
NOT_FOUND = (404, {"errors": ["Not Found"]})


def test_it_wants_a_live_key(alice: Caller) -> None:
    assert alice.get("/v4/account")[0] == 200
    for key in ("", "kit_unknown", alice.key + " x", "ünknown"):
        assert Caller(alice.account, key).get("/v4/account") == UNAUTHORIZED
    ApiKey.objects.update(revoked_at="2026-11-23T09:00:00Z")
    assert alice.get("/v4/account") == UNAUTHORIZED


def test_a_key_may_travel_as_a_bearer_token(alice: Caller) -> None:
    for token, status in ((alice.key, 200), ("kit_unknown", 401), ("", 401)):
        answer = Client().get("/v4/account", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
    basic = Client().get("/v4/account", headers={"Authorization": f"Basic {alice.key}"})
    assert (basic.status_code, basic.json()) == UNAUTHORIZED


def test_a_bad_key_comes_before_a_bad_body(alice: Caller) -> None:
    assert Caller(alice.account, "").raw("post", "/v4/tags", b"{") == UNAUTHORIZED


def test_the_use_of_a_key_is_noted_once_a_minute(alice: Caller, clock: Any) -> None:
    alice.get("/v4/account")
    first = ApiKey.objects.get().last_used_at
    clock.advance(seconds=59)
    alice.get("/v4/account")
    assert ApiKey.objects.get().last_used_at == first == clock.now().replace(minute=0, second=0)
    clock.advance(seconds=1)
    alice.get("/v4/account")
    assert ApiKey.objects.get().last_used_at == clock.now()


@pytest.mark.parametrize("path", ["/v4/", "/v4", "/v4/nothing", "/v4/tags/", "/v4/subscribers/abc", "/ext/v1/nothing"])
def test_unknown_paths_are_not_found(alice: Caller, path: str) -> None:
    assert alice.get(path) == NOT_FOUND


@pytest.mark.parametrize("pk", ["0", "-1", "1.5", "9223372036854775808", "9" * 5000, "%00", "1%20"])
def test_ids_no_row_can_have_are_not_found(alice: Caller, pk: str) -> None:
    assert alice.get(f"/v4/subscribers/{pk}") == NOT_FOUND
    tag = factories.make_tag(alice.account)
    assert alice.post(f"/v4/tags/{tag.pk}/subscribers/{pk}") == NOT_FOUND


def test_a_wrong_method_is_told_in_the_same_shape(alice: Caller) -> None:
    response = Client().patch("/v4/tags", headers={"X-Kit-Api-Key": alice.key})
    assert (response.status_code, response.json()) == (405, {"errors": ["Method Not Allowed"]})
    assert set(response["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"{", 400, "The request body is not valid JSON"),
        (b'{"name": NaN}', 400, "The request body is not valid JSON"),
        (b"[" * 100_000, 400, "The request body is not valid JSON"),
        (b'{"name": ' + b"9" * 5000 + b"}", 400, "The request body is not valid JSON"),
        (b'{"name": "\xff"}', 400, "The request body is not valid UTF-8"),
        (b'{"name": "a\\u0000b"}', 422, "name must not contain NUL characters"),
        (b'{"name": "\\ud800"}', 422, "name must be valid Unicode text"),
        (b"[1]", 422, "The request body must be a JSON object"),
        (b"null", 422, "The request body must be a JSON object"),
        (b'"name"', 422, "The request body must be a JSON object"),
        (b'{"other": {"deep": ["\\u0000"]}}', 422, "other.deep must not contain NUL characters"),
    ],
)
def test_bodies_it_cannot_read_are_told_apart(alice: Caller, data: bytes, status: int, sentence: str) -> None:
    assert alice.raw("post", "/v4/tags", data) == (status, {"errors": [sentence]})


def test_it_reads_json_only(alice: Caller) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = (400, {"errors": ["Content-Type must be application/json"]})
        assert alice.raw("post", "/v4/tags", b'{"name": "x"}', kind) == refused
    for kind in ("application/json; charset=utf-8", "application/vnd.api+json", "Application/JSON"):
        assert alice.raw("post", "/v4/tags", b'{"name": "x"}', kind)[0] in (200, 201)
    assert alice.raw("post", "/v4/tags", b'\xef\xbb\xbf{"name": "x"}')[0] == 200


def test_an_empty_array_is_an_empty_object(alice: Caller) -> None:
    """PHP cannot tell them apart, and Kit's SDK is written in it."""
    assert alice.post("/v4/tags", []) == (422, {"errors": ["Name can't be blank"]})
    assert alice.post("/v4/subscribers", {"email_address": "bea@example.org", "fields": []})[0] == 201


def test_a_body_above_ten_megabytes_is_too_large(alice: Caller) -> None:
    body = json.dumps({"name": "x" * 10_000_001}).encode()
    assert alice.raw("post", "/v4/tags", body) == (413, {"errors": ["The request body is too large"]})


@pytest.mark.parametrize(("size", "status"), [(1, 201), (255, 201), (10_000_001, 413)])
def test_a_body_may_come_in_chunks(alice: Caller, size: int, status: int) -> None:
    body = json.dumps({"name": "x" * size}).encode()
    chunked: dict[str, Any] = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    chunked["wsgi.input"] = io.BytesIO(body)
    headers = {"X-Kit-Api-Key": alice.key}
    response = Client().generic("POST", "/v4/tags", b"", "application/json", headers=headers, **chunked)
    assert response.status_code == status


def test_what_we_did_wrong_is_500_in_the_same_shape(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("our mistake")

    monkeypatch.setattr(tags_api, "reply", broken)
    with caplog.at_level(logging.ERROR, "dripstone.api.errors"):
        assert alice.get("/v4/tags") == (500, {"errors": ["Something went wrong on our side"]})
    assert caplog.records[0].message == "request_failed"


def test_the_docs_pages_stand_without_a_key(db: None) -> None:
    for path in ("/v4/docs", "/v4/openapi.json", "/ext/v1/docs", "/ext/v1/openapi.json"):
        assert Client().get(path).status_code == 200
    paths = Client().get("/v4/openapi.json").json()["paths"]
    assert "requestBody" in paths["/v4/tags"]["post"]


def test_a_full_disk_is_told_as_such_and_passes(alice: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
            CREATE TRIGGER fill BEFORE INSERT ON subscribers_tag FOR EACH ROW EXECUTE FUNCTION fill()
            """
        )
    status, answer = alice.post("/v4/tags", {"name": "VIP"})
    assert status == 503
    assert answer["errors"][0].startswith("The server's disk is full")
    ours = [record.message for record in caplog.records if record.name.startswith("dripstone")]
    assert ours == ["disk_full"]
