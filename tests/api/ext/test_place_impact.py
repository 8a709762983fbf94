"""POST /ext/v1/enrollments/{id}/impact, and If-Match on the acts it foretells."""

from typing import Any

import pytest
from django.db import connection

from dripstone.engine import transitions
from dripstone.engine.models import Delivery, Enrollment, Note
from tests import factories
from tests.api.caller import Caller
from tests.api.ext.test_impact import NOT_FOUND, OTHER_CALL, act
from tests.driving import Engine
from tests.factories import MONDAY_9

MOVED = (412, {"errors": ["This person's place has changed since its impact was told: ask for it again"]})


@pytest.fixture
def place(alice: Caller, engine: Engine) -> Enrollment:
    """They had the welcome on Monday at 9; Rain comes on Wednesday, Rock on Saturday, both at 9."""
    emails = ({"delay_value": 0}, {"subject": "Rain", "delay_value": 2}, {"subject": "Rock", "delay_value": 3})
    sequence = factories.make_sequence(
        alice.account, {"subject": "{{ subscriber.first_name }}"} | emails[0], *emails[1:]
    )
    made = factories.make_enrollment(sequence, factories.make_subscriber(alice.account))
    engine.run()
    return made


def ask(caller: Caller, place: Enrollment, name: str, body: Any = None) -> tuple[int, Any]:
    return ask_about(caller, place, f"/ext/v1/enrollments/{place.pk}/{name}", body)


def ask_about(caller: Caller, place: Enrollment, path: str, body: Any = None) -> tuple[int, Any]:
    change = {"method": "POST", "path": path} | ({} if body is None else {"body": body})
    return caller.post(f"/ext/v1/enrollments/{place.pk}/impact", {"change": change})


def email_id(place: Enrollment, subject: str) -> int:
    return place.sequence.emails.get(subject=subject).pk


def test_it_tells_what_skipping_would_do_to_each_email(alice: Caller, place: Enrollment) -> None:
    status, answer = ask(alice, place, "skip", {"reason": "They know it"})
    told = answer["impact"]
    assert status == 200
    assert told["sentences"] == [
        "“Rain” is skipped; it would have gone on Wed 25 Nov, 09:00",
        "“Rock” goes on Thu 26 Nov, 09:00, instead of Sat 28 Nov, 09:00",
    ]
    assert told["summary"] == f"{'; '.join(told['sentences'])}."
    assert told["right_away"] is None
    assert told["emails"] == [
        {
            "email_id": email_id(place, "Rain"),
            "subject": "Rain",
            "before": {"outcome": "next", "at": "2026-11-25T14:00:00Z"},
            "after": {"outcome": "skipped", "at": "2026-11-23T09:00:00Z"},
        },
        {
            "email_id": email_id(place, "Rock"),
            "subject": "Rock",
            "before": {"outcome": "later", "at": "2026-11-28T14:00:00Z"},
            "after": {"outcome": "next", "at": "2026-11-26T14:00:00Z"},
        },
    ]
    assert (told["before"]["next_email_id"], told["after"]["next_email_id"]) == (
        email_id(place, "Rain"),
        email_id(place, "Rock"),
    )


def test_nothing_is_changed_and_nobody_is_woken(alice: Caller, place: Enrollment) -> None:
    def everything() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM procrastinate_jobs), (SELECT count(*) FROM events_event)")
            counts = cursor.fetchall()
        return [counts, *Enrollment.objects.values(), *Delivery.objects.values(), *Note.objects.values()]

    before = everything()
    for name in ("pause", "skip", "send_now", "restart", "remove"):
        assert ask(alice, place, name)[0] == 200
    assert everything() == before


def test_each_act_does_what_its_impact_said(alice: Caller, place: Enrollment) -> None:
    for name, body in (
        ("pause", {}),
        ("resume", {}),
        ("skip", {}),
        ("move", {"email_id": email_id(place, "Rain")}),
        ("send_now", {}),
        ("restart", {}),
        ("remove", {}),
    ):
        told = ask(alice, place, name, body)[1]["impact"]
        path = f"/ext/v1/enrollments/{place.pk}/{name}"
        status, answer = act(alice, "POST", path, body, f'"{told["token"]}"')
        assert (status, answer["enrollment"]) == (200, told["after"]), name


def test_restarting_says_which_email_goes_right_away(alice: Caller, place: Enrollment) -> None:
    told = ask(alice, place, "restart")[1]["impact"]
    assert told["right_away"] == place.sequence.emails.get(position=0).pk
    assert told["sentences"][0] == "“[first name]” goes again right away"
    assert told["sentences"][-1] == "a new run begins; what they had stays in their history"


def test_a_delivery_of_theirs_can_be_asked_about(alice: Caller, place: Enrollment) -> None:
    row = Delivery.objects.get()
    path = f"/ext/v1/deliveries/{row.pk}/send_again"
    assert ask_about(alice, place, path)[1] == {
        "errors": ["Only an email that failed or is unknown can be sent again; this one is sent"]
    }
    Delivery.objects.update(status="unknown", sent_at=None)
    told = ask_about(alice, place, path)[1]["impact"]
    assert told["right_away"] == row.email_id
    assert act(alice, "POST", path, {}, told["token"])[0] == 200
    other = factories.make_broadcast(factories.make_subscriber(alice.account))
    assert ask_about(alice, place, f"/ext/v1/deliveries/{other.pk}/send_again") == NOT_FOUND


def test_the_token_is_void_once_the_place_moved(alice: Caller, place: Enrollment, engine: Engine) -> None:
    path, token = f"/ext/v1/enrollments/{place.pk}/skip", ask(alice, place, "skip")[1]["impact"]["token"]
    other = factories.make_enrollment(place.sequence, factories.make_subscriber(alice.account))
    assert other.pk != place.pk  # somebody else's place is no part of it
    assert act(alice, "POST", f"/ext/v1/enrollments/{place.pk}/pause", {}, token) == OTHER_CALL
    engine.run_until(MONDAY_9.replace(day=26))
    assert act(alice, "POST", path, {}, token) == MOVED
    assert not Note.objects.exists()
    assert act(alice, "POST", path, {}, "*")[0] == 200


def test_it_refuses_what_the_real_call_refuses(alice: Caller, place: Enrollment) -> None:
    assert ask(alice, place, "resume") == (422, {"errors": ["This person is not paused"]})
    assert ask(alice, place, "move") == (422, {"errors": ["email_id can't be blank"]})
    assert ask(alice, place, "skip", {"reason": 5}) == (422, {"errors": ["reason must be a string"]})
    assert ask(alice, place, "move", {"email_id": 2**40}) == NOT_FOUND
    status, answer = ask(alice, place, "dance")
    assert status == 422
    assert answer["errors"][0].startswith(f"change must be one of: POST /ext/v1/enrollments/{place.pk}/pause, ")
    path = f"/ext/v1/enrollments/{place.pk + 1}/skip"
    assert ask_about(alice, place, path)[1] == {"errors": [f"change.path must be a call on enrollment {place.pk}"]}
    assert alice.post(f"/ext/v1/enrollments/{place.pk}/impact", {}) == (422, {"errors": ["change can't be blank"]})


def test_somebody_who_left_is_told_so(alice: Caller, place: Enrollment) -> None:
    transitions.cancel(place.subscriber_id, MONDAY_9)
    assert ask(alice, place, "restart") == (
        422,
        {"errors": ["This person can't be mailed: the subscriber is cancelled"]},
    )
