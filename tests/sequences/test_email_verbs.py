"""Emails of a sequence: what may be written, and every sentence about what may not."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine.acts import edits
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.verbs import Edit
from dripstone.subscribers.models import CustomField
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
LATER = MONDAY_9 + HOUR
HOURS = {"delay_value": 2, "delay_unit": "hours"}


@pytest.fixture
def alice() -> Account:
    return make_account("Alice")


@pytest.fixture
def course(alice: Account) -> Sequence:
    return make_sequence(alice)


def write(sequence: Sequence, **values: Any) -> Edit:
    body = {"subject": "Hello", "delay_value": 1, "delay_unit": "days", **values}
    return edits.create_email(sequence.account, sequence.pk, body, MONDAY_9)


def create(sequence: Sequence, **values: Any) -> SequenceEmail:
    email = write(sequence, **values).email
    assert email is not None
    email.refresh_from_db()
    return email


def update(email: SequenceEmail, **values: Any) -> SequenceEmail:
    edits.update_email(email.account, email.sequence_id, email.pk, values, LATER)
    email.refresh_from_db()
    return email


def delete(email: SequenceEmail) -> None:
    edits.delete_email(email.account, email.sequence_id, email.pk, LATER)


def problems(sequence: Sequence, **values: Any) -> list[str]:
    n_emails = sequence.emails.count()
    with pytest.raises(Invalid) as refusal:
        create(sequence, **values)
    assert sequence.emails.count() == n_emails
    return refusal.value.messages


def update_problems(email: SequenceEmail, **values: Any) -> list[str]:
    before = SequenceEmail.objects.filter(sequence_id=email.sequence_id).order_by("pk").values()
    rows = list(before)
    with pytest.raises(Invalid) as refusal:
        update(email, **values)
    assert list(before.all()) == rows
    return refusal.value.messages


def order(sequence: Sequence) -> list[tuple[str, int]]:
    live = sequence.emails.filter(deleted_at=None).order_by("position")
    return list(live.values_list("subject", "position"))


def n_edits(sequence: Sequence) -> int:
    sequence.refresh_from_db()
    return sequence.edits


def test_a_new_email_is_a_draft_at_the_end(course: Sequence) -> None:
    create(course, subject="One")
    email = create(
        course, subject="Two", preview_text=None, content=None, published=None, send_days=None, position=None
    )
    assert (email.position, email.published, email.send_days, email.email_template) == (1, False, None, None)
    assert (email.content, email.preview_text, email.version) == (None, None, 1)
    assert email.created_at == email.updated_at == MONDAY_9


def test_subject_and_delay_are_asked_for(alice: Account, course: Sequence) -> None:
    with pytest.raises(Invalid) as refusal:
        edits.create_email(alice, course.pk, {}, MONDAY_9)
    assert refusal.value.messages == [
        "subject can't be blank",
        "delay_unit must be one of: days, hours",
        "delay_value can't be blank",
    ]


WEEK = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"subject": ""}, "subject can't be blank"),
        ({"subject": "  "}, "subject can't be blank"),
        ({"subject": 7}, "subject must be a string"),
        ({"subject": "x" * 999}, "subject is too long (maximum is 998 characters)"),
        ({"subject": "\0"}, "subject must not contain NUL characters"),
        ({"preview_text": []}, "preview_text must be a string"),
        ({"content": {"html": ""}}, "content must be a string"),
        ({"content": "\udfff"}, "content must be valid Unicode text"),
        ({"delay_unit": "weeks"}, "delay_unit must be one of: days, hours"),
        ({"delay_unit": ["days"]}, "delay_unit must be one of: days, hours"),
        ({"delay_unit": None}, "delay_unit must be one of: days, hours"),
        ({"delay_value": None}, "delay_value can't be blank"),
        ({"delay_value": "1"}, "delay_value must be an integer"),
        ({"delay_value": 1.5}, "delay_value must be an integer"),
        ({"delay_value": True}, "delay_value must be an integer"),
        ({"delay_value": -1}, "delay_value must be between 0 and 1095 days"),
        ({"delay_value": 1096}, "delay_value must be between 0 and 1095 days"),
        ({"delay_value": 10**40}, "delay_value must be between 0 and 1095 days"),
        ({"delay_value": 0, "delay_unit": "hours"}, "delay_value must be at least 1 when delay_unit is hours"),
        ({"delay_value": -2, "delay_unit": "hours"}, "delay_value must be between 1 and 26280 hours"),
        ({"delay_value": 26281, "delay_unit": "hours"}, "delay_value must be between 1 and 26280 hours"),
        ({"email_template_id": 987654}, "Email template not found"),
        ({"email_template_id": "4"}, "email_template_id must be an integer"),
        ({"published": "yes"}, "published must be true or false"),
        ({"send_days": []}, "send_days must contain at least one day"),
        ({"send_days": ["friday", "friday"]}, "send_days contains friday more than once"),
        ({"send_days": ["never"]}, f"send_days must be days of the week: never is not one of {WEEK}"),
        ({"send_days": 4}, 'send_days must be an array of days, such as ["monday", "friday"]'),
        ({"send_days": ["monday"], **HOURS}, "send_days can't be set on an hour-based email"),
        ({"send_days": WEEK.split(", "), **HOURS}, "send_days can't be set on an hour-based email"),
        ({"position": -1}, "position must be an integer between 0 and 1000000"),
        ({"position": 10**20}, "position must be an integer between 0 and 1000000"),
        ({"position": "0"}, "position must be an integer between 0 and 1000000"),
        (
            {"subject": "Hi {{ subscriber.first_name"},
            "Invalid Liquid in subject: '{{ subscriber.first_' is never closed, line 1",
        ),
    ],
)
def test_it_refuses(course: Sequence, values: dict[str, Any], sentence: str) -> None:
    assert problems(course, **values) == [sentence]


def test_broken_liquid_is_refused_in_every_part(course: Sequence) -> None:
    broken = "{% if %}"
    found = problems(course, subject=broken, preview_text=broken, content=broken)
    assert [sentence.split(":")[0] for sentence in found] == [
        "Invalid Liquid in subject",
        "Invalid Liquid in preview_text",
        "Invalid Liquid in content",
    ]


def test_all_problems_are_told_at_once(course: Sequence) -> None:
    assert problems(course, subject="", delay_unit="weeks", published=0, position="first", email_template_id=9**9) == [
        "subject can't be blank",
        "Email template not found",
        "published must be true or false",
        "delay_unit must be one of: days, hours",
        "position must be an integer between 0 and 1000000",
    ]


def test_nobody_else_s_template_can_be_used(course: Sequence) -> None:
    template = EmailTemplate.objects.create(
        account=make_account("Mallory"), name="Hers", html="", created_at=MONDAY_9, updated_at=MONDAY_9
    )
    assert problems(course, email_template_id=template.pk) == ["Email template not found"]


def test_a_taken_position_inserts(course: Sequence) -> None:
    for name in ("A", "B", "C"):
        create(course, subject=name)
    create(course, subject="New", position=1)
    assert order(course) == [("A", 0), ("New", 1), ("B", 2), ("C", 3)]


def test_a_free_position_is_taken_as_it_is(course: Sequence) -> None:
    create(course, subject="A", position=5)
    create(course, subject="B")
    create(course, subject="C", position=2)
    assert order(course) == [("C", 2), ("A", 5), ("B", 6)]


def test_moving_forward_and_back(course: Sequence) -> None:
    emails = [create(course, subject=name) for name in "ABCD"]
    update(emails[3], position=1)
    assert order(course) == [("A", 0), ("D", 1), ("B", 2), ("C", 3)]
    update(emails[0], position=2)
    assert order(course) == [("D", 1), ("A", 2), ("B", 3), ("C", 4)]
    update(emails[3], position=None)
    update(emails[3], position=1)
    assert order(course) == [("D", 1), ("A", 2), ("B", 3), ("C", 4)]


def test_deleted_emails_shift_along(course: Sequence) -> None:
    emails = [create(course, subject=name) for name in "ABC"]
    delete(emails[1])
    create(course, subject="New", position=0)
    for email in emails:
        email.refresh_from_db()
    assert [email.position for email in emails] == [1, 2, 3]
    assert order(course) == [("New", 0), ("A", 1), ("C", 3)]


def test_the_place_of_a_deleted_email_is_free(course: Sequence) -> None:
    emails = [create(course, subject=name) for name in "AB"]
    delete(emails[1])
    assert create(course, subject="C").position == 1


def test_only_the_first_may_be_immediate(course: Sequence) -> None:
    create(course, subject="At once", delay_value=0)
    first_only = ["delay_value must be greater than 0: only the first email of a sequence may be sent at once"]
    assert problems(course, delay_value=0) == first_only
    assert problems(course, delay_value=0, position=7) == first_only
    second = create(course)
    assert update_problems(second, delay_value=0) == first_only


def test_nothing_may_go_before_an_immediate_email(course: Sequence) -> None:
    first = create(course, delay_value=0, position=1)
    second = create(course)
    sentence = f"position must come after email {first.pk}, which is sent at once: it has to stay the first"
    for position in (0, 1):
        assert problems(course, position=position) == [sentence]
        assert problems(course, position=position, delay_value=0) == [sentence]
        assert update_problems(second, position=position) == [sentence]


def test_an_immediate_email_cannot_move_behind_another(course: Sequence) -> None:
    first = create(course, delay_value=0)
    create(course)
    assert len(update_problems(first, position=5)) == 1
    assert update(first, position=5, delay_value=1).position == 5


def test_a_draft_may_be_the_immediate_first_and_counts(course: Sequence) -> None:
    create(course, published=False)
    assert len(problems(course, delay_value=0, published=True)) == 1
    assert create(course, delay_value=0, position=0).position == 0


def test_hours_have_no_days(course: Sequence) -> None:
    email = create(course, send_days=["monday", "friday"])
    assert email.send_days == [0, 4]
    assert update_problems(email, delay_unit="hours", send_days=["monday"]) == [
        "send_days can't be set on an hour-based email"
    ]
    assert update(email, delay_unit="hours").send_days is None
    assert update_problems(email, send_days=["monday"]) == ["send_days can't be set on an hour-based email"]
    assert update(email, send_days=None).send_days is None
    assert update(email, delay_unit="days").send_days is None


def test_all_seven_days_are_no_override(course: Sequence) -> None:
    email = create(course, send_days=["sunday", "monday"])
    assert update(email, send_days=WEEK.split(", ")).send_days is None
    assert update(update(email, send_days=["friday"]), send_days=None).send_days is None


def test_an_immediate_email_cannot_become_hours(course: Sequence) -> None:
    email = create(course, delay_value=0)
    assert update_problems(email, delay_unit="hours") == ["delay_value must be at least 1 when delay_unit is hours"]


def test_an_update_changes_only_what_is_given(course: Sequence) -> None:
    email = create(course, preview_text="Soon", content="<p>Hi</p>", send_days=["monday"])
    update(email, subject="New", content=None, published=None)
    assert (email.subject, email.preview_text, email.content) == ("New", "Soon", "<p>Hi</p>")
    assert (email.send_days, email.published, email.delay_value) == ([0], False, 1)
    assert update(email, preview_text=None, content="").preview_text is None
    assert email.content == ""


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({"subject": "Other"}, 2),
        ({"preview_text": "Other"}, 2),
        ({"content": "Other"}, 2),
        ({"content": "<p>Hi</p>"}, 1),
        ({"published": True, "position": 3, "delay_value": 9, "send_days": ["friday"]}, 1),
    ],
)
def test_versions_count_what_is_printed(course: Sequence, values: dict[str, Any], version: int) -> None:
    email = create(course, content="<p>Hi</p>")
    assert update(email, **values).version == version


def test_a_new_template_is_a_new_version(alice: Account, course: Sequence) -> None:
    template = EmailTemplate.objects.create(account=alice, name="T", html="", created_at=MONDAY_9, updated_at=MONDAY_9)
    email = create(course)
    assert update(email, email_template_id=template.pk).version == 2
    assert update(email, email_template_id=None).version == 3


def test_edits_count_what_can_move_people(course: Sequence) -> None:
    draft = create(course)
    assert n_edits(course) == 0
    published = create(course, published=True)
    assert n_edits(course) == 1
    update(draft, published=True)
    assert n_edits(course) == 2
    update(draft, published=False)
    assert n_edits(course) == 3
    update(draft, position=9)
    assert n_edits(course) == 4
    create(course, position=1)
    assert n_edits(course) == 5
    update(published, subject="New", delay_value=4, send_days=["monday"], published=True)
    assert n_edits(course) == 5
    delete(draft)
    assert n_edits(course) == 6


def test_moving_a_draft_ends_the_wait_for_it(alice: Account, course: Sequence) -> None:
    email = create(course, published=True)
    place = make_enrollment(course, make_subscriber(alice))
    update(email, published=False)
    place.refresh_from_db()
    assert place.next_email == email
    update(email, position=4)
    place = Enrollment.objects.get(pk=place.pk)
    assert (place.next_email, place.due_at) == (None, None)


def test_warnings_name_what_will_come_out_empty(alice: Account, course: Sequence) -> None:
    Snippet.objects.create(
        account=alice, name="P.S.", key="ps", snippet_type="inline", created_at=MONDAY_9, updated_at=MONDAY_9
    )
    CustomField.objects.create(account=alice, label="Town", key="town", name="ck_field_1_town", created_at=MONDAY_9)
    content = (
        "{{ snippet.ps }}{{ snippet.lost }}{{ subscriber.town }}{{ subscriber.country | default: 'x' }}"
        "{{ subscriber.email_address }}{{ surprise }}"
    )
    edit = write(course, subject='{{ subscriber.first_name | default: "you" }}', content=content)
    assert edit.warnings == [
        "content: there is no snippet lost; nothing will stand in its place",
        "content: there is no custom field country; nothing will stand in its place",
        'content: subscriber.town has no fallback for people without one; add | default: "…"',
        "content: surprise means nothing here; nothing will stand in its place",
    ]
    assert write(course, subject="Hello").warnings == []


def test_a_deleted_email_is_gone_but_kept(alice: Account, course: Sequence) -> None:
    email = create(course)
    delete(email)
    email.refresh_from_db()
    assert email.deleted_at == LATER
    with pytest.raises(NotFound):
        delete(email)
    with pytest.raises(NotFound):
        update(email, subject="Ghost")


def test_emails_belong_to_their_sequence_and_account(alice: Account, course: Sequence) -> None:
    email, other = create(course), make_sequence(alice)
    with pytest.raises(NotFound):
        edits.update_email(alice, other.pk, email.pk, {}, LATER)
    with pytest.raises(NotFound):
        edits.update_email(make_account("Mallory"), course.pk, email.pk, {}, LATER)
    with pytest.raises(NotFound):
        edits.update_email(alice, 2**70, email.pk, {}, LATER)
    with pytest.raises(NotFound):
        edits.delete_email(alice, course.pk, 2**70, LATER)


# On hold (R22)


def test_an_email_is_held_once_and_released_once(course: Sequence) -> None:
    email = create(course, published=True)
    verbs: tuple[Any, ...] = (edits.hold_email, edits.release_email)
    for number, verb in enumerate(verbs):
        done = [verb(course.account, course.pk, email.pk, LATER + n * HOUR, name) for n, name in ((0, "Al"), (1, "Bo"))]
        assert [one.moves_people for one in done] == [True, False]
        email.refresh_from_db()
        held = (LATER, "Al", None) if number == 0 else (None, "", LATER)
        assert (email.held_at, email.held_by, email.released_at) == held
    log = course.edit_log.order_by("-number").values_list("kind", "changes", "actor")[:2]
    assert list(log) == [
        ("email_updated", {"on_hold": [True, False]}, "Al"),
        ("email_updated", {"on_hold": [False, True]}, "Al"),
    ]


def test_other_writes_leave_it_on_hold(course: Sequence) -> None:
    email = create(course, published=True)
    edits.hold_email(course.account, course.pk, email.pk, LATER)
    assert update(email, published=False, subject="Other", position=4).is_held


def test_a_deleted_email_is_neither_held_nor_hurried(course: Sequence) -> None:
    email = create(course, published=True)
    delete(email)
    verbs: tuple[Any, ...] = (edits.hold_email, edits.release_email, edits.skip_wait)
    for verb in verbs:
        with pytest.raises(NotFound):
            verb(course.account, course.pk, email.pk, LATER)
