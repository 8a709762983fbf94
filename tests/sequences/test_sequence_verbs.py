"""Sequences: what may be written, and every sentence about what may not."""

from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account, SendingAddress
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import edits
from dripstone.errors import Invalid, NotFound
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, Segment
from tests.factories import MONDAY_9, make_account, make_sequence, make_tag

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)
WEEK = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"


@pytest.fixture
def alice() -> Account:
    return make_account("Alice", time_zone="America/New_York", send_hour=7)


def create(account: Account, **values: Any) -> Sequence:
    return edits.create_sequence(account, {"name": "Course", **values}, MONDAY_9).sequence


def update(sequence: Sequence, **values: Any) -> Sequence:
    edits.update_sequence(sequence.account, sequence.pk, values, LATER)
    sequence.refresh_from_db()
    return sequence


def problems(account: Account, **values: Any) -> list[str]:
    with pytest.raises(Invalid) as refusal:
        create(account, **values)
    assert not Sequence.objects.filter(account=account).exists()
    return refusal.value.messages


def make_template(account: Account) -> EmailTemplate:
    return EmailTemplate.objects.create(
        account=account, name="Plain", html="{{ message_content }}", created_at=MONDAY_9, updated_at=MONDAY_9
    )


def test_a_name_is_enough(alice: Account) -> None:
    sequence = create(alice)
    assert sequence.name == "Course"
    assert sequence.sending_address == alice.sending_addresses.get(is_default=True)
    assert sequence.email_template is None
    assert sequence.send_days == [0, 1, 2, 3, 4, 5, 6]
    assert (sequence.send_hour, sequence.time_zone) == (7, "America/New_York")
    assert (sequence.active, sequence.repeat, sequence.hold) == (True, False, False)
    assert sequence.exclude_subscriber_sources == []
    assert sequence.created_at == sequence.updated_at == MONDAY_9


def test_null_asks_for_the_default(alice: Account) -> None:
    names = ["email_address", "email_template_id", "send_days", "send_hour", "time_zone", "active", "repeat", "hold"]
    sequence = create(alice, **dict.fromkeys([*names, "exclude_subscriber_sources"]))
    assert sequence.sending_address == alice.sending_addresses.get(is_default=True)
    assert (sequence.send_hour, sequence.active, sequence.exclude_subscriber_sources) == (7, True, [])


def test_it_keeps_what_is_given(alice: Account) -> None:
    address = SendingAddress.objects.create(account=alice, email_address="Joe@ck.lol", created_at=MONDAY_9)
    template = make_template(alice)
    sequence = create(
        alice,
        email_address="joe@CK.lol",
        email_template_id=template.pk,
        send_days=["friday", "monday"],
        send_hour=0,
        time_zone="Asia/Kathmandu",
        active=False,
        repeat=True,
        hold=True,
        unheard_of={"is": "ignored"},
    )
    sequence.refresh_from_db()
    assert (sequence.sending_address, sequence.email_template) == (address, template)
    assert (sequence.send_days, sequence.send_hour, sequence.time_zone) == ([0, 4], 0, "Asia/Kathmandu")
    assert (sequence.active, sequence.repeat, sequence.hold) == (False, True, True)


