"""Webhooks of before by API: https://developers.kit.com/api-reference/webhooks-legacy"""

from typing import Any

import pytest

from dripstone.webhooks import kinds
from dripstone.webhooks.models import Webhook
from tests import owned
from tests.api.caller import Caller

URL = "https://example.convertkit.dev/"
THINGS = {
    "form_id": "forms",
    "tag_id": "tags",
    "sequence_id": "sequences",
    "custom_field_id": "custom_fields",
    "product_id": "products",
}


def event(name: str, **thing: Any) -> dict[str, Any]:
    """As Kit's clients send it: with all members, most of them null."""
    members = ("form_id", "tag_id", "sequence_id", "product_id", "initiator_value", "custom_field_id")
    return {"target_url": URL, "event": {"name": name, **dict.fromkeys(members), **thing}}


@pytest.mark.parametrize("name", list(kinds.LEGACY))
def test_each_kind_can_be_asked_for(alice: Caller, name: str) -> None:
    ids = owned.one_of_each(alice.account)
    member = kinds.LEGACY[name].member
    thing = {member: ids[THINGS[member]]} if member in THINGS else {member: 7} if member else {}
    status, answer = alice.post("/v4/webhooks", event(name, **thing))
    assert status == 201
    shown = {"name": name.partition(".")[2], **thing}
    made = {"id": answer["webhook"]["id"], "account_id": alice.account.pk, "target_url": URL}
    assert answer["webhook"] == made | {"event": shown | {"initiator_value": None}}
    assert alice.get("/v4/webhooks")[1]["webhooks"][0] == made | {"event": shown}
    assert alice.delete(f"/v4/webhooks/{made['id']}") == (204, None)
    assert alice.delete(f"/v4/webhooks/{made['id']}") == (404, {"errors": ["Not Found"]})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "`event` and `target` parameters must be provided"),
        ({"target_url": URL}, "`event` and `target` parameters must be provided"),
        ({"event": {"name": "subscriber.subscriber_activate"}}, "`event` and `target` parameters must be provided"),
        ({"target_url": URL, "event": "tag_add"}, "event must be an object"),
        ({"target_url": URL, "event": []}, "`event` and `target` parameters must be provided"),
        ({"target_url": 7, **{"event": {"name": "subscriber.subscriber_activate"}}}, "target_url must be a string"),
        (event("subscriber.tag_add"), "event.tag_id can't be blank"),
        (event("subscriber.tag_add", tag_id="x"), "event.tag_id must be an id"),
        (event("subscriber.tag_add", tag_id=2**62), "event.tag_id: there is no such tag"),
        (
            event("subscriber.link_click", initiator_value="https://a.example"),
            "event.name: subscriber.link_click is not available yet, since clicks are not recorded",
        ),
        (
            event("subscriber.subscriber_activate") | {"target_url": "http://192.168.0.1/"},
            "target_url must be public: it leads to this machine or a private network",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(alice: Caller, body: Any, sentence: str) -> None:
    assert alice.post("/v4/webhooks", body) == (422, {"errors": [sentence]})
    assert not Webhook.objects.exists()


def test_an_unknown_event_is_refused(alice: Caller) -> None:
    status, answer = alice.post("/v4/webhooks", event("tag_add"))
    assert status == 422
    assert answer["errors"][0].startswith("event.name must be one of: subscriber.subscriber_activate, ")
