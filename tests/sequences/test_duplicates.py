"""Copies of emails and of whole sequences."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.given import MAX_NAME
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


@pytest.fixture
def course(alice: Account) -> Sequence:
    return make_sequence(
        alice,
        {"subject": "Welcome", "delay_value": 0, "preview_text": "Hello"},
        {"subject": "By hour", "delay_value": 5, "delay_unit": "hours"},
        {"subject": "On Friday", "send_days": [4], "position": 7},
    )


def email(sequence: Sequence, subject: str) -> SequenceEmail:
    return sequence.emails.get(subject=subject)


def duplicate(original: SequenceEmail) -> SequenceEmail:
    done = edits.duplicate_email(original.account, original.sequence_id, original.pk, LATER, "Alice")
    assert done.email is not None
    return SequenceEmail.objects.get(pk=done.email.pk)


def said(one: SequenceEmail) -> dict[str, Any]:
    names = ("subject", "preview_text", "content", "email_template_id", "delay_value", "delay_unit", "send_days")
    return {name: getattr(one, name) for name in names}


def in_order(sequence: Sequence) -> list[tuple[str, int, bool]]:
    rows = sequence.emails.filter(deleted_at=None).order_by("position")
    return list(rows.values_list("subject", "position", "published"))


def test_the_copy_of_an_email_is_a_draft_right_after_it(course: Sequence) -> None:
    original = email(course, "By hour")
    copy = duplicate(original)
    assert said(copy) == said(original)
    assert (copy.published, copy.version, copy.created_at) == (False, 1, LATER)
    assert in_order(course) == [
        ("Welcome", 0, True),
        ("By hour", 1, True),
        ("By hour", 2, False),
        ("On Friday", 7, True),
    ]


def test_what_follows_makes_room_and_people_keep_their_dates(course: Sequence, alice: Account) -> None:
    place = make_enrollment(course, make_subscriber(alice))
    copy = duplicate(email(course, "Welcome"))
    assert (copy.delay_value, copy.delay_unit) == (1, "days")  # only the first may have 0 (R10)
    assert [row[0] for row in in_order(course)] == ["Welcome", "Welcome", "By hour", "On Friday"]
    place.refresh_from_db()
    assert (place.next_email, place.due_at) == (email_at(course, 0), MONDAY_9)


def email_at(sequence: Sequence, position: int) -> SequenceEmail:
    return sequence.emails.get(position=position, deleted_at=None)


def test_the_copy_of_an_email_on_hold_is_not(course: Sequence, alice: Account) -> None:
    original = email(course, "By hour")
    edits.hold_email(alice, course.pk, original.pk, MONDAY_9)
    assert not duplicate(original).is_held


def test_the_copy_of_a_sequence_has_all_its_settings_and_drafts_of_its_emails(course: Sequence, alice: Account) -> None:
    make_enrollment(course, make_subscriber(alice))
    settings = {
        "send_days": ["monday", "friday"],
        "send_hour": 17,
        "time_zone": "Asia/Kathmandu",
        "repeat": True,
        "hold": True,
        "active": False,
        "exclude_subscriber_sources": [{"type": "tag", "ids": [make_tag(alice).pk]}],
    }
    course = edits.update_sequence(alice, course.pk, settings, MONDAY_9).sequence
    edits.delete_email(alice, course.pk, email(course, "By hour").pk, MONDAY_9)
    copy = edits.duplicate_sequence(alice, course.pk, LATER, "Alice").sequence
    copy.refresh_from_db()
    assert (copy.name, copy.active, copy.edits, copy.created_at) == ("Course (copy)", True, 0, LATER)
    for name in ("send_days", "send_hour", "time_zone", "repeat", "hold", "exclude_subscriber_sources"):
        assert getattr(copy, name) == getattr(course, name)
    assert copy.sending_address_id == course.sending_address_id
    assert in_order(copy) == [("Welcome", 0, False), ("On Friday", 7, False)]
    assert [said(one) for one in copy.emails.order_by("position")] == [
        said(email(course, subject)) for subject in ("Welcome", "On Friday")
    ]
    assert not Enrollment.objects.filter(sequence=copy).exists()
    assert Event.objects.filter(type=types.SEQUENCE_CREATED, subject_id=copy.pk).count() == 1


def test_a_long_name_makes_room_for_the_word(alice: Account) -> None:
    sequence = make_sequence(alice, name="x" * MAX_NAME)
    copy = edits.duplicate_sequence(alice, sequence.pk, LATER).sequence
    assert len(copy.name) == MAX_NAME and copy.name.endswith("x (copy)")


def test_what_is_deleted_or_elses_is_not_copied(course: Sequence, alice: Account) -> None:
    gone = email(course, "By hour")
    edits.delete_email(alice, course.pk, gone.pk, MONDAY_9)
    with pytest.raises(NotFound):
        duplicate(gone)
    with pytest.raises(NotFound):
        edits.duplicate_sequence(make_account("Mallory"), course.pk, LATER)


def write(email: SequenceEmail, subject: str) -> None:
    drafts.save(email.account, email.sequence_id, email.pk, {"subject": subject}, drafts.of(email).revision, LATER)


def test_a_copy_says_what_was_written_last(course: Sequence) -> None:
    original = email(course, "By hour")
    write(original, "By the hour")
    assert duplicate(original).subject == "By the hour"
    assert SequenceEmail.objects.get(pk=original.pk).subject == "By hour"
    whole = edits.duplicate_sequence(course.account, course.pk, LATER).sequence
    assert whole.emails.filter(subject="By the hour").count() == 2


def test_a_copy_keeps_words_that_cannot_be_saved_yet(course: Sequence) -> None:
    original = email(course, "By hour")
    write(original, "{{ broken")
    copy = duplicate(original)
    assert copy.subject == "By hour"
    assert drafts.of(copy).values["subject"] == "{{ broken"
    assert drafts.of(copy).problems
