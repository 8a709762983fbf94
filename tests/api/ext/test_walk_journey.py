"""What comes for a person in an automation, or why they are not inside."""

from datetime import timedelta

import pytest

from tests.api.caller import Caller
from tests.automations.drawing import automation, stands, tagging, wait
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_subscriber, make_tag
from tests.rules.making import tag_added

pytestmark = pytest.mark.django_db


def test_what_comes_is_told_by_node(alice: Caller, clock: VirtualClock) -> None:
    vip, noor = make_tag(alice.account, name="VIP"), make_subscriber(alice.account)
    one = automation(alice.account, wait("w", "t"), tagging("t", vip))
    stands(one, noor, "w", ends_at=MONDAY_9 + timedelta(days=1))
    status, answer = alice.get(f"/ext/v1/automations/{one.pk}/people/{noor.pk}/journey")
    assert status == 200
    assert answer["journey"] == {
        "automation_id": one.pk,
        "subscriber_id": noor.pk,
        "inside": True,
        "now": "Wait 3 days: until Tuesday, 24 November 2026 at 04:00",
        "coming": [
            {"at": "2026-11-24T09:00:00Z", "node": "t", "sentence": "Add the tag “VIP”", "email_id": None},
            {
                "at": "2026-11-24T09:00:00Z",
                "node": None,
                "sentence": "They leave: nothing comes next",
                "email_id": None,
            },
        ],
        "depends_on": None,
        "unless": [],
        "why_not": [],
    }


def test_why_somebody_is_not_inside_is_told(alice: Caller, clock: VirtualClock) -> None:
    vip, noor = make_tag(alice.account, name="VIP"), make_subscriber(alice.account)
    one = automation(alice.account, wait("w"), when=tag_added(vip), is_on=False)
    _, answer = alice.get(f"/ext/v1/automations/{one.pk}/people/{noor.pk}/journey")
    assert not answer["journey"]["inside"] and answer["journey"]["now"] is None
    assert answer["journey"]["why_not"] == [
        "The automation is switched off: nobody enters.",
        "An entry waits until the person gets the tag “VIP”: that has not happened to them.",
    ]