@pytest.mark.parametrize("name", [None, "", "   ", "\n"])
def test_a_name_must_say_something(alice: Account, name: str | None) -> None:
    assert problems(alice, name=name) == ["name can't be blank"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": 5}, "name must be a string"),
        ({"name": ["a"]}, "name must be a string"),
        ({"name": "x" * 256}, "name is too long (maximum is 255 characters)"),
        ({"name": "a\0b"}, "name must not contain NUL characters"),
        ({"name": "a\ud800b"}, "name must be valid Unicode text"),
        ({"email_address": "else@example.com"}, "email_address must be one of the account's sending addresses"),
        ({"email_address": 3}, "email_address must be a string"),
        ({"email_template_id": 987654}, "Email template not found"),
        ({"email_template_id": 10**30}, "Email template not found"),
        ({"email_template_id": -1}, "Email template not found"),
        ({"email_template_id": "1"}, "email_template_id must be an integer"),
        ({"email_template_id": True}, "email_template_id must be an integer"),
        ({"send_days": []}, "send_days must contain at least one day"),
        ({"send_days": ["monday", "monday"]}, "send_days contains monday more than once"),
        ({"send_days": ["funday"]}, f"send_days must be days of the week: funday is not one of {WEEK}"),
        ({"send_days": ["Monday"]}, f"send_days must be days of the week: Monday is not one of {WEEK}"),
        ({"send_days": [""]}, f"send_days must be days of the week: an empty name is not one of {WEEK}"),
        ({"send_days": "monday"}, 'send_days must be an array of days, such as ["monday", "friday"]'),
        ({"send_days": [1]}, 'send_days must be an array of days, such as ["monday", "friday"]'),
        ({"send_hour": 24}, "send_hour must be an integer between 0 and 23"),
        ({"send_hour": -1}, "send_hour must be an integer between 0 and 23"),
        ({"send_hour": "9"}, "send_hour must be an integer between 0 and 23"),
        ({"send_hour": 9.5}, "send_hour must be an integer between 0 and 23"),
        ({"send_hour": True}, "send_hour must be an integer between 0 and 23"),
        ({"time_zone": "Eastern Time"}, "time_zone must be an IANA time zone, such as America/New_York"),
        ({"time_zone": ""}, "time_zone must be an IANA time zone, such as America/New_York"),
        ({"time_zone": "../etc/passwd"}, "time_zone must be an IANA time zone, such as America/New_York"),
        ({"time_zone": 1}, "time_zone must be an IANA time zone, such as America/New_York"),
        ({"active": "true"}, "active must be true or false"),
        ({"repeat": 1}, "repeat must be true or false"),
        ({"hold": []}, "hold must be true or false"),
        ({"exclude_subscriber_sources": {}}, "exclude_subscriber_sources must be an array"),
        ({"exclude_subscriber_sources": [3]}, "exclude_subscriber_sources must be objects with type and ids"),
        (
            {"exclude_subscriber_sources": [{"type": "list", "ids": []}]},
            "exclude_subscriber_sources type must be one of: form, segment, sequence, tag",
        ),
        (
            {"exclude_subscriber_sources": [{"type": ["tag"], "ids": []}]},
            "exclude_subscriber_sources type must be one of: form, segment, sequence, tag",
        ),
        (
            {"exclude_subscriber_sources": [{"type": "tag"}]},
            "exclude_subscriber_sources ids must be an array of integers",
        ),
        (
            {"exclude_subscriber_sources": [{"type": "tag", "ids": [True]}]},
            "exclude_subscriber_sources ids must be an array of integers",
        ),
        (
            {"exclude_subscriber_sources": [{"type": "tag", "ids": [987654]}]},
            "exclude_subscriber_sources: tag 987654 does not exist",
        ),
        (
            {"exclude_subscriber_sources": [{"type": "form", "ids": [2**63]}]},
            "exclude_subscriber_sources: form id out of range does not exist",
        ),
        (
            {"exclude_subscriber_sources": [{"type": "tag", "ids": list(range(1, 1002))}]},
            "exclude_subscriber_sources takes at most 1000 ids of a type",
        ),
    ],
)
def test_it_refuses(alice: Account, values: dict[str, Any], sentence: str) -> None:
    assert problems(alice, **values) == [sentence]


def test_all_problems_are_told_at_once(alice: Account) -> None:
    assert problems(alice, name="", send_hour=99, send_days=["x", "friday", "friday"], hold=None, active="no") == [
        "name can't be blank",
        f"send_days must be days of the week: x is not one of {WEEK}",
        "send_days contains friday more than once",
        "send_hour must be an integer between 0 and 23",
        "active must be true or false",
    ]


def test_nothing_of_another_account_can_be_named(alice: Account) -> None:
    mallory = make_account("Mallory")
    tag, template, sequence = make_tag(mallory), make_template(mallory), make_sequence(mallory)
    assert problems(
        alice,
        email_address=mallory.primary_email_address,
        email_template_id=template.pk,
        exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}, {"type": "sequence", "ids": [sequence.pk]}],
    ) == [
        "email_address must be one of the account's sending addresses",
        "Email template not found",
        f"exclude_subscriber_sources: sequence {sequence.pk} does not exist",
        f"exclude_subscriber_sources: tag {tag.pk} does not exist",
    ]


def test_exclusions_are_kept_by_type_each_id_once(alice: Account) -> None:
    one, two, other = make_tag(alice), make_tag(alice), make_sequence(alice)
    form = Form.objects.create(account=alice, name="Form", uid="f00", created_at=MONDAY_9)
    segment = Segment.objects.create(account=alice, name="Some", filter={}, created_at=MONDAY_9)
    sequence = create(
        alice,
        exclude_subscriber_sources=[
            {"type": "tag", "ids": [two.pk, two.pk]},
            {"type": "sequence", "ids": [other.pk]},
            {"type": "segment", "ids": [segment.pk]},
            {"type": "tag", "ids": [one.pk, two.pk]},
            {"type": "form", "ids": [form.pk]},
        ],
    )
    sequence.refresh_from_db()
    assert sequence.exclude_subscriber_sources == [
        {"type": "form", "ids": [form.pk]},
        {"type": "segment", "ids": [segment.pk]},
        {"type": "sequence", "ids": [other.pk]},
        {"type": "tag", "ids": [two.pk, one.pk]},
    ]
    assert update(sequence, exclude_subscriber_sources=[]).exclude_subscriber_sources == []


