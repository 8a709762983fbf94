from typing import Any

import pytest

from dripstone.senders.models import CapturedMessage
from dripstone.subscribers.models import Segment
from tests import factories
from tests.api.caller import Caller


def test_it_makes_forms(alice: Caller) -> None:
    status, answer = alice.post("/ext/v1/forms", {"name": "Sign up", "type": "hosted"})
    assert status == 201
    assert alice.get("/v4/forms")[1]["forms"] == [answer["form"]]
    assert len(answer["form"]["uid"]) == 10
    assert alice.post("/ext/v1/forms", {"name": "", "type": "popup"}) == (
        422,
        {"errors": ["name can't be blank", "type must be one of: embed, hosted"]},
    )


def test_it_makes_templates(alice: Caller) -> None:
    first = alice.post("/ext/v1/email_templates", {"name": "A", "html": "{{ message_content }}", "is_default": True})
    second = alice.post("/ext/v1/email_templates", {"name": "B", "html": "{{message_content}}", "is_default": True})
    assert first[0] == second[0] == 201
    listed = alice.get("/v4/email_templates")[1]["email_templates"]
    assert [(row["name"], row["is_default"], row["category"]) for row in listed] == [
        ("B", True, "HTML"),
        ("A", False, "HTML"),
    ]


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("", "html can't be blank"),
        (None, "html can't be blank"),
        ("<p>Hi</p>", "html must contain {{ message_content }}"),
        ("{% if %}{{ message_content }}", "Invalid Liquid in html"),
    ],
)
def test_it_refuses_templates_that_cannot_work(alice: Caller, html: Any, problem: str) -> None:
    status, answer = alice.post("/ext/v1/email_templates", {"name": " ", "html": html})
    assert status == 422
    assert answer["errors"][0] == "name can't be blank"
    assert answer["errors"][1].startswith(problem)


def test_it_makes_segments(alice: Caller) -> None:
    tag, sequence = factories.make_tag(alice.account), factories.make_sequence(alice.account)
    field = alice.post("/v4/custom_fields", {"label": "Company"})[1]["custom_field"]
    conditions = [
        {"type": "tag", "operator": "in", "ids": [tag.pk, tag.pk]},
        {"type": "sequence", "operator": "not_in", "ids": [sequence.pk]},
        {"type": "field", "operator": "equals", "key": "company", "value": "Acme"},
        {"type": "field", "operator": "is_set", "key": "company"},
    ]
    body = {"name": "Acme", "filter": {"match": "any", "conditions": conditions}}
    status, answer = alice.post("/ext/v1/segments", body)
    assert status == 201
    assert alice.get("/v4/segments")[1]["segments"] == [answer["segment"]]
    assert Segment.objects.get().filter == {
        "match": "any",
        "conditions": [
            {"type": "tag", "operator": "in", "ids": [tag.pk]},
            {"type": "sequence", "operator": "not_in", "ids": [sequence.pk]},
            {"type": "field", "operator": "equals", "field_id": str(field["id"]), "value": "Acme"},
            {"type": "field", "operator": "is_set", "field_id": str(field["id"])},
        ],
    }


def test_a_segment_refers_to_what_exists_here(alice: Caller, mallory: Caller) -> None:
    foreign_tag, foreign_sequence = factories.make_tag(mallory.account), factories.make_sequence(mallory.account)
    conditions = [
        {"type": "tag", "operator": "in", "ids": [foreign_tag.pk]},
        {"type": "sequence", "operator": "has", "ids": [foreign_sequence.pk]},
        {"type": "form", "operator": "in", "ids": []},
        {"type": "field", "operator": "equals", "key": "shoe"},
    ]
    assert alice.post("/ext/v1/segments", {"name": "x", "filter": {"conditions": conditions}}) == (
        422,
        {
            "errors": [
                "filter.conditions[1].operator must be one of: in, not_in",
                f"filter.conditions[0].ids contains the unknown tag {foreign_tag.pk}",
                f"filter.conditions[1].ids contains the unknown sequence {foreign_sequence.pk}",
                "filter.conditions[2].ids can't be blank",
                "filter.conditions[3].key is not the key of a custom field",
                "filter.conditions[3].value can't be blank",
            ]
        },
    )
    assert alice.post("/ext/v1/segments", {"filter": {"conditions": [{"type": "x", "operator": "in"}, 3]}}) == (
        422,
        {
            "errors": [
                "name can't be blank",
                "filter.conditions[0].type must be one of: tag, form, sequence, field",
                "filter.conditions[1] must be an object",
            ]
        },
    )


