"""Why, over HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone import clock
from dripstone.engine import plan, virtual
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9

NOT_FOUND = (404, {"errors": ["Not Found"]})


@pytest.fixture(autouse=True)
def worker(clock: Any) -> None:
    """One that has just shown itself, by the machine's clock."""
    from dripstone import clock as machine

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [machine.system_now()])


@pytest.fixture
def sequence(alice: Caller) -> Sequence:
    return factories.make_sequence(
        alice.account,
        {"subject": "Welcome", "delay_value": 0, "content": "<p>Hello</p>"},
        {"subject": "Second", "delay_value": 5, "content": "<p>Hello</p>"},
        send_days=[0, 1, 2, 3, 4],
        time_zone="Europe/Paris",
    )


@pytest.fixture
def place(sequence: Sequence) -> Enrollment:
    return factories.make_enrollment(sequence, factories.make_subscriber(sequence.account))


def test_a_journey_has_figures_beside_the_sentences(alice: Caller, place: Enrollment) -> None:
    welcome, second = place.sequence.emails.order_by("position")
    virtual.advance_to(clock.now(), 0)
    status, answer = alice.get(f"/ext/v1/enrollments/{place.pk}/journey")
    assert status == 200
    journey = answer["journey"]
    assert journey["enrollment"]["id"] == place.pk
    assert journey["time_zone"] == "Europe/Paris"
    assert journey["waiting_because"] is None
    assert journey["sentence"] == (
        "Next is “Second”, on Monday, 30 November 2026 at 09:00 (Europe/Paris). "
        "They have been sent 1 email in this run so far."
    )
    assert [one["outcome"] for one in journey["emails"]] == ["sent", "next"]
    assert journey["emails"][0]["rule"]["anchor"] == {"kind": "entered", "at": "2026-11-23T09:00:00Z", "email_id": None}
    following = journey["emails"][1]
    assert (following["email_id"], following["at"]) == (second.pk, "2026-11-30T08:00:00Z")
    assert following["rule"] == {
        "anchor": {"kind": "sent", "at": "2026-11-23T09:00:00Z", "email_id": welcome.pk},
        "delay_value": 5,
        "delay_unit": "days",
        "send_days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
        "send_hour": 9,
        "time_zone": "Europe/Paris",
        "counted_to": "2026-11-28",
        "moved_to": "2026-11-30",
        "due_at": "2026-11-30T08:00:00Z",
    }
    assert (journey["notes"], journey["earlier_runs"]) == ([], [])


def test_notes_carry_actor_and_reason(alice: Caller, place: Enrollment) -> None:
    virtual.advance_to(clock.now(), 0)
    assert alice.post(f"/ext/v1/enrollments/{place.pk}/pause", {"reason": "on holiday"})[0] == 200
    journey = alice.get(f"/ext/v1/enrollments/{place.pk}/journey")[1]["journey"]
    (note,) = journey["notes"]
    assert (note["kind"], note["reason"]) == ("paused", "on holiday")
    said = "On Monday, 23 November 2026 at 10:00 (Europe/Paris) they were paused: on holiday"
    assert note["sentence"].startswith(said)
    assert journey["waiting_because"] == "person_paused"
    assert journey["emails"][1]["outcome"] == "waiting"


@pytest.mark.parametrize("text", ["excluded by tag {}", "excluded:tag:{}"])
def test_an_owners_words_do_not_become_an_exclusion(alice: Caller, place: Enrollment, text: str) -> None:
    """Given while mail is planned: the delivery ends by the removal, whatever the owner writes about it."""
    tag = factories.make_tag(alice.account, name="Customer")
    plan.everything_due(clock.now())
    reason = {"reason": text.format(tag.pk)}
    assert alice.post(f"/ext/v1/enrollments/{place.pk}/remove", reason)[0] == 200
    journey = alice.get(f"/ext/v1/enrollments/{place.pk}/journey")[1]["journey"]
    step = journey["emails"][0]
    assert "because the owner took them out of the sequence" in step["sentence"]
    assert (step["outcome"], step["reason"], step["reply"]) == ("skipped", "removed_by_owner", None)
    assert step["reason_text"] == "The owner took them out of the sequence."


