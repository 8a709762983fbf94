"""What the API says became of a sequence."""

import pytest

from dripstone.engine import life, plan, reasons, transitions
from dripstone.senders.memory import MemorySender
from dripstone.sequences.models import Sequence
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def course(alice: Caller) -> Sequence:
    """Three people: one is taken out, the others complete it."""
    sequence = make_sequence(alice.account, {"subject": "Hello", "delay_value": 0})
    places = [make_enrollment(sequence, make_subscriber(alice.account)) for _ in range(3)]
    transitions.remove([places[0].pk], reasons.REMOVED_BY_OWNER, MONDAY_9)
    plan.everything_due(MONDAY_9)
    while life.send_batch("worker", MemorySender(), lambda: MONDAY_9):
        pass
    return sequence


def test_it_says_what_became_of_each_email_and_of_everybody(alice: Caller, course: Sequence) -> None:
    status, document = alice.get(f"/ext/v1/sequences/{course.pk}/report")
    report = document["report"]
    periods = report.pop("periods")
    assert status == 200
    assert report == {
        "sequence_id": course.pk,
        "entered": 3,
        "active": 0,
        "unconfirmed": 0,
        "completed": 2,
        "removed": 1,
        "sent": 2,
        "left_before_first": [{"how": "taken_out", "people": 1}],
        "emails": [
            {
                "email_id": course.emails.get().pk,
                "position": 0,
                "subject": "Hello",
                "published": True,
                "waiting": 0,
                "sent": 2,
                "skipped": 0,
                "skipped_because": [],
                "failed": 0,
                "unknown": 0,
                "unsubscribed": 0,
                "unsubscribe_rate": 0.0,
                "refused_at_delivery": 0,
                "refusal_rate": 0.0,
                "left_after": [{"how": "completed", "people": 2}],
            }
        ],
        "deleted_emails": {"emails": 0, "sent": 0, "left_after": []},
        "unit": "week",
    }
    assert len(periods) == 13
    assert periods[-1] == {
        "begins": "2026-11-23",
        "sent": 2,
        "completed": 2,
        "unsubscribed": 0,
        "refused_at_delivery": 0,
        "taken_out": 1,
        "left_otherwise": 0,
    }


def test_a_year_is_52_weeks_and_all_of_it_is_by_month(alice: Caller, course: Sequence) -> None:
    year = alice.get(f"/ext/v1/sequences/{course.pk}/report?span=year")[1]["report"]
    everything = alice.get(f"/ext/v1/sequences/{course.pk}/report?span=all")[1]["report"]
    assert (year["unit"], len(year["periods"])) == ("week", 52)
    assert (everything["unit"], everything["periods"][-1]["begins"]) == ("month", "2026-11-01")


def test_another_span_is_refused(alice: Caller, course: Sequence) -> None:
    status, document = alice.get(f"/ext/v1/sequences/{course.pk}/report?span=week")
    assert (status, document) == (422, {"errors": ["span must be one of: quarter, year, all"]})