def test_it_confirms_people(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account, state="inactive")
    status, answer = alice.post(f"/ext/v1/subscribers/{person.pk}/confirmation", {})
    assert (status, answer["subscriber"]["state"]) == (200, "active")
    assert alice.post(f"/ext/v1/subscribers/{person.pk}/confirmation")[0] == 200


def test_it_shows_and_empties_the_inbox(alice: Caller, mallory: Caller, now: Any) -> None:
    for caller, to in ((alice, "a@x.io"), (alice, "b@x.io"), (mallory, "a@x.io")):
        CapturedMessage.objects.create(
            account=caller.account,
            to=to,
            from_address="me@x.io",
            subject="Hi",
            message_id="<1@x>",
            sent_at=now,
            raw=b"Subject: Hi\r\nContent-Type: text/plain\r\n\r\nHello\r\n",
        )
    messages = alice.get("/ext/v1/inbox")[1]["messages"]
    assert [message["to"] for message in messages] == ["a@x.io", "b@x.io"]
    assert set(messages[0]) == {"id", "to", "from", "subject", "sent_at", "message_id", "headers", "text", "html"}
    assert len(alice.get("/ext/v1/inbox", to="B@x.io")[1]["messages"]) == 1
    rest = alice.get(
        "/ext/v1/inbox", per_page=1, after=alice.get("/ext/v1/inbox", per_page=1)[1]["pagination"]["end_cursor"]
    )
    assert [message["to"] for message in rest[1]["messages"]] == ["b@x.io"]
    assert alice.delete("/ext/v1/inbox") == (204, None)
    assert alice.get("/ext/v1/inbox")[1]["messages"] == []
    assert len(mallory.get("/ext/v1/inbox")[1]["messages"]) == 1


def test_no_message_poisons_the_inbox(alice: Caller, now: Any) -> None:
    """After 2,000 nested messages the list was a 500 until it was emptied."""
    sources = [
        b"Content-Type: message/rfc822\r\n\r\n" * 2000,
        b"Content-Type: text/html; charset=unicode_escape\r\n\r\n\\ud800",
        b"Subject: well\r\n\r\nHello",
    ]
    for raw in sources:
        CapturedMessage.objects.create(account=alice.account, to="a@x.io", sent_at=now, raw=raw)
    status, answer = alice.get("/ext/v1/inbox")
    assert status == 200
    assert [message["html"] or message["text"] for message in answer["messages"]] == [
        sources[0].decode(),
        "\\ud800",
        "Hello",
    ]


def test_it_tells_and_moves_the_clock(alice: Caller) -> None:
    assert alice.get("/ext/v1/clock") == (200, {"clock": {"now": "2026-11-23T09:00:00Z", "virtual": True}})
    moved = {"clock": {"now": "2026-11-23T10:00:00Z", "virtual": True}, "sent": 0, "failed": 0}
    assert alice.post("/ext/v1/clock/advance", {"seconds": 3600}) == (200, moved)
    assert alice.post("/ext/v1/clock/advance", {"to": "2026-11-23T10:00:00Z"}) == (200, moved)
    assert alice.post("/ext/v1/clock/advance", {"seconds": 0})[0] == 200


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "Either seconds or to must be given"),
        ({"seconds": 1, "to": "2026-12-01T00:00:00Z"}, "Give either seconds or to, not both"),
        ({"seconds": -1}, "seconds must be an integer between 0 and 3162240000"),
        ({"seconds": "1"}, "seconds must be an integer between 0 and 3162240000"),
        ({"seconds": True}, "seconds must be an integer between 0 and 3162240000"),
        ({"seconds": 10**30}, "seconds must be an integer between 0 and 3162240000"),
        ({"to": "soon"}, "to must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"),
        ({"to": 3}, "to must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"),
    ],
)
def test_it_refuses_to_move_the_clock_so(alice: Caller, body: Any, problem: str) -> None:
    assert alice.post("/ext/v1/clock/advance", body) == (422, {"errors": [problem]})


def test_it_never_moves_the_clock_backwards(alice: Caller) -> None:
    status, answer = alice.post("/ext/v1/clock/advance", {"to": "2026-11-23T08:59:59Z"})
    assert status == 422
    assert answer["errors"][0].startswith("The clock cannot be moved backwards")


def test_a_real_clock_does_not_move(alice: Caller, settings: Any) -> None:
    settings.DRIPSTONE_VIRTUAL_CLOCK = False
    assert alice.get("/ext/v1/clock")[1]["clock"]["virtual"] is False
    assert alice.post("/ext/v1/clock/advance", {"seconds": 1})[0] == 422