def test_a_journey_outlives_its_sequence(alice: Caller, place: Enrollment) -> None:
    virtual.advance_to(clock.now(), 0)
    alice.delete(f"/v4/sequences/{place.sequence_id}")
    virtual.advance_to(clock.now(), 0)
    journey = alice.get(f"/ext/v1/enrollments/{place.pk}/journey")[1]["journey"]
    assert "because the sequence was deleted" in journey["emails"][1]["sentence"]


def test_health_says_what_goes_out_next(alice: Caller, place: Enrollment) -> None:
    virtual.advance_to(clock.now(), 0)
    status, answer = alice.get(f"/ext/v1/sequences/{place.sequence_id}/health")
    assert status == 200
    assert answer["health"] == {
        "sequence_id": place.sequence_id,
        "healthy": True,
        "sentence": "All is well. 1 person is inside. "
        "Next: “Second”, for 1 person, on Monday, 30 November 2026 at 09:00 (Europe/Paris).",
        "people": {"active": 1, "unconfirmed": 0, "completed": 0, "paused": 0, "with_a_date": 1, "in_flight": 0},
        "next": {"email_id": place.sequence.emails.get(position=1).pk, "at": "2026-11-30T08:00:00Z", "people": 1},
        "findings": [],
    }


@pytest.mark.parametrize("broken", ["inactive", "all_drafts", "no_emails", "everybody_excluded", "missing_snippet",
                                    "unknown_field", "field_without_fallback", "sender_unverified"])  # fmt: skip
def test_the_call_a_finding_names_mends_it(alice: Caller, place: Enrollment, broken: str) -> None:
    sequence = place.sequence
    virtual.advance_to(clock.now(), 0)
    if broken == "inactive":
        alice.put(f"/v4/sequences/{sequence.pk}", {"active": False})
    elif broken == "all_drafts":
        for email in sequence.emails.all():
            alice.put(f"/v4/sequences/{sequence.pk}/emails/{email.pk}", {"published": False})
    elif broken == "no_emails":
        for email in sequence.emails.all():
            alice.delete(f"/v4/sequences/{sequence.pk}/emails/{email.pk}")
    elif broken == "everybody_excluded":
        tag = factories.make_tag(alice.account, place.subscriber)
        sources = [{"type": "tag", "ids": [tag.pk]}]
        alice.put(f"/v4/sequences/{sequence.pk}", {"exclude_subscriber_sources": sources})
    elif broken == "sender_unverified":
        alice.account.sending_addresses.update(is_verified=False)
        alice.account.sending_addresses.create(email_address="good@example.com", created_at=MONDAY_9)
    else:
        content = {
            "missing_snippet": "{{ snippet.cat-fact }}",
            "unknown_field": "{{ subscriber.shoe_size | default: '' }}",
            "field_without_fallback": "{{ subscriber.first_name }}",
        }[broken]
        email = sequence.emails.get(position=0)
        alice.put(f"/v4/sequences/{sequence.pk}/emails/{email.pk}", {"content": content})

    def health() -> Any:
        virtual.advance_to(clock.now(), 0)
        return alice.get(f"/ext/v1/sequences/{sequence.pk}/health")[1]["health"]

    (finding,) = (one for one in health()["findings"] if one["code"] == broken)
    mend = finding["mend"]
    assert alice.send(mend["method"], mend["path"], mend["body"])[0] < 300
    assert broken not in [one["code"] for one in health()["findings"]]


def test_a_deleted_sequence_has_no_health(alice: Caller, sequence: Sequence) -> None:
    Sequence.objects.update(deleted_at=datetime(2026, 11, 23, tzinfo=UTC))
    assert alice.get(f"/ext/v1/sequences/{sequence.pk}/health") == NOT_FOUND


def test_both_calls_ask_the_database_a_few_times(alice: Caller, place: Enrollment) -> None:
    for path in (f"/ext/v1/enrollments/{place.pk}/journey", f"/ext/v1/sequences/{place.sequence_id}/health"):
        with CaptureQueriesContext(connection) as asked:
            alice.get(path)
        assert len(asked) <= 16, [query["sql"] for query in asked]
