"""Whatever JSON a member holds, the answer is Kit's error body or a success, never a 500."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.content import snippets
from dripstone.events import causes
from dripstone.subscribers import fields, forms
from tests import factories
from tests.api.caller import Caller

pytestmark = pytest.mark.usefixtures("unlimited")

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -1, 0])
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "bea@example.org", "x" * 3000, "{{ x", "{{ message_content }}", "2026-01-01"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))

BODIES: list[tuple[str, str, list[str]]] = [
    ("post", "/v4/subscribers", ["email_address", "first_name", "state", "fields"]),
    (
        "post",
        "/v4/subscribers/filter",
        ["all", "counting_mode", "include", "sort_field", "after", "before", "per_page"],
    ),
    ("put", "/v4/subscribers/{person}", ["email_address", "first_name", "fields"]),
    ("post", "/v4/tags", ["name"]),
    ("put", "/v4/tags/{tag}", ["name"]),
    ("post", "/v4/tags/{tag}/subscribers", ["email_address"]),
    ("delete", "/v4/tags/{tag}/subscribers", ["email_address"]),
    ("post", "/v4/custom_fields", ["label"]),
    ("put", "/v4/custom_fields/{field}", ["label"]),
    ("post", "/v4/forms/{form}/subscribers", ["email_address", "referrer"]),
    ("post", "/v4/forms/{form}/subscribers/{person}", ["referrer"]),
    ("post", "/v4/snippets", ["name", "snippet_type", "content", "document_attributes"]),
    ("put", "/v4/snippets/{snippet}", ["name", "snippet_type", "archived", "content", "document_attributes"]),
    ("post", "/ext/v1/forms", ["name", "type", "format"]),
    ("post", "/ext/v1/segments", ["name", "filter"]),
    ("post", "/ext/v1/subscribers/count", ["filter"]),
    ("post", "/ext/v1/automations", ["name", "reenter", "entries", "start", "nodes"]),
    ("post", "/ext/v1/email_templates", ["name", "html", "is_default"]),
    ("post", "/ext/v1/clock/advance", ["seconds", "to"]),
]
LISTS = [
    "/v4/subscribers",
    "/v4/tags",
    "/v4/tags/{tag}/subscribers",
    "/v4/forms",
    "/v4/forms/{form}/subscribers",
    "/v4/snippets",
    "/v4/custom_fields",
    "/ext/v1/inbox",
]
PARAMETERS = ["after", "before", "per_page", "include_total_count", "status", "include", "slim", "created_after"]
PARAMETERS += ["updated_before", "email_address", "sort_field", "sort_order", "type", "archived", "to", "tagged_after"]

FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def ids(alice: Any, now: Any) -> dict[str, int]:
    account = alice.account
    return {
        "person": factories.make_subscriber(account).pk,
        "tag": factories.make_tag(account).pk,
        "form": forms.create(account.pk, {"name": "Sign up"}, now).pk,
        "field": fields.create(account.pk, {"label": "Company"}, now, cause=causes.API)[0].pk,
        "snippet": snippets.create(account.pk, {"name": "A", "snippet_type": "inline", "content": "x"}, now).pk,
    }


@pytest.mark.parametrize(("method", "path", "members"), BODIES)
@given(data=st.data())
@FUZZ
def test_no_body_breaks_it(
    method: str, path: str, members: list[str], data: st.DataObject, alice: Caller, ids: dict[str, int]
) -> None:
    body = data.draw(st.dictionaries(st.sampled_from(members), values) | values)
    status, answer = alice.send(method.upper(), path.format(**ids), body)
    assert status < 500, answer


@pytest.mark.parametrize("path", LISTS)
@given(query=st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=12) | st.sampled_from(["\0", "WzFd", "1"])))
@FUZZ
def test_no_query_breaks_it(path: str, query: dict[str, str], alice: Caller, ids: dict[str, int]) -> None:
    query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    status, answer = alice.get(path.format(**ids), **query)
    assert status < 500, answer


@given(data=st.binary(max_size=200))
@FUZZ
def test_no_bytes_break_it(data: bytes, alice: Caller) -> None:
    status, answer = alice.raw("post", "/v4/tags", data)
    assert status < 500, answer


@given(path=st.text(alphabet="/v4extags1%.?#:0- ", max_size=20))
@FUZZ
def test_no_path_breaks_it(path: str, alice: Caller) -> None:
    response = Client().get(f"/v4/{path}", headers={"X-Kit-Api-Key": alice.key})
    assert response.status_code < 500
    if response.status_code >= 400:
        assert "errors" in json.loads(response.content)
