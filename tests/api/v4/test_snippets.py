from typing import Any

import pytest

from tests import factories
from tests.api.caller import Caller

INLINE = {"name": "Cat Fact of the Day", "snippet_type": "inline", "content": "Hi {{ subscriber.first_name }}"}
BLOCK = {"name": "Footer", "snippet_type": "block", "document_attributes": {"value_html": "<p>Bye</p>"}}


def test_it_creates_both_types(alice: Caller) -> None:
    status, answer = alice.post("/v4/snippets", INLINE)
    made = answer["snippet"]
    assert status == 201
    assert made == {
        "id": made["id"],
        "name": "Cat Fact of the Day",
        "snippet_type": "inline",
        "archived": False,
        "key": "cat-fact-of-the-day",
        "created_at": "2026-11-23T09:00:00Z",
        "updated_at": "2026-11-23T09:00:00Z",
        "content": INLINE["content"],
        "document": {"id": made["id"], "value": None, "value_html": None, "value_plain": None, "version": 1},
    }
    block = alice.post("/v4/snippets", BLOCK)[1]["snippet"]
    assert (block["content"], block["document"]["value_html"]) == ("", "<p>Bye</p>")
    assert alice.post("/v4/snippets", INLINE)[1]["snippet"]["key"] == "cat-fact-of-the-day-2"
    assert alice.get(f"/v4/snippets/{block['id']}") == (200, {"snippet": block})


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, ["name can't be blank", "snippet_type can't be blank"]),
        ({"name": "", "snippet_type": "inline"}, ["name can't be blank", "content can't be blank"]),
        ({"name": "x", "snippet_type": "block", "content": "x"}, ["document_attributes can't be blank"]),
        ({**BLOCK, "document_attributes": {}}, ["document_attributes.value_html can't be blank"]),
        ({**INLINE, "snippet_type": "video"}, ["snippet_type must be one of: inline, block"]),
        ({**INLINE, "content": 3}, ["content must be a string"]),
    ],
)
def test_it_lists_every_problem(alice: Caller, body: Any, problems: list[str]) -> None:
    assert alice.post("/v4/snippets", body) == (422, {"errors": problems})


def test_it_refuses_broken_liquid(alice: Caller) -> None:
    status, answer = alice.post("/v4/snippets", {**INLINE, "content": "{% if %}"})
    assert status == 422
    assert answer["errors"][0].startswith("Invalid Liquid in content: ")
    assert alice.post("/v4/snippets", {**BLOCK, "document_attributes": {"value_html": "{{ x"}})[0] == 422


def test_a_new_name_keeps_the_key(alice: Caller) -> None:
    made = alice.post("/v4/snippets", INLINE)[1]["snippet"]
    answer = alice.put(f"/v4/snippets/{made['id']}", {"name": "Dog Fact"})[1]["snippet"]
    assert (answer["name"], answer["key"], answer["document"]["version"]) == ("Dog Fact", "cat-fact-of-the-day", 1)
    changed = alice.put(f"/v4/snippets/{made['id']}", {"content": "New", "snippet_type": "inline"})[1]["snippet"]
    assert (changed["content"], changed["document"]["version"]) == ("New", 2)


def test_the_type_cannot_be_changed(alice: Caller) -> None:
    inline, block = (alice.post("/v4/snippets", body)[1]["snippet"]["id"] for body in (INLINE, BLOCK))
    refused = (422, {"errors": ["snippet_type cannot be changed"]})
    assert alice.put(f"/v4/snippets/{inline}", {"snippet_type": "block"}) == refused
    assert alice.put(f"/v4/snippets/{inline}", {"document_attributes": {"value_html": "x"}}) == refused
    assert alice.put(f"/v4/snippets/{block}", {"content": "x"}) == refused


def test_a_snippet_cannot_contain_itself(alice: Caller) -> None:
    first = alice.post("/v4/snippets", {**INLINE, "name": "A"})[1]["snippet"]
    alice.post("/v4/snippets", {**INLINE, "name": "B", "content": "{{ snippet.a }}"})
    refused = (422, {"errors": ["A snippet cannot contain itself: a → b → a"]})
    assert alice.put(f"/v4/snippets/{first['id']}", {"content": "{{ snippet.b }}"}) == refused
    assert alice.put(f"/v4/snippets/{first['id']}", {"content": "{{ snippet.a }}"})[0] == 422
    assert alice.post("/v4/snippets", {**INLINE, "name": "C", "content": "{{ snippet.c }}"})[0] == 422


def test_it_lists_archived_ones_apart(alice: Caller) -> None:
    first, second = (alice.post("/v4/snippets", body)[1]["snippet"]["id"] for body in (INLINE, BLOCK))
    assert alice.put(f"/v4/snippets/{first}", {"archived": True})[1]["snippet"]["archived"] is True
    listed = alice.get("/v4/snippets")[1]["snippets"]
    assert [row["id"] for row in listed] == [second]
    assert "content" not in listed[0]
    assert "document" in alice.get("/v4/snippets", include_content="true")[1]["snippets"][0]
    assert [row["id"] for row in alice.get("/v4/snippets", archived="true")[1]["snippets"]] == [first]
    assert alice.get("/v4/snippets", snippet_type="inline")[1]["snippets"] == []


def test_two_accounts_may_have_one_key(alice: Caller, mallory: Caller) -> None:
    assert alice.post("/v4/snippets", INLINE)[1]["snippet"]["key"] == "cat-fact-of-the-day"
    assert mallory.post("/v4/snippets", INLINE)[1]["snippet"]["key"] == "cat-fact-of-the-day"
    assert factories.make_account().snippets.count() == 0
