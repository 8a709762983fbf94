"""What is wrong before anybody looks at the body's members: paths, methods, keys, bytes."""

import logging
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from dripstone.accounts.models import ApiKey
from dripstone.api.v4 import tags as tags_api
from tests import factories
from tests.api.caller import NOT_FULL_ACCESS, Caller

UNAUTHORIZED = (401, {"errors": ["The access token is invalid"]})
NOT_FOUND = (404, {"errors": ["Not Found"]})


def test_it_wants_a_live_key(alice: Caller) -> None:
    assert alice.get("/v4/account")[0] == 200
    for key in ("", "kit_unknown", alice.key + " x", "ünknown"):
        assert Caller(alice.account, key).get("/v4/account") == UNAUTHORIZED
    ApiKey.objects.update(revoked_at="2026-11-23T09:00:00Z")
    assert alice.get("/v4/account") == UNAUTHORIZED


def test_a_key_without_full_access_hears_what_it_takes(alice: Caller) -> None:
    plain = factories.make_key(alice.account, has_full_access=False)[1]
    answer = Client().get("/v4/purchases", headers={"X-Kit-Api-Key": plain})
    assert (answer.status_code, answer.json()) == NOT_FULL_ACCESS
    said = "The access token is invalid; This needs an API key with full access, or OAuth"
    assert answer["WWW-Authenticate"] == f'Bearer error="invalid_token", error_description="{said}"'


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
        (b"[" * 100_000, 400, "The request body has too many values for its size"),
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


def in_arrays(n_levels: int) -> bytes:
    return b'{"name": "x", "more": ' + b"[" * n_levels + b"1" + b"]" * n_levels + b"}"


def in_objects(n_levels: int, key: str = "k") -> bytes:
    return b'{"name": "x", "more": ' + f'{{"{key}": '.encode() * n_levels + b"1" + b"}" * n_levels + b"}"


DEEP = "The request body is nested too deeply (maximum is 50 levels)"


@pytest.mark.parametrize("nested", [in_arrays, in_objects])
def test_a_body_has_a_depth(alice: Caller, nested: Callable[[int], bytes]) -> None:
    assert alice.raw("post", "/v4/tags", nested(49))[0] in (200, 201)
    for n_levels in (50, 900, 1_100, 4_000):
        assert alice.raw("post", "/v4/tags", nested(n_levels)) == (400, {"errors": [DEEP]})
    assert alice.raw("post", "/v4/tags", nested(100_000))[0] == 400


def test_long_names_inside_one_another_cost_no_more_than_they_take(alice: Caller) -> None:
    body = in_objects(49, "k" * 20_000)
    tracemalloc.start()
    try:
        assert alice.raw("post", "/v4/tags", body)[0] == 201
        _, highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert highest < 10 * len(body)


def test_the_path_to_a_member_is_shortened(alice: Caller) -> None:
    status, answer = alice.raw("post", "/v4/tags", in_objects(40, "k" * 1_000).replace(b"1}", b'"\\u0000"}'))
    assert status == 422
    assert len(answer["errors"][0]) < 200


@pytest.mark.parametrize("crumb", [b"[]", b"1", b"{}", b'{"a":1}'])
def test_a_body_that_is_all_crumbs_is_not_read(alice: Caller, crumb: bytes) -> None:
    body = b'{"name": "x", "more": [' + b",".join([crumb] * 60_000) + b"]}"
    refused = (400, {"errors": ["The request body has too many values for its size"]})
    assert alice.raw("post", "/v4/tags", body) == refused


def test_a_long_text_is_no_crumbs(alice: Caller) -> None:
    prose = "<p style='color: red, blue'>In short, long, and [broad], words.</p>" * 2_500
    assert alice.post("/v4/snippets", {"name": "Prose", "snippet_type": "inline", "content": prose})[0] == 201


@pytest.mark.parametrize("path", ["/v4/tags", "/v4/subscribers", "/ext/v1/enrollments"])
def test_a_thousand_parameters_are_enough(alice: Caller, path: str) -> None:
    query = "&".join(f"a{number}=1" for number in range(1_001))
    refused = (400, {"errors": ["The request has too many parameters (maximum is 1000)"]})
    assert alice.get(f"{path}?{query}") == refused
    assert alice.get(f"{path}?{query.rpartition('&')[0]}")[0] == 200


def test_a_form_has_no_more_parameters_than_a_query(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    body = "&".join(f"a{number}=1" for number in range(1_001)).encode()
    kind = "application/x-www-form-urlencoded"
    assert alice.raw("delete", f"/v4/tags/{tag.pk}/subscribers", body, kind)[0] == 400


def test_an_answer_has_ten_sentences_of_some_length(alice: Caller) -> None:
    days = [f"day {number}" for number in range(40)]
    status, answer = alice.post("/v4/sequences", {"name": "x", "send_days": days})
    assert status == 422
    assert len(answer["errors"]) == 11
    assert answer["errors"][-1] == "and 30 more"
    status, answer = alice.post("/v4/subscribers", {"email_address": "a@example.org", "fields": {"k" * 100_000: 1}})
    assert status == 422
    assert len(answer["errors"][0]) == 500


def test_answers_are_for_the_caller_alone(alice: Caller) -> None:
    for path, key in (("/v4/account", alice.key), ("/v4/account", ""), ("/v4/nothing", alice.key)):
        assert Client().get(path, headers={"X-Kit-Api-Key": key})["Cache-Control"] == "no-store"


def test_a_wrong_host_is_a_quiet_400(alice: Caller, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.ALLOWED_HOSTS = ["mail.example.com"]
    for path in ("/v4/tags", "/sign-in"):
        for host in ("evil.example.com", "bad host", "", "a_b:99999"):
            answer = Client().get(path, headers={"Host": host, "X-Kit-Api-Key": alice.key})
            assert answer.status_code == 400
    assert not [record for record in caplog.records if record.exc_info]
    assert logging.getLogger("django.security.DisallowedHost").isEnabledFor(logging.ERROR) is False


@pytest.mark.parametrize("error", [OperationalError("the connection is lost"), InterfaceError("it is closed")])
def test_a_database_that_is_away_is_503_and_worth_another_try(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def away(*_: Any) -> None:
        raise error

    monkeypatch.setattr(tags_api, "page", away)
    answer = Client().get("/v4/tags", headers={"X-Kit-Api-Key": alice.key})
    sentence = "The database does not answer right now; try again in a few seconds"
    assert (answer.status_code, answer.json()) == (503, {"errors": [sentence]})
    assert answer["Retry-After"] == "2"


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
