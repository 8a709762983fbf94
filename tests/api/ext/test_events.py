"""What happened, as the API tells it."""

import pytest

from dripstone.events import causes
from dripstone.subscribers import tags
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_subscriber, make_tag

pytestmark = pytest.mark.django_db


def test_it_tells_each_event_with_its_chain_in_words_page_by_page(alice: Caller) -> None:
    noor, ivo = (make_subscriber(alice.account) for _ in range(2))
    vip = make_tag(alice.account, name="VIP")
    tags.add(vip, noor, MONDAY_9, cause=("api", "rule 7", "rule 8"))
    tags.add(vip, ivo, MONDAY_9, cause=causes.quietly(causes.imported(4)))
    status, newest = alice.get("/ext/v1/events?type=subscriber.tag_added&per_page=1")
    assert status == 200
    assert [(one["subscriber_id"], one["cause_text"]) for one in newest["events"]] == [
        (ivo.pk, "by the import 4 (rules were told not to fire)")
    ]
    cursor = newest["pagination"]["end_cursor"]
    _, oldest = alice.get(f"/ext/v1/events?type=subscriber.tag_added&per_page=1&after={cursor}")
    (told,) = oldest["events"]
    assert told["sentence"] == "Got the tag “VIP”, by the rule 8, after the rule 7, by API"
    assert told["cause"] == ["api", "rule 7", "rule 8"]
    assert not oldest["pagination"]["has_next_page"]


def test_it_tells_of_one_person_and_of_one_cause(alice: Caller) -> None:
    noor, ivo = (make_subscriber(alice.account) for _ in range(2))
    vip = make_tag(alice.account, name="VIP")
    tags.add(vip, noor, MONDAY_9, cause=("api", "rule 7"))
    tags.add(vip, ivo, MONDAY_9, cause=("api", "rule 70"))
    _, by_rule = alice.get("/ext/v1/events?cause=rule%207")
    assert [one["subscriber_id"] for one in by_rule["events"]] == [noor.pk]
    _, of_ivo = alice.get(f"/ext/v1/subscribers/{ivo.pk}/events?cause=rule")
    assert [one["cause"] for one in of_ivo["events"]] == [["api", "rule 70"]]
