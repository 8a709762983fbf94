import json
from typing import Any

import pytest
from typer.testing import CliRunner

from dripstone.engine.models import Delivery, Enrollment
from dripstone.ops.cli import app
from dripstone.sequences.models import Sequence
from tests.factories import make_account, make_sequence

# The command opens and closes the database by itself, as in life: no transaction can be around it.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def course() -> Sequence:
    return make_sequence(
        make_account("Alice"),
        {"subject": "[b]welcome", "delay_value": 0},
        {"subject": "second", "delay_value": 2},
        {"subject": "draft", "published": False},
        time_zone="America/New_York",
    )


def simulate(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["simulate", *arguments])


def test_it_prints_json(course: Sequence) -> None:
    result = simulate(str(course.pk), "--enter", "2026-10-30 14:20", "--zone", "America/New_York", "--json")
    answer = json.loads(result.stdout)
    assert (answer["entered_at"], answer["time_zone"]) == ("2026-10-30T18:20:00Z", "America/New_York")
    dues = [(email["subject"], email["due_at"], email["due_at_local"]) for email in answer["emails"]]
    assert dues == [
        ("[b]welcome", "2026-10-30T18:20:00Z", "Fri 2026-10-30 14:20"),
        ("second", "2026-11-01T14:00:00Z", "Sun 2026-11-01 09:00"),
    ]
    assert answer["remarks"] == ['"draft" is a draft: it is passed over']


def test_it_prints_a_table_and_touches_nothing(course: Sequence) -> None:
    result = simulate(str(course.pk), "--enter", "2026-10-30 14:20")
    assert result.exit_code == 0
    for words in ("[b]welcome", "Fri 2026-10-30 14:20", "Sun 2026-11-01 09:00", "2 days after"):
        assert words in result.stdout
    assert not Enrollment.objects.exists()
    assert not Delivery.objects.exists()


def test_the_zone_is_that_of_the_times_not_of_the_sequence(course: Sequence) -> None:
    result = simulate(str(course.pk), "--enter", "2026-10-30 19:20", "--zone", "Europe/Paris", "--json")
    emails = json.loads(result.stdout)["emails"]
    assert [email["due_at_local"] for email in emails] == ["Fri 2026-10-30 19:20", "Sun 2026-11-01 15:00"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--enter", "tomorrow"], "--enter tomorrow is not an instant"),
        (["--zone", "Mars"], "--zone Mars is not an IANA time zone"),
    ],
)
def test_what_cannot_be_read_is_said(course: Sequence, arguments: list[str], sentence: str) -> None:
    result = simulate(str(course.pk), *arguments)
    assert result.exit_code == 1
    assert sentence in str(result.exception)


def test_an_unknown_sequence_is_said() -> None:
    assert "There is no sequence 4" in str(simulate("4").exception)


def test_it_ends_before_an_email_on_hold(course: Sequence) -> None:
    course.emails.filter(subject="second").update(held_at=course.created_at)
    answer = json.loads(simulate(str(course.pk), "--json").stdout)
    assert [email["subject"] for email in answer["emails"]] == ["[b]welcome"]
    assert '"second" is on hold: people wait at it, and nothing has a date from there on' in answer["remarks"]
