"""`dripstone import`, beside nothing and from stdin: what it asks, does, leaves behind, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dripstone.accounts.models import Account
from dripstone.imports.models import Import, Piece
from dripstone.ops.cli import app
from dripstone.subscribers.models import CustomField, Subscriber, Tag
from tests.factories import make_account, make_sequence, make_tag

# The command opens and closes the database by itself, as in life: no transaction can be around it.
pytestmark = pytest.mark.django_db(transaction=True)

CSV = "Email,Town,Tags\nana@example.org,Rome,Fair\nbob@example.org,Oslo,\nnobody,,\n"


@pytest.fixture
def account() -> Account:
    return make_account("Alice")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    path.write_text(CSV)
    return str(path)


def imported(*arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(app, ["import", *arguments], input=given)


def test_it_brings_people_in_with_what_they_get(account: Account, file: str, tmp_path: Path) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, name="Caves")
    rejected = tmp_path / "left.csv"
    result = imported(
        *(file, "--yes", "--tag", "Course", "--sequence", "caves", "--column", "Town=City", "--rejected", str(rejected))
    )
    assert result.exit_code == 3, result.output
    assert {person.email_address for person in Subscriber.objects.all()} == {"ana@example.org", "bob@example.org"}
    assert set(Tag.objects.values_list("name", flat=True)) == {"Course", "Fair"}
    assert CustomField.objects.get().label == "City"
    assert sequence.enrollments.count() == 2
    assert "nobody" in rejected.read_text(encoding="utf-8-sig").splitlines()[1]
    row = Import.objects.get()
    assert (row.state, row.asked_by, row.consent_by, row.file_name) == ("done", *["command line"] * 2, "people.csv")
    assert "2 new" in result.stdout and "Importing" in result.stderr


def test_a_dry_run_counts_and_leaves_no_trace(account: Account, file: str) -> None:
    make_tag(account, name="Known")
    result = imported(file, "--dry-run", "--json", "--tag", "Known", "--tag", "New")
    answer: dict[str, Any] = json.loads(result.stdout)
    assert (answer["import_id"], answer["new"], answer["rejected"], answer["made"]) == (None, 2, 1, 0)
    assert result.exit_code == 3
    assert not Subscriber.objects.exists() and not Import.objects.exists() and not Piece.objects.exists()
    assert list(Tag.objects.values_list("name", flat=True)) == ["Known"]


def test_it_reads_stdin(account: Account) -> None:
    result = imported("-", "--yes", "--no-header", given="ana@example.org\n")
    assert result.exit_code == 0, result.output
    assert Subscriber.objects.get().email_address == "ana@example.org"


def test_where_nobody_can_be_asked_it_does_not_start(account: Account, file: str) -> None:
    result = imported(file)
    assert result.exit_code == 1 and "--yes" in result.stderr
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--column", "Country=skip"], "there is no column Country"),
        (["--column", "Email"], "must be NAME=TARGET"),
        (["--column", "Email=skip"], "One column must have the email addresses"),
        (["--sequence", "Nothing"], "There is no sequence Nothing"),
        (["--encoding", "klingon"], "encoding must be one of"),
        (["--existing", "burn"], "existing must be one of"),
        (["--tag", " "], "can't be blank"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_no_trace(
    account: Account, file: str, arguments: list[str], sentence: str
) -> None:
    result = imported(file, "--yes", "--tag", "Course", *arguments)
    assert result.exit_code == 1
    assert sentence in " ".join((result.stderr + repr(result.exception)).split())
    assert not Import.objects.exists() and not Tag.objects.exists() and not Subscriber.objects.exists()


def test_a_file_that_is_not_there_is_said(account: Account) -> None:
    result = imported("/nowhere/people.csv", "--yes")
    assert result.exit_code == 1 and "There is no file" in result.stderr + repr(result.exception)


def test_an_empty_file_leaves_nothing(account: Account) -> None:
    result = imported("-", "--yes")
    assert result.exit_code == 1 and "The file is empty" in result.stderr + repr(result.exception)
    assert not Subscriber.objects.exists()
