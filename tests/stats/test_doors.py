"""By which doors people come into a sequence: the kept counts."""

from datetime import timedelta

import pytest

from dripstone.engine import enroll
from dripstone.engine.acts import forget
from dripstone.events import causes
from dripstone.stats import doors
from dripstone.stats.doors import Door
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind, Tally
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

LONG_AGO = MONDAY_9 - timedelta(weeks=5)


def test_a_place_is_counted_by_the_last_of_its_causes_that_is_a_door() -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0})
    for source, cause in (
        ("rule", ("api", "rule 3", "rule 7")),
        ("rule", ("form 2", "rule 7")),
        ("bulk", ("bulk 9", "rule 7")),
        ("import", causes.quietly(causes.imported(4))),
        ("owner", causes.quietly(causes.OWNER)),
        ("api", causes.API),
    ):
        enroll.add(sequence, [make_subscriber(account).pk], source, MONDAY_9, cause=cause)  # type: ignore[arg-type]
    enroll.add(sequence, [make_subscriber(account).pk], "form", MONDAY_9, cause=causes.API, door="form 2")
    enroll.add(sequence, [make_subscriber(account).pk], "api", LONG_AGO)
    assert doors.of_sequence(sequence.pk, MONDAY_9).rows == [
        Door("api", 2, 1),
        Door("rule 7", 2, 2),
        Door("bulk 9", 1, 1),
        Door("form 2", 1, 1),
        Door("import 4", 1, 1),
        Door("owner", 1, 1),
    ]
    assert tallies.differences() == []


def test_whoever_comes_again_counts_by_the_last_door_and_who_is_deleted_by_none() -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0}, repeat=True)
    people = [make_subscriber(account).pk for _ in range(3)]
    enroll.add(sequence, people, "api", LONG_AGO)
    enroll.add(sequence, people[:2], "rule", MONDAY_9, cause=("rule 7",))
    assert doors.of_sequence(sequence.pk, MONDAY_9).rows == [Door("rule 7", 2, 2), Door("api", 1, 0)]
    forget.forget(account, people[0], "owner", MONDAY_9)
    assert doors.of_sequence(sequence.pk, MONDAY_9).rows == [Door("api", 1, 0), Door("rule 7", 1, 1)]
    assert tallies.differences() == []


def test_a_repair_counts_what_was_lost() -> None:
    account = make_account()
    sequence = make_sequence(account, {"delay_value": 0})
    enroll.add(sequence, [make_subscriber(account).pk], "import", MONDAY_9, cause=causes.imported(4))
    Tally.objects.filter(kind=Kind.CAME_IN_WEEK).delete()
    assert [one.label for one in tallies.differences(repair=True)] == ["2026-11-23:import 4"]
    assert doors.of_sequence(sequence.pk, MONDAY_9).rows == [Door("import 4", 1, 1)]
