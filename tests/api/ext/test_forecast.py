"""What the API says will go out."""

from datetime import timedelta

import pytest

from dripstone.sequences.models import Sequence
from tests.api.caller import Caller
from tests.automations.drawing import automation, stands, wait
from tests.automations.drawing import course as walked
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def course(alice: Caller) -> Sequence:
    """Monday 04:00 in New York. The second email goes at 21:00 there, which is Wednesday in UTC."""
    emails = ({"subject": "welcome", "delay_value": 0}, {"subject": "second"})
    sequence = make_sequence(alice.account, *emails, send_hour=21)
    for _ in range(2):
        make_enrollment(sequence, make_subscriber(alice.account))
    return sequence


def test_sends_per_day_and_email(alice: Caller, course: Sequence) -> None:
    status, document = alice.get(f"/ext/v1/sequences/{course.pk}/forecast")
    first, second = course.emails.order_by("position")
    assert status == 200
    assert document == {
        "forecast": {
            "sentence": "4 emails to the 2 people inside, the first on Monday, 23 November, the last on Tuesday, "
            "24 November.",
            "days": [
                {
                    "date": "2026-11-23",
                    "sends": 2,
                    "emails": [{"email_id": first.pk, "subject": "welcome", "sends": 2}],
                },
                {
                    "date": "2026-11-24",
                    "sends": 2,
                    "emails": [{"email_id": second.pk, "subject": "second", "sends": 2}],
                },
            ],
            "total": 4,
            "until": "2026-12-23T09:00:00Z",
            "people": 2,
            "time_zone": "America/New_York",
        }
    }
    assert alice.get(f"/ext/v1/sequences/{course.pk}/forecast") == (status, document)


def test_it_looks_as_far_as_asked(alice: Caller, course: Sequence) -> None:
    forecast = alice.get(f"/ext/v1/sequences/{course.pk}/forecast", days=1)[1]["forecast"]
    assert (forecast["total"], forecast["until"]) == (2, "2026-11-24T09:00:00Z")


def test_the_account_sees_all_its_sequences_on_dates_of_its_own(alice: Caller, course: Sequence) -> None:
    other = make_sequence(alice.account, {"subject": "letter"}, time_zone="Asia/Tokyo", send_hour=1)
    make_enrollment(other, make_subscriber(alice.account), MONDAY_9 + timedelta(hours=1))
    forecast = alice.get("/ext/v1/forecast")[1]["forecast"]
    days = [(day["date"], [(one["subject"], one["sends"]) for one in day["emails"]]) for day in forecast["days"]]
    # 01:00 on Tuesday in Tokyo is Monday in New York.
    assert days == [("2026-11-23", [("welcome", 2), ("letter", 1)]), ("2026-11-24", [("second", 2)])]
    assert (forecast["people"], forecast["time_zone"]) == (3, "America/New_York")


@pytest.mark.parametrize("days", ["0", "367", "-1", "1.5", "ten", "99999999999999999999"])
def test_days_are_from_one_to_a_year(alice: Caller, course: Sequence, days: str) -> None:
    problem = (422, {"errors": ["days must be an integer between 1 and 366"]})
    assert alice.get(f"/ext/v1/sequences/{course.pk}/forecast", days=days) == problem
    assert alice.get("/ext/v1/forecast", days=days) == problem


def test_mallory_sees_nothing_of_it(mallory: Caller, course: Sequence) -> None:
    assert mallory.get(f"/ext/v1/sequences/{course.pk}/forecast")[0] == 404
    forecast = mallory.get("/ext/v1/forecast")[1]["forecast"]
    assert (forecast["days"], forecast["total"], forecast["people"]) == ([], 0, 0)


def test_a_deleted_sequence_is_not_found(alice: Caller, course: Sequence) -> None:
    alice.delete(f"/v4/sequences/{course.pk}")
    assert alice.get(f"/ext/v1/sequences/{course.pk}/forecast")[0] == 404


def test_when_nothing_goes_out_it_says_why(alice: Caller, course: Sequence) -> None:
    def sentence() -> str:
        said: str = alice.get(f"/ext/v1/sequences/{course.pk}/forecast")[1]["forecast"]["sentence"]
        return said

    course.emails.update(published=False)
    course.enrollments.update(next_email=None, due_at=None)
    assert sentence().startswith("Nothing goes out within these days: nobody inside has a date in them.")
    Sequence.objects.filter(pk=course.pk).update(active=False)
    assert sentence() == "Nothing goes out while it is paused (inactive); everybody keeps their place."
    course.enrollments.all().delete()
    assert sentence() == "Nothing goes out: nobody is inside."


def test_whom_automations_bring_is_counted(alice: Caller, clock: VirtualClock) -> None:
    sequence = make_sequence(alice.account, {"subject": "Hello", "delay_value": 0})
    one = automation(alice.account, wait("w", "go"), walked("go", sequence))
    stands(one, make_subscriber(alice.account), "w", ends_at=MONDAY_9 + timedelta(days=1))
    for path in (f"/ext/v1/sequences/{sequence.pk}/forecast", "/ext/v1/forecast"):
        _, answer = alice.get(path)
        assert (answer["forecast"]["total"], answer["forecast"]["people"]) == (1, 0)
        assert answer["forecast"]["sentence"] == (
            "1 email to people whom automations bring there, all on Tuesday, 24 November."
        )
