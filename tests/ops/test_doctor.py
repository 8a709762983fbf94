"""`dripstone doctor`, about the sequences of the installation."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from typer.testing import CliRunner

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.models import Pulse
from dripstone.ops import doctor
from dripstone.ops.cli import app
from dripstone.subscribers import remembered
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)

WELCOME = {"subject": "Welcome", "delay_value": 3, "content": "<p>Hello</p>"}


def beat() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [clock.system_now()])


def test_it_groups_sequences_by_account() -> None:
    beat()
    alice, bob = make_account("Alice"), make_account("Bob")
    good = make_sequence(alice, WELCOME, name="Course")
    make_enrollment(good, make_subscriber(alice), clock.now())
    make_sequence(alice, WELCOME, name="Resting", active=False)
    make_sequence(bob, name="Empty")
    found = dict(doctor.sequences())
    assert list(found) == [f"Alice (account {alice.pk})", f"Bob (account {bob.pk})"]
    of_alice = found[f"Alice (account {alice.pk})"]
    assert [result.is_well for result in of_alice] == [True, True]  # a pause is the owner's choice
    assert of_alice[0].sentence.startswith("All is well. 1 person is inside. Next: “Welcome”")
    assert "The sequence is paused (inactive)" in of_alice[1].sentence
    assert f'Mend: PUT /v4/sequences/{of_alice[1].subject.split()[1]} {{"active": true}}' in of_alice[1].sentence
    assert "The sequence has no emails." in found[f"Bob (account {bob.pk})"][0].sentence


def test_what_concerns_an_account_is_told_once() -> None:
    beat()
    alice = make_account("Alice", postal_address="")
    for _ in range(3):
        make_enrollment(make_sequence(alice, WELCOME), make_subscriber(alice), clock.now())
    ((_, results),) = doctor.sequences()
    assert [result.is_well for result in results] == [False, True, True, True]
    assert "no postal address" in results[0].sentence


def test_many_sequences_that_are_well_share_a_line() -> None:
    beat()
    alice = make_account("Alice")
    for _ in range(doctor.FEW + 1):
        make_enrollment(make_sequence(alice, WELCOME), make_subscriber(alice), clock.now())
    empty = make_sequence(alice, name="Empty")
    ((_, results),) = doctor.sequences()
    subjects = [f"sequence {empty.pk} Empty", f"{doctor.FEW + 1} sequences"]
    assert [result.subject for result in results] == subjects
    ((_, results),) = doctor.sequences(each=True)
    assert len(results) == doctor.FEW + 2


def test_its_exit_code_tells_what_is_wrong_with_a_sequence() -> None:
    beat()
    alice = make_account("Alice")
    sequence = make_sequence(alice, WELCOME | {"content": "{{ snippet.gone }}"}, name="Course [1]")
    make_enrollment(sequence, make_subscriber(alice), clock.now())
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1, result.output
    assert f"!!  sequence {sequence.pk} Course [1]:" in result.output
    assert "“Welcome” uses the snippet gone, and there is none of that name" in result.output
    assert "Mend: POST /v4/snippets" in result.output
    assert Account.objects.count() == 1


@pytest.mark.parametrize(
    ("mail_url", "mailbox", "is_well", "sentence"),
    [
        ("inbox://", None, True, "none without a mail server"),
        ("smtp://mail.example.com", None, False, "DRIPSTONE_FROM is not set although a mail server is"),
        ("smtp://mail.example.com", ("Dripstone", "accounts@example.com"), True, "comes from accounts@example.com"),
    ],
)
def test_it_says_whom_mail_about_accounts_comes_from(
    settings: Any, mail_url: str, mailbox: tuple[str, str] | None, is_well: bool, sentence: str
) -> None:
    settings.DRIPSTONE_MAIL_URL, settings.DRIPSTONE_FROM = mail_url, mailbox
    result = next(one for one in doctor.examine() if one.subject == "mail about accounts")
    assert result.is_well == is_well
    assert sentence in result.sentence


def clocks() -> doctor.Result:
    return next(result for result in doctor.examine() if result.subject == "clocks")


def test_it_compares_the_machines_clock_with_the_databases() -> None:
    Pulse.objects.create(beat_at=clock.now())
    assert clocks().is_well
    assert clocks().sentence.startswith("this machine and the database are 0.")


def test_it_sees_a_worker_whose_clock_is_ahead() -> None:
    Pulse.objects.create(beat_at=clock.now() + timedelta(minutes=5))
    assert not clocks().is_well
    assert re.match(r"a worker's clock is, or was, (29\d|300) s ahead of the database's; .* NTP$", clocks().sentence)


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (7.0, "this machine's clock is 7 s ahead of the database's; "),
        (-4000.0, "this machine's clock is 4,000 s behind the database's; "),
    ],
)
def test_it_says_which_clock_is_ahead_of_which(ahead: float, told: str) -> None:
    result = doctor._of_clocks(ahead, -3.0)
    assert (result.is_well, result.sentence.startswith(told)) == (False, True)
    assert doctor._of_clocks(-4.9, None).is_well


@pytest.mark.parametrize(
    ("number", "version", "is_well", "told"),
    [
        (190000, "19beta1", True, "PostgreSQL 19beta1 (embedded), 8 MB"),
        (130009, "13.9", False, "PostgreSQL 13.9 (embedded), 8 MB: Dripstone needs 14 or newer"),
    ],
)
def test_it_knows_the_servers_it_needs(number: int, version: str, is_well: bool, told: str, settings: Any) -> None:
    settings.DATABASE_URL = ""
    result = doctor._of_server(number, version, "8 MB")
    assert (result.is_well, result.sentence) == (is_well, told)


def test_it_reads_the_servers_version() -> None:
    assert doctor._server().is_well


def test_it_looks_at_the_disk_before_the_data_directory_is_made(tmp_path: Path, settings: Any) -> None:
    settings.DRIPSTONE_DATA = tmp_path / "not" / "made"
    assert re.match(r"\d+\.\d GB free for .*/not/made$", doctor._disk().sentence)


def test_it_knows_when_deleted_people_were_remembered_with_another_secret_key(settings: Any) -> None:
    remembered.remember(make_account().pk, "bob@example.org", "cancelled", MONDAY_9)
    assert doctor._secret_key().is_well
    settings.SECRET_KEY = "another one, by mistake"
    result = doctor._secret_key()
    assert not result.is_well
    assert "when 1 deleted person had to be remembered" in result.sentence
