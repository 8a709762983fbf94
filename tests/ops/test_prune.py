"""What nobody needs any more goes; everything a rule may ask for stays."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from procrastinate.contrib.django import app
from typer.testing import CliRunner

from dripstone import clock
from dripstone.accounts import invitations, sessions
from dripstone.accounts.models import Account, Invitation, SignInFailure, UserSession
from dripstone.calls.models import Attempt, Call, Receiver
from dripstone.content import snippets, templates
from dripstone.content import versions as content_versions
from dripstone.engine import notices, process
from dripstone.engine.models import Delivery, Edition, Enrollment, Notice
from dripstone.events import reading
from dripstone.events.models import Event, Number
from dripstone.ops import cli, prune, tasks
from dripstone.senders.models import CapturedMessage
from dripstone.sequences import versions
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.webhooks import endpoints, legacy
from dripstone.webhooks.models import Endpoint, Webhook
from tests.factories import (
    MONDAY_9,
    make_account,
    make_broadcast,
    make_enrollment,
    make_sequence,
    make_subscriber,
    make_user,
)
from tests.owned import ENDPOINT, WEBHOOK
from tests.web.making import make_edition

pytestmark = pytest.mark.django_db

NOW = MONDAY_9
OLD = NOW - timedelta(days=731)


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


def delivered(sequence: Sequence, at: datetime = OLD, *, run: int = 1, current_run: int = 2, **values: Any) -> Delivery:
    """An email somebody got in one run; meanwhile they are in another."""
    place = make_enrollment(sequence, make_subscriber(sequence.account), at)
    Enrollment.objects.filter(pk=place.pk).update(run=current_run)
    stamps = {"status": "sent", "sent_at": at, "planned_at": at, "ended_at": at}
    return Delivery.objects.create(
        account_id=place.account_id,
        sequence=sequence,
        subscriber_id=place.subscriber_id,
        enrollment=place,
        run=run,
        email=sequence.emails.earliest("position"),
        **(stamps | values),
    )


def left() -> set[int]:
    return set(Delivery.objects.values_list("pk", flat=True))


def gone(name: str = "deliveries", **options: Any) -> int:
    return next(one.n_gone for one in prune.everything(NOW, **options) if one.name == name)


def test_deliveries_of_earlier_runs_go_and_those_of_the_current_one_stay(alice: Account) -> None:
    sequence = make_sequence(alice, {})
    delivered(sequence)
    current = delivered(sequence, run=2)
    young = delivered(sequence, NOW - timedelta(days=729))
    assert gone() == 1
    assert left() == {current.pk, young.pk}


def test_the_deliveries_of_people_who_completed_stay(alice: Account) -> None:
    """Removed and added again they go on after the last email (R12): its row must say which that was."""
    one = delivered(make_sequence(alice, {}), current_run=1)
    Enrollment.objects.update(status="completed", completed_at=OLD, due_at=None, next_email=None)
    assert gone() == 0
    assert left() == {one.pk}


def test_the_deliveries_of_a_sequence_deleted_long_ago_go(alice: Account) -> None:
    delivered(make_sequence(alice, {}), current_run=1)
    sequence = make_sequence(alice, {})
    recent = delivered(sequence, current_run=1)
    Sequence.objects.exclude(pk=sequence.pk).update(deleted_at=OLD)
    Sequence.objects.filter(pk=sequence.pk).update(deleted_at=NOW)
    assert gone() == 1
    assert left() == {recent.pk}


def test_what_nobody_decided_about_stays(alice: Account) -> None:
    delivered(make_sequence(alice, {}), status="unknown", sent_at=None)
    assert gone() == 0


def test_zero_days_keep_everything(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_KEEP_DELIVERIES_DAYS = 0
    delivered(make_sequence(alice, {}))
    assert gone() == 0


def test_a_rehearsal_only_counts(alice: Account) -> None:
    delivered(make_sequence(alice, {}))
    assert gone(rehearse=True) == 1
    assert len(left()) == 1


def test_it_goes_through_all_batches_and_can_be_killed_between_them(
    alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    sequence = make_sequence(alice, {})
    for number in range(7):
        delivered(sequence, run=1 if number % 2 else 2)

    class Killed(Exception):
        pass

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        prune.everything(NOW, after_batch=kill)
    assert len(left()) == 6
    assert gone() == 2
    assert len(left()) == 4


def test_a_worker_that_is_told_to_stop_ends_with_the_batch(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    sequence = make_sequence(alice, {})
    for _ in range(5):
        delivered(sequence)
    n_batches = 0

    def count() -> None:
        nonlocal n_batches
        n_batches += 1

    process.retire()
    try:
        prune.everything(NOW, after_batch=count)
        assert (n_batches, len(left())) == (1, 3)
    finally:
        process.close()
    assert gone() == 3


def test_old_events_and_captured_mail_go(alice: Account) -> None:
    for days in (500, 300, 80):
        at = NOW - timedelta(days=days)
        Event.objects.create(account_id=alice.pk, type="x", occurred_at=at)
        CapturedMessage.objects.create(account=alice, to="b@example.org", sent_at=at, raw=b"")
    done = {one.name: one.n_gone for one in prune.everything(NOW)}
    assert (done["events"], done["captured messages"]) == (1, 2)
    assert (Event.objects.count(), CapturedMessage.objects.count()) == (2, 1)


def test_numbers_go_with_their_events(alice: Account) -> None:
    for days in (500, 450, 300):
        Event.objects.create(account_id=alice.pk, type="x", occurred_at=NOW - timedelta(days=days))
    reading.number_visible()
    assert gone("event numbers") == 2
    assert Number.objects.get().event_id == Event.objects.get().pk


def test_jobs_that_failed_long_ago_go() -> None:
    with connection.cursor() as cursor:
        for hours in (1, 24 * 8):
            app.configure_task("dripstone.engine.tasks.tick").defer()
            cursor.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'todo' RETURNING id")
            job = cursor.fetchone()[0]
            cursor.execute(
                "UPDATE procrastinate_events SET at = now() - make_interval(hours => %s) WHERE job_id = %s",
                [hours, job],
            )
        prune.everything(NOW)
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")
        assert cursor.fetchone() == (1,)


def test_sessions_that_have_ended_go(client: Client) -> None:
    user = make_user(make_account("Carol"), "carol@example.com")
    client.force_login(user)
    kept = client.session.session_key
    Client().force_login(user)
    Session.objects.exclude(pk=kept).update(expire_date=clock.system_now() - timedelta(seconds=1))
    prune.everything(clock.now(), rehearse=True)
    assert Session.objects.count() == 2
    prune.everything(clock.now())
    assert [session.pk for session in Session.objects.all()] == [kept]


def test_invitations_and_sessions_that_ended_long_ago_go() -> None:
    now, account = clock.system_now(), make_account("Carol")
    user, given = make_user(account), {"email_address": "bob@example.com", "role": "viewer"}
    for days in (10, 100):
        invitations.invite(account, given, None, now - timedelta(days=days))
        sessions.begin(user, "", "", now - timedelta(days=days))
    prune.everything(clock.now())
    assert Invitation.objects.count() == 1
    assert UserSession.objects.count() == 1


def test_wrong_passwords_that_no_longer_count_go() -> None:
    now = clock.system_now()
    for minutes in (1, 16):
        SignInFailure.objects.create(address_hash="x", network="y", failed_at=now - timedelta(minutes=minutes))
    prune.everything(clock.now())
    assert [row.failed_at for row in SignInFailure.objects.all()] == [now - timedelta(minutes=1)]


def test_the_nightly_job_leaves_a_rehearsal_alone(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_VIRTUAL_CLOCK = True
    delivered(make_sequence(alice, {}), OLD - timedelta(days=9999))
    tasks.prune_periodic(0)
    assert len(left()) == 1
    settings.DRIPSTONE_VIRTUAL_CLOCK = False
    tasks.prune_periodic(0)
    assert left() == set()


@pytest.mark.django_db(transaction=True)
def test_the_command_says_what_it_did(settings: Any) -> None:
    settings.DRIPSTONE_KEEP_EVENTS_DAYS = 0
    delivered(make_sequence(make_account(), {}), OLD - timedelta(days=9999))
    would = CliRunner().invoke(cli.app, ["prune", "--dry-run"])
    assert "deliveries: 1 would go, from before 20" in would.stdout
    did = CliRunner().invoke(cli.app, ["prune"])
    assert "deliveries: 1 gone" in did.stdout
    assert "events: kept for ever" in did.stdout
    assert left() == set()


def test_notices_and_broadcasts_go_when_they_are_old_and_decided_about(alice: Account) -> None:
    ended = {"status": "sent", "notice_ready_at": None, "sent_at": OLD, "ended_at": OLD, "planned_at": OLD}
    people = [make_subscriber(alice, state="inactive") for _ in range(3)]
    old, unknown, young = (notices.confirmation(person.pk, OLD) for person in people)
    Delivery.objects.filter(pk=old.pk).update(**ended)
    Delivery.objects.filter(pk=unknown.pk).update(**ended | {"status": "unknown", "sent_at": None})
    Delivery.objects.filter(pk=young.pk).update(**ended | {"sent_at": NOW, "ended_at": NOW})
    make_broadcast(people[0], status="sent", sent_at=OLD, ended_at=OLD, planned_at=OLD)
    assert gone(rehearse=True) == 2
    done = {one.name: one.n_gone for one in prune.everything(NOW)}
    assert (done["deliveries"], done["notices"]) == (2, 1)
    assert left() == {unknown.pk, young.pk}
    assert set(Notice.objects.values_list("pk", flat=True)) == {unknown.notice_id, young.notice_id}


# --- What emails were made of -------------------------------------------------------------------------------------


def test_an_edition_goes_with_the_last_delivery_of_its_deleted_sequence(alice: Account) -> None:
    going, staying, undecided = (make_sequence(alice, {}) for _ in range(3))
    editions = {one.pk: make_edition(one.emails.get()) for one in (going, staying, undecided)}
    for sequence in (going, staying, undecided):
        delivered(sequence, edition=editions[sequence.pk], current_run=1)
    Delivery.objects.filter(sequence=undecided).update(status="unknown", sent_at=None)
    Sequence.objects.exclude(pk=staying.pk).update(deleted_at=OLD)
    Edition.objects.update(made_at=OLD)
    assert gone("editions") == 1
    assert set(Edition.objects.all()) == {editions[staying.pk], editions[undecided.pk]}


def test_versions_that_nobody_was_sent_go_once_another_has_long_followed(alice: Account) -> None:
    email = make_sequence(alice, {}).emails.get()
    for number, subject in enumerate(("sent", "not sent", "followed", "newest")):
        SequenceEmail.objects.filter(pk=email.pk).update(subject=subject)
        email.refresh_from_db()
        at = OLD if number < 3 else NOW
        if versions.keep(email, at, "owner").number == 1:
            make_edition(email)
    assert gone("versions of emails") == 1
    assert set(email.versions.values_list("subject", flat=True)) == {"sent", "followed", "newest"}


def test_versions_of_snippets_and_templates_go_likewise(alice: Account) -> None:
    given = {"name": "A", "snippet_type": "inline", "content": "sent"}
    snippet = snippets.create(alice.pk, given, OLD)
    template = templates.create(alice.pk, {"name": "T", "html": "sent {{ message_content }}"}, OLD)
    edition = make_edition(make_sequence(alice, {}).emails.get())
    kept = {"snippet_versions": [snippet.versions.get().pk], "template_version": template.versions.get()}
    Edition.objects.filter(pk=edition.pk).update(**kept)
    for text in ("not sent", "followed", "newest"):
        at = NOW if text == "newest" else OLD
        snippets.update(snippet, {"content": text}, at)
        template.html = text
        content_versions.keep_template(template, at, "owner")
    counts = {one.name: one.n_gone for one in prune.everything(NOW)}
    assert (counts["versions of snippets"], counts["versions of templates"]) == (1, 1)
    assert [one.source for one in content_versions.of_snippet(snippet)] == ["newest", "followed", "sent"]
    assert [one.number for one in content_versions.of_template(template)] == [4, 3, 1]


# --- Webhooks -------------------------------------------------------------------------------------------------------


def test_deliveries_of_webhooks_go_with_their_attempts_when_they_have_ended_long_ago(alice: Account) -> None:
    endpoint = endpoints.create(alice, ENDPOINT, OLD)[0]
    old, waiting, young = (endpoints.send_test(endpoint, OLD) for _ in range(3))
    ended = {"status": "done", "next_attempt_at": None}
    Call.objects.filter(pk=old.pk).update(ended_at=OLD, **ended)
    Call.objects.filter(pk=young.pk).update(ended_at=NOW, **ended)
    Attempt.objects.bulk_create(Attempt(call=one, number=1, at=OLD, seconds=1) for one in (old, young))
    assert gone("webhook deliveries") == 1
    assert set(Call.objects.values_list("pk", flat=True)) == {waiting.pk, young.pk}
    assert Attempt.objects.get().call == young


def test_a_deleted_webhook_goes_when_its_deliveries_have_gone(alice: Account) -> None:
    endpoint, kept = (endpoints.create(alice, ENDPOINT, OLD)[0] for _ in range(2))
    webhook = legacy.create(alice, WEBHOOK, OLD)
    endpoints.send_test(endpoint, OLD)
    endpoints.delete(endpoint, OLD)
    legacy.delete(webhook, NOW)
    done = {one.name: one.n_gone for one in prune.everything(NOW)}
    assert (done["webhook deliveries"], done["webhooks"]) == (1, 1)
    assert list(Endpoint.objects.all()) == [kept] and list(Webhook.objects.all()) == [webhook]
    assert Receiver.objects.count() == 2