def test_a_sequence_cannot_exclude_itself(alice: Account) -> None:
    sequence = make_sequence(alice)
    with pytest.raises(Invalid) as refusal:
        update(sequence, exclude_subscriber_sources=[{"type": "sequence", "ids": [sequence.pk]}])
    assert refusal.value.messages == ["exclude_subscriber_sources can't contain the sequence itself"]


def test_an_excluded_sequence_that_was_deleted_may_be_written_back(alice: Account) -> None:
    other = make_sequence(alice)
    sources = [{"type": "sequence", "ids": [other.pk]}]
    sequence = create(alice, exclude_subscriber_sources=sources)
    edits.delete_sequence(alice, other.pk, MONDAY_9)
    assert update(sequence, exclude_subscriber_sources=sources).exclude_subscriber_sources == sources
    with pytest.raises(Invalid):
        create(alice, exclude_subscriber_sources=sources)


def test_an_update_changes_only_what_is_given(alice: Account) -> None:
    sequence = create(alice, send_hour=5, repeat=True)
    update(sequence, name="Renamed")
    assert (sequence.name, sequence.send_hour, sequence.repeat) == ("Renamed", 5, True)
    assert (sequence.created_at, sequence.updated_at) == (MONDAY_9, LATER)


def test_an_update_that_changes_nothing_leaves_no_trace(alice: Account) -> None:
    sequence = create(alice)
    assert update(sequence, name="Course").updated_at == MONDAY_9
    assert update(sequence).updated_at == MONDAY_9


def test_a_refused_update_changes_nothing(alice: Account) -> None:
    sequence = create(alice)
    with pytest.raises(Invalid) as refusal:
        update(sequence, name="New", send_hour=77, hold=None)
    assert refusal.value.messages == ["send_hour must be an integer between 0 and 23", "hold must be true or false"]
    sequence.refresh_from_db()
    assert sequence.name == "Course"


def test_a_template_is_taken_off_by_null(alice: Account) -> None:
    sequence = create(alice, email_template_id=make_template(alice).pk)
    assert update(sequence, email_template_id=None).email_template is None


@pytest.mark.parametrize(
    ("before", "after", "n_edits"),
    [
        ({"active": True}, {"active": False}, 1),
        ({"active": False}, {"active": True}, 1),
        ({"hold": True}, {"hold": False}, 1),
        ({"hold": False}, {"hold": True}, 0),
        ({"active": True, "hold": True}, {"active": False, "hold": False}, 1),
        ({}, {"name": "New", "send_hour": 3, "send_days": ["monday"], "time_zone": "UTC", "repeat": True}, 0),
        ({"active": True}, {"active": True}, 0),
    ],
)
def test_edits_count_what_can_move_people(
    alice: Account, before: dict[str, Any], after: dict[str, Any], n_edits: int
) -> None:
    sequence = create(alice, **before)
    assert update(sequence, **after).edits == n_edits


def test_resuming_is_remembered(alice: Account) -> None:
    sequence = create(alice, active=False)
    assert sequence.resumed_at is None
    assert update(sequence, active=True).resumed_at == LATER


def test_a_deleted_sequence_is_gone_but_kept(alice: Account) -> None:
    sequence = create(alice)
    edits.delete_sequence(alice, sequence.pk, LATER)
    sequence.refresh_from_db()
    assert (sequence.deleted_at, sequence.edits) == (LATER, 1)
    with pytest.raises(NotFound):
        edits.delete_sequence(alice, sequence.pk, LATER)
    with pytest.raises(NotFound):
        update(sequence, name="Ghost")


def test_mallory_finds_nothing(alice: Account) -> None:
    sequence, mallory = create(alice), make_account("Mallory")
    with pytest.raises(NotFound):
        edits.update_sequence(mallory, sequence.pk, {"name": "Mine"}, LATER)
    with pytest.raises(NotFound):
        edits.delete_sequence(mallory, sequence.pk, LATER)
    with pytest.raises(NotFound):
        edits.create_email(mallory, sequence.pk, {}, LATER)
