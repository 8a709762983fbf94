"""Reasons: each code has words, values in codes come back out, and the texts of earlier versions became codes."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import notes, reasons
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.explain import edit_words
from dripstone.senders import reasons as senders
from dripstone.senders.models import Breaker
from dripstone.sequences.models import Sequence, SequenceEdit
from dripstone.subscribers.models import State
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, place_of
from tests.web.making import make_delivery

KINDS = st.sampled_from(["tag", "form", "sequence", "segment"])


def constants(module: Any) -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def test_every_reason_has_words() -> None:
    assert constants(reasons) | constants(senders) == set(reasons.WORDS)
    for code in reasons.WORDS:
        sentence = reasons.sentence(code)
        assert sentence.endswith(".")
        assert "“" not in sentence  # as text that is no code would be


@pytest.mark.parametrize("state", [state for state in State if state != State.ACTIVE])
def test_every_state_that_stops_mail_is_a_reason(state: State) -> None:
    assert reasons.subscriber_is(state.value) in reasons.WORDS


@given(KINDS, st.integers(1, 10**18))
def test_what_excludes_somebody_is_in_the_code(kind: str, source_id: int) -> None:
    assert reasons.source_in(reasons.excluded(kind, source_id)) == (kind, source_id)
    assert not reasons.is_exclusion_gone(reasons.excluded(kind, source_id))
    gone = reasons.exclusion_gone(kind, source_id)
    assert (reasons.source_in(gone), reasons.is_exclusion_gone(gone)) == ((kind, source_id), True)


@given(st.integers(1, 10**9), st.integers(0, 1000))
def test_the_edits_of_a_note_are_in_the_code(first: int, n_more: int) -> None:
    assert reasons.edits_in(reasons.edits(first, first + n_more)) == range(first, first + n_more + 1)


@pytest.mark.parametrize("code", [*sorted(reasons.WORDS), ""])
def test_the_last_try_is_in_the_code_of_giving_up(code: str) -> None:
    assert reasons.is_given_up(reasons.gave_up(code))
    assert reasons.last_try(reasons.gave_up(code)) == (code or reasons.DEFERRED)


@given(st.text(max_size=40))
def test_any_text_can_be_said(text: str) -> None:
    """A server of the version before may still write some."""
    assert reasons.source_in(text) is None or text.startswith("excluded:")
    assert reasons.sentence(text).endswith(".") or not text


# --- The texts of before ----------------------------------------------------------------------------------------


@pytest.fixture
def sequence(alice: Account) -> Sequence:
    return make_sequence(alice, {"subject": "Welcome", "delay_value": 0}, {"subject": "Second"})


@pytest.fixture
def become_codes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The migration of the engine's rows, with batches of two."""
    migration = import_module("dripstone.engine.migrations.0010_reasons_are_codes")
    monkeypatch.setattr(migration, "BATCH", 2)

    def migrate() -> None:
        for _ in range(2):  # it can be run again
            migration.codes(apps, Editor())

    return migrate


class Editor:
    """All that the migrations ask of Django's schema editor."""

    connection = connection


def delivery_with(sequence: Sequence, status: str, reason: str, **values: Any) -> Delivery:
    place = make_enrollment(sequence, make_subscriber(sequence.account))
    stamps = {"ready_at": MONDAY_9, "ended_at": None} if status == "planned" else {}
    return make_delivery(place, status, reason=reason, **stamps, **values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "text", "reason", "reply"),
    [
        ("sent", "", "", ""),
        ("skipped", "email deleted", "email_deleted", ""),
        ("skipped", "excluded by tag 3", "excluded:tag:3", ""),
        ("skipped", "subscriber is cancelled", "subscriber_cancelled", ""),
        ("skipped", "removed and added again meanwhile", "added_again", ""),
        ("skipped", "asked by phone", "removed_by_owner", ""),
        ("skipped", "restarted", "restarted", ""),
        ("failed", "550 5.1.1 No such user", "refused", "550 5.1.1 No such user"),
        ("failed", "gave up after 3 days: 451 later", "gave_up:deferred", "451 later"),
        ("failed", "gave up after 3 days: connection refused", "gave_up:connection_refused", ""),
        ("failed", "The sender's address has an impossible domain", "bad_sender", ""),
        ("unknown", "cut after body", "cut_after_body", ""),
        ("unknown", "999 what?", "no_answer", "999 what?"),
        ("planned", "451 4.7.1 Greylisted", "deferred", "451 4.7.1 Greylisted"),
        ("planned", "host not found", "host_not_found", ""),
    ],
)
def test_reasons_of_deliveries_become_codes(
    sequence: Sequence, become_codes: Callable[[], None], status: str, text: str, reason: str, reply: str
) -> None:
    rows = [delivery_with(sequence, status, text) for _ in range(5)]
    become_codes()
    found = Delivery.objects.filter(pk__in=[row.pk for row in rows]).values_list("reason", "reply").distinct()
    assert list(found) == [(reason, reply)]
    assert reasons.because(reason) if reason else True


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["excluded by tag 3", "subscriber is cancelled", "excluded:tag:3", "asked by phone"])
def test_what_an_owner_wrote_becomes_the_removal_it_was(
    sequence: Sequence, become_codes: Callable[[], None], text: str
) -> None:
    delivery = delivery_with(sequence, "skipped", text, ended_at=MONDAY_9)
    place = place_of(delivery)
    Enrollment.objects.filter(pk=place.pk).update(
        status="removed", removed_at=MONDAY_9, removed_reason=text, next_email=None, due_at=None, in_flight=False
    )
    Note.objects.create(enrollment=place, at=MONDAY_9, kind=notes.REMOVED, reason=text, actor="Alice")
    become_codes()
    place.refresh_from_db()
    delivery.refresh_from_db()
    assert (place.removed_reason, delivery.reason) == ("removed_by_owner", "removed_by_owner")
    assert Note.objects.get().reason == text


