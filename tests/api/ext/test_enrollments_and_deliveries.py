"""What the engine is doing, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.engine import identity, reasons
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9

NOT_FOUND = (404, {"errors": ["Not Found"]})


@pytest.fixture
def sequence(alice: Caller) -> Sequence:
    return factories.make_sequence(alice.account, {"delay_value": 2, "delay_unit": "hours"})


def enter(sequence: Sequence) -> Enrollment:
    return factories.make_enrollment(sequence, factories.make_subscriber(sequence.account))


def deliver(place: Enrollment, **values: Any) -> Delivery:
    return Delivery.objects.create(
        **{
            "account_id": place.account_id,
            "sequence_id": place.sequence_id,
            "subscriber_id": place.subscriber_id,
            "enrollment": place,
            "run": place.run,
            "email": place.sequence.emails.first(),
            "status": "sent",
            "attempt": 1,
            "planned_at": MONDAY_9,
            "sent_at": MONDAY_9 + timedelta(seconds=2),
            "ended_at": MONDAY_9 + timedelta(seconds=2),
            **values,
        }
    )


def test_it_lists_enrollments(alice: Caller, sequence: Sequence) -> None:
    place = enter(sequence)
    shape = {
        "id": place.pk,
        "sequence_id": sequence.pk,
        "subscriber_id": place.subscriber_id,
        "status": "active",
        "run": 1,
        "entered_at": "2026-11-23T09:00:00Z",
        "next_email_id": sequence.emails.get().pk,
        "due_at": "2026-11-23T11:00:00Z",
        "paused_at": None,
        "completed_at": None,
    }
    status, answer = alice.get("/ext/v1/enrollments")
    assert (status, answer["enrollments"]) == (200, [shape])
    assert set(answer) == {"enrollments", "pagination"}
    assert alice.get(f"/ext/v1/enrollments/{place.pk}") == (200, {"enrollment": shape})


def test_it_lists_deliveries(alice: Caller, sequence: Sequence) -> None:
    delivery = deliver(enter(sequence))
    shape = {
        "id": delivery.pk,
        "sequence_id": sequence.pk,
        "email_id": delivery.email_id,
        "subscriber_id": delivery.subscriber_id,
        "broadcast_id": None,
        "run": 1,
        "status": "sent",
        "reason": None,
        "reason_text": None,
        "reply": None,
        "attempts": 1,
        "planned_at": "2026-11-23T09:00:00Z",
        "sent_at": "2026-11-23T09:00:02Z",
        "message_id": identity.message_id(delivery.pk),
    }
    status, answer = alice.get("/ext/v1/deliveries")
    assert (status, answer["deliveries"]) == (200, [shape])
    assert alice.get(f"/ext/v1/deliveries/{delivery.pk}") == (200, {"delivery": shape})


def test_a_skipped_delivery_says_why(alice: Caller, sequence: Sequence) -> None:
    tag = factories.make_tag(alice.account, name="VIP")
    deliver(enter(sequence), status="skipped", reason=reasons.excluded("tag", tag.pk), attempt=0, sent_at=None)
    row = alice.get("/ext/v1/deliveries")[1]["deliveries"][0]
    assert (row["status"], row["attempts"], row["sent_at"]) == ("skipped", 0, None)
    assert (row["reason"], row["reply"]) == (f"excluded:tag:{tag.pk}", None)
    assert row["reason_text"] == "They have the tag “VIP”, which this sequence excludes."


def test_what_the_mail_server_answered_stands_beside_the_reason(alice: Caller, sequence: Sequence) -> None:
    lost = deliver(
        enter(sequence), status="failed", reason=reasons.BOUNCED, reply="550 5.1.1 No such user", sent_at=None
    )
    row = alice.get(f"/ext/v1/deliveries/{lost.pk}")[1]["delivery"]
    assert (row["reason"], row["reply"]) == ("bounced", "550 5.1.1 No such user")
    assert row["reason_text"] == "The mail server says that the address does not exist."


def ids(caller: Caller, kind: str, **query: Any) -> list[int]:
    status, answer = caller.get(f"/ext/v1/{kind}", **query)
    assert status == 200, answer
    return [row["id"] for row in answer[kind]]


def test_enrollments_are_filtered(alice: Caller, sequence: Sequence) -> None:
    other = factories.make_sequence(alice.account)
    first, second, elsewhere = enter(sequence), enter(sequence), enter(other)
    Enrollment.objects.filter(pk=first.pk).update(
        status="completed", completed_at=MONDAY_9, next_email=None, due_at=None
    )
    assert ids(alice, "enrollments") == [elsewhere.pk, second.pk, first.pk]
    assert ids(alice, "enrollments", sequence_id=sequence.pk) == [second.pk, first.pk]
    assert ids(alice, "enrollments", sequence_id=sequence.pk, status="active") == [second.pk]
    assert ids(alice, "enrollments", subscriber_id=first.subscriber_id) == [first.pk]
    assert ids(alice, "enrollments", status="completed") == [first.pk]
    assert ids(alice, "enrollments", sequence_id=2**62) == []
    assert ids(alice, "enrollments", status="", sequence_id="") == [elsewhere.pk, second.pk, first.pk]


def test_deliveries_are_filtered(alice: Caller, sequence: Sequence) -> None:
    first = deliver(enter(sequence))
    second = deliver(enter(sequence), status="failed", reason=reasons.REFUSED, sent_at=None)
    other = deliver(enter(factories.make_sequence(alice.account, {"delay_value": 1})))
    assert ids(alice, "deliveries") == [other.pk, second.pk, first.pk]
    assert ids(alice, "deliveries", sequence_id=sequence.pk, status="sent") == [first.pk]
    assert ids(alice, "deliveries", email_id=other.email_id) == [other.pk]
    assert ids(alice, "deliveries", subscriber_id=second.subscriber_id) == [second.pk]
    assert ids(alice, "deliveries", status="planned") == []


def test_lists_come_in_pages(alice: Caller, sequence: Sequence) -> None:
    made = [deliver(enter(sequence)).pk for _ in range(3)][::-1]
    first = alice.get("/ext/v1/deliveries", per_page=2, include_total_count="true")[1]
    assert ([row["id"] for row in first["deliveries"]], first["pagination"]["total_count"]) == (made[:2], 3)
    assert ids(alice, "deliveries", per_page=2, after=first["pagination"]["end_cursor"]) == made[2:]


def test_the_mail_of_a_sequence_comes_in_pages_whichever_of_its_emails_it_is(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, {"delay_value": 1}, {"delay_value": 2})
    emails = list(sequence.emails.order_by("position"))
    deliver(enter(factories.make_sequence(alice.account, {"delay_value": 1})))
    made = [deliver(enter(sequence), email=emails[i % 2]).pk for i in range(5)][::-1]
    query = {"sequence_id": sequence.pk, "per_page": 2}
    first = alice.get("/ext/v1/deliveries", **query)[1]["pagination"]
    second = alice.get("/ext/v1/deliveries", after=first["end_cursor"], **query)[1]["pagination"]
    assert ids(alice, "deliveries", **query) == made[:2]
    assert ids(alice, "deliveries", after=first["end_cursor"], **query) == made[2:4]
    assert ids(alice, "deliveries", after=second["end_cursor"], **query) == made[4:]
    assert ids(alice, "deliveries", before=second["start_cursor"], **query) == made[:2]
    assert (first["has_previous_page"], first["has_next_page"]) == (False, True)
    assert (second["has_previous_page"], second["has_next_page"]) == (True, True)


@pytest.mark.parametrize(
    ("kind", "query", "sentence"),
    [
        ("enrollments", {"status": "cancelled"}, "status must be one of: unconfirmed, active, completed, removed"),
        (
            "deliveries",
            {"status": "delivered"},
            "status must be one of: planned, sending, sent, skipped, failed, unknown",
        ),
        ("deliveries", {"email_id": "x"}, "email_id must be an id"),
        ("enrollments", {"sequence_id": "1.5"}, "sequence_id must be an id"),
        ("enrollments", {"subscriber_id": str(10**30)}, "subscriber_id must be an id"),
    ],
)
def test_wrong_filters_are_refused(alice: Caller, kind: str, query: dict[str, Any], sentence: str) -> None:
    assert alice.get(f"/ext/v1/{kind}", **query) == (422, {"errors": [sentence]})


def test_unknown_ids_are_not_found(alice: Caller) -> None:
    for kind in ("enrollments", "deliveries"):
        for wrong in ("0", str(10**30), "x"):
            assert alice.get(f"/ext/v1/{kind}/{wrong}") == NOT_FOUND
