"""Whatever JSON is sent for whatever member: an answer in Kit's shape, never a 500, and nothing changed on refusal."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.sequences.models import Sequence, SequenceEmail
from tests import factories
from tests.api.caller import Caller

pytestmark = pytest.mark.usefixtures("unlimited")

SEQUENCE_MEMBERS = [
    *("name", "email_address", "email_template_id", "send_days", "send_hour", "time_zone"),
    *("active", "repeat", "hold", "exclude_subscriber_sources"),
]
EMAIL_MEMBERS = [
    *("subject", "preview_text", "content", "delay_value", "delay_unit"),
    *("email_template_id", "published", "send_days", "position"),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**40]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "monday", "days", "hours", "UTC", "tag", "\0", "\ud800", "{{", "{% if", "{{ a | b: c }}"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "ids", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
sources = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["tag", "form", "sequence", "segment", 3]), "ids": anything}),
    max_size=3,
)
calm = settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bodies(members: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(members), anything, max_size=4)


def assert_kind(answer: tuple[int, Any], *expected: int) -> bool:
    """Whether it was accepted."""
    status, document = answer
    assert status in (*expected, 422), answer
    if status == 422:
        assert list(document) == ["errors"]
        assert document["errors"]
        assert all(isinstance(sentence, str) and sentence for sentence in document["errors"])
    json.dumps(document)
    return status != 422


@calm
@given(body=bodies(SEQUENCE_MEMBERS), excluded=st.none() | sources)
def test_any_sequence_gets_an_answer(alice: Caller, body: dict[str, Any], excluded: Any) -> None:
    if excluded is not None:
        body = {**body, "exclude_subscriber_sources": excluded}
    n_before = Sequence.objects.count()
    is_made = assert_kind(alice.post("/v4/sequences", {"name": "Course", **body}), 201)
    assert Sequence.objects.count() == n_before + is_made

    sequence = factories.make_sequence(alice.account)
    before = Sequence.objects.filter(pk=sequence.pk).values().get()
    if not assert_kind(alice.put(f"/v4/sequences/{sequence.pk}", body), 200):
        assert Sequence.objects.filter(pk=sequence.pk).values().get() == before


@calm
@given(body=bodies(EMAIL_MEMBERS))
def test_any_email_gets_an_answer(alice: Caller, body: dict[str, Any]) -> None:
    sequence = factories.make_sequence(alice.account, {}, {"delay_value": 3, "delay_unit": "hours"})
    path = f"/v4/sequences/{sequence.pk}/emails"
    email = {"subject": "Hi", "delay_value": 1, "delay_unit": "days", **body}
    is_made = assert_kind(alice.post(path, email), 201)
    assert sequence.emails.count() == 2 + is_made
    last = sequence.emails.order_by("position")[1]
    before = SequenceEmail.objects.filter(pk=last.pk).values().get()
    if not assert_kind(alice.put(f"{path}/{last.pk}", body), 200):
        assert SequenceEmail.objects.filter(pk=last.pk).values().get() == before


@calm
@given(body=anything)
def test_any_document_gets_an_answer(alice: Caller, body: Any) -> None:
    sequence = factories.make_sequence(alice.account, {})
    email, person = sequence.emails.get(), factories.make_subscriber(alice.account)
    for method, path in (
        ("post", "/v4/sequences"),
        ("put", f"/v4/sequences/{sequence.pk}"),
        ("post", f"/v4/sequences/{sequence.pk}/emails"),
        ("put", f"/v4/sequences/{sequence.pk}/emails/{email.pk}"),
        ("post", f"/v4/sequences/{sequence.pk}/subscribers"),
        ("post", f"/v4/sequences/{sequence.pk}/subscribers/{person.pk}"),
    ):
        assert_kind(alice.raw(method, path, json.dumps(body).encode()), 200, 201)


@calm
@given(
    query=st.dictionaries(
        st.sampled_from(["after", "before", "per_page", "include", "include_content", "status", "added_after"]),
        st.text(max_size=6) | st.sampled_from(["WzFd", "W10=", "stats", "true", "all", "-1", "9" * 30, "\0"]),
        max_size=3,
    )
)
def test_any_query_gets_an_answer(alice: Caller, query: dict[str, str]) -> None:
    sequence = factories.make_sequence(alice.account, {})
    for path in ("", f"/{sequence.pk}", f"/{sequence.pk}/emails", f"/{sequence.pk}/subscribers"):
        assert_kind(alice.get(f"/v4/sequences{path}", **query), 200)
    for path in ("enrollments", "deliveries"):
        assert_kind(alice.get(f"/ext/v1/{path}", **query), 200)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": NaN}', 400),
        (b"[" * 100_000, 400),
        (b'{"name": "a\\u0000b"}', 422),
        (b'{"name": "\\ud800"}', 422),
        (b"null", 422),
        (b'"name"', 422),
    ],
)
def test_what_is_no_object_is_refused(alice: Caller, data: bytes, status: int) -> None:
    sequence = factories.make_sequence(alice.account, {})
    for method, path in (
        ("post", "/v4/sequences"),
        ("put", f"/v4/sequences/{sequence.pk}"),
        ("post", f"/v4/sequences/{sequence.pk}/emails"),
        ("put", f"/v4/sequences/{sequence.pk}/emails/{sequence.emails.get().pk}"),
        ("post", f"/v4/sequences/{sequence.pk}/subscribers"),
    ):
        answer, document = alice.raw(method, path, data)
        assert (answer, list(document)) == (status, ["errors"])
