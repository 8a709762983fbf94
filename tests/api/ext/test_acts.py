"""One person's place over HTTP: what an owner may do to it, and what has been done."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.engine import plan, virtual
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.sequences.models import Sequence
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9

NOT_FOUND = (404, {"errors": ["Not Found"]})
VERBS = ["pause", "resume", "skip", "send_now", "move", "restart", "remove"]


@pytest.fixture
def sequence(alice: Caller) -> Sequence:
    hours = {"delay_value": 2, "delay_unit": "hours"}
    return factories.make_sequence(alice.account, hours, hours, hours)


@pytest.fixture
def place(sequence: Sequence) -> Enrollment:
    return factories.make_enrollment(sequence, factories.make_subscriber(sequence.account))


def do(caller: Caller, place: Enrollment, verb: str, body: Any = None) -> Any:
    """The enrollment as answered."""
    status, answer = caller.post(f"/ext/v1/enrollments/{place.pk}/{verb}", body)
    assert (status, list(answer)) == (200, ["enrollment"]), answer
    return answer["enrollment"]


def refusal(caller: Caller, place: Enrollment, verb: str, body: Any = None) -> list[str]:
    status, answer = caller.post(f"/ext/v1/enrollments/{place.pk}/{verb}", body)
    assert status == 422, answer
    errors: list[str] = answer["errors"]
    return errors


def emails(sequence: Sequence) -> list[int]:
    return list(sequence.emails.order_by("position").values_list("pk", flat=True))


def test_pause_and_resume(alice: Caller, place: Enrollment) -> None:
    paused = do(alice, place, "pause", {"reason": "on holiday"})
    assert (paused["status"], paused["due_at"], paused["paused_at"]) == ("active", None, "2026-11-23T09:00:00Z")
    assert alice.get(f"/ext/v1/enrollments/{place.pk}") == (200, {"enrollment": paused})
    resumed = do(alice, place, "resume")
    assert (resumed["due_at"], resumed["paused_at"]) == ("2026-11-23T11:00:00Z", None)


def test_skip(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    answer = do(alice, place, "skip", {})
    assert (answer["next_email_id"], answer["due_at"]) == (emails(sequence)[1], "2026-11-23T11:00:00Z")
    deliveries = alice.get("/ext/v1/deliveries")[1]["deliveries"]
    assert [(row["email_id"], row["status"], row["reason"]) for row in deliveries] == [
        (emails(sequence)[0], "skipped", "skipped_by_owner")
    ]


def test_send_now(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    assert do(alice, place, "send_now")["next_email_id"] == emails(sequence)[0]
    virtual.advance_to(MONDAY_9, alice.account.pk)
    sent = alice.get("/ext/v1/deliveries")[1]["deliveries"]
    assert [(row["status"], row["sent_at"]) for row in sent] == [("sent", "2026-11-23T09:00:00Z")]


def test_move(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    answer = do(alice, place, "move", {"email_id": emails(sequence)[2], "reason": "knows the rest"})
    assert (answer["next_email_id"], answer["due_at"]) == (emails(sequence)[2], "2026-11-23T11:00:00Z")


def test_restart(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    do(alice, place, "skip")
    answer = do(alice, place, "restart")
    assert (answer["run"], answer["next_email_id"]) == (2, emails(sequence)[0])


def test_remove(alice: Caller, place: Enrollment) -> None:
    answer = do(alice, place, "remove", {"reason": "asked by phone"})
    assert (answer["status"], answer["next_email_id"], answer["due_at"]) == ("removed", None, None)


def test_what_can_not_be_done_is_said_in_a_sentence(alice: Caller, place: Enrollment) -> None:
    assert refusal(alice, place, "resume") == ["This person is not paused"]
    do(alice, place, "pause")
    assert refusal(alice, place, "pause") == ["This person is paused already"]
    assert refusal(alice, place, "send_now") == ["This person is paused: resume them first"]
    do(alice, place, "remove")
    assert refusal(alice, place, "remove") == ["This person has been removed already"]
    assert refusal(alice, place, "skip") == [
        "This person has been removed from the sequence: restart them, or add them again"
    ]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "email_id can't be blank"),
        (None, "email_id can't be blank"),
        ({"email_id": "3"}, "email_id must be an id"),
        ({"email_id": 0}, "email_id must be an id"),
        ({"email_id": None}, "email_id can't be blank"),
        ([1], "The request body must be a JSON object"),
        ({"email_id": 3, "reason": 4}, "reason must be a string"),
        ({"email_id": 3, "reason": "x" * 1001}, "reason is too long (maximum is 1000 characters)"),
    ],
)
def test_wrong_bodies_are_refused(alice: Caller, place: Enrollment, body: Any, sentence: str) -> None:
    assert refusal(alice, place, "move", body) == [sentence]
    assert not Note.objects.exists()


def test_a_wrong_reason_is_refused_and_changes_nothing(alice: Caller, place: Enrollment) -> None:
    assert refusal(alice, place, "pause", {"reason": ["x"]}) == ["reason must be a string"]
    place.refresh_from_db()
    assert place.paused_at is None


def test_an_email_of_another_sequence_is_not_found(alice: Caller, mallory: Caller, place: Enrollment) -> None:
    for owner in (alice, mallory):
        other = factories.make_sequence(owner.account, {})
        answer = alice.post(f"/ext/v1/enrollments/{place.pk}/move", {"email_id": emails(other)[0]})
        assert answer == NOT_FOUND


def test_notes_tell_who_did_what_and_why(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    do(alice, place, "pause", {"reason": " on holiday "})
    do(alice, place, "resume", {"reason": None})
    status, answer = alice.get(f"/ext/v1/enrollments/{place.pk}/notes")
    assert (status, set(answer)) == (200, {"notes", "pagination"})
    first, second = answer["notes"]
    assert first == {
        "id": first["id"],
        "at": "2026-11-23T09:00:00Z",
        "kind": "paused",
        "email_id": emails(sequence)[0],
        "due_before": "2026-11-23T11:00:00Z",
        "due_after": None,
        "reason": "on holiday",
        "reason_text": "on holiday",
        "actor": f"API key test (…{alice.key[-4:]})",
    }
    assert (second["kind"], second["due_after"], second["reason"]) == ("resumed", "2026-11-23T11:00:00Z", None)


def test_notes_come_in_pages(alice: Caller, place: Enrollment) -> None:
    for verb in ("pause", "resume", "skip"):
        do(alice, place, verb)
    path = f"/ext/v1/enrollments/{place.pk}/notes"
    first = alice.get(path, per_page=2, include_total_count="true")[1]
    assert [row["kind"] for row in first["notes"]] == ["paused", "resumed"]
    assert first["pagination"]["total_count"] == 3
    second = alice.get(path, per_page=2, after=first["pagination"]["end_cursor"])[1]
    assert [row["kind"] for row in second["notes"]] == ["skipped"]


def test_reschedule(alice: Caller, place: Enrollment, sequence: Sequence) -> None:
    alice.put(f"/v4/sequences/{sequence.pk}/emails/{emails(sequence)[0]}", {"delay_value": 5})
    assert alice.post(f"/ext/v1/sequences/{sequence.pk}/reschedule") == (202, {})
    virtual.advance_to(MONDAY_9, alice.account.pk)
    place.refresh_from_db()
    assert place.due_at == MONDAY_9 + timedelta(hours=5)
    (note,) = alice.get(f"/ext/v1/enrollments/{place.pk}/notes")[1]["notes"]
    assert (note["kind"], note["reason_text"], note["due_before"], note["due_after"]) == (
        "moved",
        "waiting people rescheduled",
        "2026-11-23T11:00:00Z",
        "2026-11-23T14:00:00Z",
    )


def test_a_deleted_sequence_is_not_rescheduled(alice: Caller, sequence: Sequence) -> None:
    alice.delete(f"/v4/sequences/{sequence.pk}")
    assert alice.post(f"/ext/v1/sequences/{sequence.pk}/reschedule") == NOT_FOUND


@pytest.mark.parametrize("wrong", ["0", "x", str(10**30)])
def test_unknown_ids_are_not_found(alice: Caller, wrong: str) -> None:
    for verb in VERBS:
        assert alice.post(f"/ext/v1/enrollments/{wrong}/{verb}", {"email_id": 1}) == NOT_FOUND
    assert alice.get(f"/ext/v1/enrollments/{wrong}/notes") == NOT_FOUND
    assert alice.post(f"/ext/v1/sequences/{wrong}/reschedule") == NOT_FOUND


def test_kits_way_of_removing_leaves_a_note_too(alice: Caller, place: Enrollment) -> None:
    alice.delete(f"/v4/sequences/{place.sequence_id}/subscribers/{place.subscriber_id}")
    (note,) = alice.get(f"/ext/v1/enrollments/{place.pk}/notes")[1]["notes"]
    assert (note["kind"], note["actor"]) == ("removed", f"API key test (…{alice.key[-4:]})")


def test_a_reason_may_be_left_out_with_the_body(alice: Caller, place: Enrollment) -> None:
    status, answer = alice.raw("post", f"/ext/v1/enrollments/{place.pk}/pause", b"", content_type="")
    assert (status, answer["enrollment"]["paused_at"]) == (200, "2026-11-23T09:00:00Z")


@pytest.fixture
def lost(place: Enrollment) -> Delivery:
    """Their first email left, and nobody answered."""
    plan.everything_due(MONDAY_9 + timedelta(hours=2))
    Delivery.objects.update(status="unknown", ready_at=None, ended_at=MONDAY_9)
    Enrollment.objects.update(in_flight=False)
    return Delivery.objects.get()


def test_an_unknown_email_is_sent_again(alice: Caller, lost: Delivery) -> None:
    status, answer = alice.post(f"/ext/v1/deliveries/{lost.pk}/send_again", {"reason": "he asked"})
    assert (status, answer["delivery"]["status"]) == (200, "planned")
    assert Note.objects.get().reason == "he asked"
    status, answer = alice.post(f"/ext/v1/deliveries/{lost.pk}/send_again")
    assert (status, answer["errors"]) == (
        422,
        ["Only an email that failed or is unknown can be sent again; this one is planned"],
    )


def test_an_unknown_email_is_treated_as_sent(alice: Caller, lost: Delivery) -> None:
    status, answer = alice.post(f"/ext/v1/deliveries/{lost.pk}/treat_as_sent")
    assert (status, answer["delivery"]["status"], answer["delivery"]["sent_at"]) == (
        200,
        "sent",
        "2026-11-23T09:00:00Z",
    )