@pytest.mark.django_db
def test_words_that_no_note_has_go_to_one(sequence: Sequence, become_codes: Callable[[], None]) -> None:
    """Removed before there were notes."""
    texts = ["asked by phone", "subscriber is bounced", "removed by the owner"]
    places = [make_enrollment(sequence, make_subscriber(sequence.account)) for _ in texts]
    for place, text in zip(places, texts, strict=True):
        Enrollment.objects.filter(pk=place.pk).update(
            status="removed", removed_at=MONDAY_9, removed_reason=text, next_email=None, due_at=None
        )
    become_codes()
    found = [Enrollment.objects.get(pk=place.pk).removed_reason for place in places]
    assert found == ["removed_by_owner", "subscriber_bounced", "removed_by_owner"]
    note = Note.objects.get()
    assert (note.enrollment_id, note.kind, note.reason, note.at) == (
        places[0].pk, "removed", "asked by phone", MONDAY_9
    )  # fmt: skip


@pytest.mark.django_db
def test_notes_of_edits_name_them(sequence: Sequence, become_codes: Callable[[], None]) -> None:
    """The latest edits before the note that say what it says."""
    second = sequence.emails.get(subject="Second")
    whats = ["sequence paused", "sequence resumed", "sequence paused", f"email {second.pk} published"]
    for number, what in enumerate(whats, 1):
        SequenceEdit.objects.create(
            sequence=sequence, number=number, what=what, actor="Alice", at=MONDAY_9 + timedelta(hours=number)
        )
    place = make_enrollment(sequence, make_subscriber(sequence.account))

    def note(hours: int, kind: str, reason: str) -> Note:
        return Note.objects.create(
            enrollment=place, at=MONDAY_9 + timedelta(hours=hours), kind=kind, reason=reason, actor="Alice"
        )

    made = [
        (note(2, "moved", "sequence paused"), "edits:1-1"),
        (note(5, "moved", "sequence paused"), "edits:3-3"),
        (note(5, "moved", f"sequence resumed; sequence paused; email {second.pk} published"), "edits:2-4"),
        (note(5, "moved", "something else"), "something else"),
        (note(5, "late", "more than 6 hours late: waits for the next slot"), "too_late"),
        (note(5, "paused", "sequence paused"), "sequence paused"),
    ]
    become_codes()
    assert [Note.objects.get(pk=row.pk).reason for row, _ in made] == [reason for _, reason in made]


SENTENCES = [
    "email {} published at position 3",
    "email {} inserted at position 0",
    "email {} published",
    "email {} unpublished and moved to position 2",
    "email {} moved to position 2",
    "email {} deleted",
    "email {}: delay changed from 2 days to 1 hour and send days changed from the sequence's to Monday, Friday",
    "the sequence: send days changed from every day to Sunday and send hour changed from 9 to 10 "
    "and time zone changed from Europe/Paris to Asia/Tokyo",
    "sequence paused",
    "sequence resumed and hold switched off",
    "hold switched off",
    "sequence deleted",
    "waiting people rescheduled",
]


@pytest.mark.django_db
def test_edits_of_before_say_what_they_said(sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    second = sequence.emails.get(subject="Second")
    texts = [text.format(second.pk) for text in SENTENCES]
    for number, what in enumerate([*texts, "email 7 did a handstand", "email 999999999 deleted"], 1):
        SequenceEdit.objects.create(sequence=sequence, number=number, what=what, actor="Alice", at=MONDAY_9)
    migration = import_module("dripstone.sequences.migrations.0007_kinds_of_old_edits")
    monkeypatch.setattr(migration, "BATCH", 2)
    for _ in range(2):  # it can be run again
        migration.kinds(apps, Editor())
    *rows, odd, gone = SequenceEdit.objects.order_by("number")
    assert all(row.kind for row in rows)
    said = [edit_words.edit(row) for row in rows]
    assert said == [what.replace(f"email {second.pk}", "“Second”") for what in texts]
    assert [row.email_id == second.pk for row in rows] == [f"email {second.pk}" in what for what in texts]
    assert (odd.kind, edit_words.edit(odd)) == ("", "email 7 did a handstand")
    assert (gone.kind, gone.email_id) == ("email_deleted", None)


@pytest.mark.django_db
def test_what_a_breaker_remembers_becomes_a_code_or_the_servers_reply() -> None:
    remembered = {"connection refused": ("connection_refused", ""), "421 4.7.0 Try later": ("", "421 4.7.0 Try later")}
    for text in (*remembered, ""):
        Breaker.objects.create(server=text or "never failed", reason=text)
    migration = import_module("dripstone.senders.migrations.0004_breakers_reasons_are_codes")
    migration.codes(apps, Editor())
    for text, (reason, reply) in remembered.items():
        breaker = Breaker.objects.get(server=text)
        assert (breaker.reason, breaker.reply) == (reason, reply)
    assert Breaker.objects.get(server="never failed").reason == ""
