"""/engine: the account's own figures, the server in words that tell nothing of others, and many decisions at once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone import clock as clocks
from dripstone.accounts.models import Account
from dripstone.bulk import jobs, operations, runner
from dripstone.engine import claim, counters
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery, Enrollment, Minute, Pulse
from dripstone.senders.models import Breaker, Hindrance
from dripstone.web.pages import deciding
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber
from tests.web.making import make_delivery

PART = {"HX-Request": "true", "HX-Target": "running"}
DIALOG = {"HX-Request": "true", "HX-Target": "ask"}


@pytest.fixture
def lost(account: Account, clock: VirtualClock) -> list[Delivery]:
    sequence = make_sequence(account, {"delay_value": 0, "subject": "Stone"}, {"delay_value": 2}, name="Caves")
    rows = []
    for name in ("bob", "carol", "dave"):
        person = make_subscriber(account, email_address=f"{name}@example.org")
        rows.append(make_delivery(make_enrollment(sequence, person, MONDAY_9), "unknown"))
    Enrollment.objects.update(next_email=sequence.emails.get(position=1), due_at=MONDAY_9 + timedelta(days=2))
    return rows


def text_of(browser: Client, path: str = "/engine") -> str:
    return " ".join(browser.get(path).content.decode().split())


def facts(browser: Client) -> list[str]:
    return [fact.sentence for fact in browser.get("/engine").context["facts"]]


def test_it_counts_what_is_due_on_its_way_tried_again_and_held(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 2})
    places = [make_enrollment(sequence, make_subscriber(account), MONDAY_9) for _ in range(5)]
    Enrollment.objects.update(due_at=MONDAY_9 - timedelta(hours=1))
    for place, ready_at in zip(places, (MONDAY_9, MONDAY_9 + timedelta(hours=1), Delivery.PARKED), strict=False):
        make_delivery(place, "planned", ended_at=None, ready_at=ready_at)
        Enrollment.objects.filter(pk=place.pk).update(due_at=None, in_flight=True)
    make_enrollment(make_sequence(account, {"delay_value": 0}, active=False), make_subscriber(account), MONDAY_9)
    other = make_account("Mallory")
    make_enrollment(make_sequence(other, {"delay_value": 0}), make_subscriber(other), MONDAY_9)
    standing = alice.get("/engine").context["standing"]
    assert standing == (2, 1, 1, 1, MONDAY_9 - timedelta(hours=1))


def test_it_draws_what_was_sent_minute_by_minute(alice: Client, account: Account, clock: VirtualClock) -> None:
    other = make_account("Mallory")
    counters.outcomes({(account.pk, "sent"): 3, (account.pk, "planned"): 1, (other.pk, "sent"): 70}, MONDAY_9)
    counters.outcomes({(account.pk, "sent"): 9}, MONDAY_9 - timedelta(minutes=7, seconds=-20))
    counters.outcomes({(account.pk, "failed"): 2}, MONDAY_9 - timedelta(hours=3))
    page = text_of(alice)
    assert "12 emails went out, at most 9 in the minute from 03:53 on; 1 attempt came to nothing." in page
    assert "In the last hour 1 attempt was refused for now." in page
    assert "03:53: 9 sent" in page
    day = text_of(alice, "/engine?span=day")
    assert "12 emails went out, at most 9 in the 15 minutes from 03:45 on; 3 attempts came to nothing." in day
    assert "70 sent" not in page


def test_minutes_are_summed_over_processes_and_go_after_a_week(account: Account) -> None:
    minutes = Minute.objects.filter(account_id=account.pk)  # the process also has what earlier tests left in it
    for _ in range(2):
        counters.outcomes({(account.pk, "sent"): 2, (account.pk, "unknown"): 1}, MONDAY_9 + timedelta(seconds=59))
        counters.flush()
    row = minutes.get()
    assert (row.account_id, row.minute, row.sent, row.unknown, row.failed) == (account.pk, MONDAY_9, 4, 2, 0)
    counters.forget_minutes(MONDAY_9 + timedelta(days=8))
    assert minutes.exists()
    counters.forget_minutes(MONDAY_9 + timedelta(days=8, minutes=1))
    assert not minutes.exists()


def test_what_the_engine_sends_is_counted(alice: Client, account: Account, engine: Engine) -> None:
    sequence = make_sequence(account, {"delay_value": 0})
    for _ in range(3):
        make_enrollment(sequence, make_subscriber(account), engine.clock.now())
    engine.run()
    assert alice.get("/engine").context["sent_in_hour"] == 3


def test_the_part_that_moves_is_loaded_alone(alice: Client, lost: list[Delivery]) -> None:
    part = alice.get("/engine?span=day", headers=PART).content.decode()
    assert "<html" not in part
    assert "Did these arrive?" not in part
    assert "due now" in part


def test_it_says_that_no_worker_runs_and_what_to_do(alice: Client) -> None:
    page = text_of(alice)
    assert "No worker is running, so nothing is sent at all." in page
    assert "Start one with dripstone up, or dripstone worker." in page


def test_a_halt_is_said_without_totals_unless_one_is_alone(alice: Client, account: Account, now: datetime) -> None:
    system_now = clocks.system_now()
    halted = {"halted_at": system_now, "halted_after": system_now - timedelta(days=3), "beat_at": system_now}
    Pulse.objects.update_or_create(pk=1, defaults=halted)
    assert "Nothing is overdue." in facts(alice)[0]
    make_account("Mallory")
    assert facts(alice)[0].startswith("Sending is halted: the engine had not run since")
    assert "overdue. After a restored backup" in facts(alice)[0]
    assert "Nothing is overdue." not in facts(alice)[0]


def test_what_a_mail_server_replied_is_for_whoever_is_alone(alice: Client, settings: Any, account: Account) -> None:
    settings.DRIPSTONE_MAIL_URL = "smtp://mail.example.com"
    now = clocks.now()
    Breaker.objects.create(
        server=claim.server().server, n_failures=3, n_openings=1, retry_at=now + timedelta(minutes=1),
        opened_at=now - timedelta(minutes=5), reason="deferred", reply="451 zed@example.org is busy",
    )  # fmt: skip
    [said] = [one for one in facts(alice) if "has accepted nothing since" in one]
    assert "451 zed@example.org is busy" in said
    make_account("Mallory")
    [said] = [one for one in facts(alice) if "has accepted nothing since" in one]
    assert "zed" not in said


def test_a_disk_is_told_without_its_path_unless_one_is_alone(alice: Client, account: Account) -> None:
    Hindrance.objects.create(
        worker="w", sentence="A worker cannot write its flight log (/srv/x: full).", seen_at=clocks.system_now()
    )
    assert "A worker cannot write its flight log (/srv/x: full)." in facts(alice)
    make_account("Mallory")
    assert "A worker cannot write to its disk, so it sends nothing." in facts(alice)
    assert "/srv/x" not in text_of(alice)


# --- Many decisions -----------------------------------------------------------------------------------------------


def test_it_asks_before_it_sends_the_chosen_again(alice: Client, lost: list[Delivery]) -> None:
    chosen = {"decision": "again", "ids": [lost[0].pk, lost[1].pk]}
    question = alice.post("/deliveries/deciding", chosen)
    assert "Send 2 emails again?" in question.content.decode()
    assert Delivery.objects.filter(status="unknown").count() == 3, "nothing is done yet"
    done = alice.post("/deliveries/deciding", chosen | {"seen": question.context["told"].world}, follow=True)
    assert "2 emails are being sent again." in done.content.decode()
    assert list(Delivery.objects.order_by("pk").values_list("status", flat=True)) == ["planned", "planned", "unknown"]


def test_all_can_be_treated_as_sent_with_those_that_cannot_told_first(alice: Client, lost: list[Delivery]) -> None:
    given = {"decision": "sent", "all": "unknown"}
    question = alice.post("/deliveries/deciding", given, headers=DIALOG)
    assert "<html" not in question.content.decode()
    assert "count as sent when they left" in question.content.decode()
    alice.post("/deliveries/deciding", given | {"seen": question.context["told"].world})
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sent"}


def test_of_more_than_one_question_is_about_the_oldest_come_first_and_it_says_so(
    alice: Client, lost: list[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "AT_ONCE", 2)
    given = {"decision": "sent", "all": "unknown"}
    question = alice.post("/deliveries/deciding", given, headers=DIALOG)
    assert "Treat the oldest 2 of 3 emails as sent?" in question.content.decode()
    seen = {"seen": question.context["told"].world}
    done = " ".join(alice.post("/deliveries/deciding", given | seen, follow=True).content.decode().split())
    assert "2 emails count as sent. 1 email is still to be decided about." in done
    assert list(Delivery.objects.filter(status="unknown")) == [lost[2]]
    assert "Treat 1 email as sent?" in alice.post("/deliveries/deciding", given, headers=DIALOG).content.decode()


def test_it_asks_again_when_the_world_moved(alice: Client, lost: list[Delivery]) -> None:
    given = {"decision": "again", "ids": [row.pk for row in lost]}
    question = alice.post("/deliveries/deciding", given)
    undecided.treat_as_sent(lost[0].pk, "owner", "", clocks.now())
    again = alice.post(
        "/deliveries/deciding", given | {"seen": question.context["told"].world, "told": question.context["told_lines"]}
    ).content.decode()
    assert "Things have moved since you asked" in again
    assert "Send 2 emails again" in again
    assert "1</b><div>stays as it is: only an email that failed or is unknown can be sent again" in again
    assert not Delivery.objects.filter(status="planned").exists()


@pytest.mark.parametrize(
    "given", [{}, {"decision": "again"}, {"decision": "no", "ids": "1"}, {"ids": ["x", "-1", "9" * 30]}]
)
def test_nothing_chosen_is_said(alice: Client, lost: list[Delivery], given: dict[str, Any]) -> None:
    assert "Choose emails first." in alice.post("/deliveries/deciding", given, follow=True).content.decode()


def test_what_cannot_be_done_for_any_is_a_sentence(alice: Client, lost: list[Delivery]) -> None:
    Enrollment.objects.update(due_at=None, in_flight=True)
    answer = alice.post("/deliveries/deciding", {"decision": "again", "all": "unknown"}, headers=DIALOG)
    assert answer.status_code == 422
    assert "3 emails: another email is on its way to this person" in answer.content.decode()


def test_failed_ones_are_sent_again_from_their_list(alice: Client, account: Account, lost: list[Delivery]) -> None:
    Delivery.objects.update(status="failed", reason="refused", reply="554 no")
    page = text_of(alice, "/deliveries?status=failed")
    assert 'value="again"' in page
    assert 'value="sent"' not in page
    chosen = {"decision": "again", "ids": [row.pk for row in lost], "next": "/deliveries?status=failed"}
    seen = alice.post("/deliveries/deciding", chosen).context["told"].world
    assert alice.post("/deliveries/deciding", chosen | {"seen": seen})["Location"] == "/deliveries?status=failed"
    assert set(Delivery.objects.values_list("status", flat=True)) == {"planned"}


def test_mallory_decides_about_nothing_of_alice(mallory: Client, lost: list[Delivery]) -> None:
    given = {"decision": "again", "ids": [row.pk for row in lost]}
    assert "These emails are gone." in mallory.post("/deliveries/deciding", given, follow=True).content.decode()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"unknown"}


def test_a_viewer_looks_and_decides_nothing(viewer: Client, lost: list[Delivery]) -> None:
    assert "An editor or owner decides." in text_of(viewer)
    assert viewer.post("/deliveries/deciding", {"decision": "again", "all": "unknown"}).status_code == 403


def test_it_shows_bulk_calls_that_wait_and_those_of_the_last_day(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    def ask(of: Account, *names: str) -> None:
        entries = [{"name": name} for name in names]
        jobs.keep(operations.TAGS, of.pk, entries, "", clocks.now(), n_bytes=9, asked_by="API key shop (…1234)")

    assert "Bulk calls" not in text_of(alice)
    ask(make_account("Mallory"), "x")
    ask(account, "a", "", " ")
    assert "0 of 3" in text_of(alice) and "Nothing has failed so far" in text_of(alice)
    runner.finish(operations.ALL, account.pk, clocks.now)
    ask(account, "b")
    page = text_of(alice)
    assert [job.n_entries for job in alice.get("/engine").context["bulk_jobs"]] == [1, 3]
    assert 'Create tags <span class="pill wait">Waiting</span>' in page and "3 of 3" in page
    assert "2 could not be done; the first: Name can&#x27;t be blank" in page and "by API key shop (…1234)" in page
    clock.advance(days=2)
    assert [job.n_entries for job in alice.get("/engine").context["bulk_jobs"]] == [1]
