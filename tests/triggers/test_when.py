"""Triggers are read strictly, found through a dictionary of their events, and read as English."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.conditions.words import names_of
from dripstone.errors import Invalid
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.events.record import event
from dripstone.purchases.models import Product
from dripstone.subscribers import fields, forms
from dripstone.triggers import when
from tests import factories
from tests.factories import MONDAY_9


@pytest.fixture
def account(db: None) -> Account:
    return factories.make_account(time_zone="Europe/Berlin", send_hour=10)


def problems(given: object, account: Account, for_: when.For = "rule", **more: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as refused:
        when.read(given, "triggers", account.pk, for_=for_, **more)
    return dict(refused.value.problems)


def test_what_is_given_is_kept_with_its_defaults(account: Account) -> None:
    tag = factories.make_tag(account)
    city, _ = fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    form = forms.create(account.pk, {"name": "News"}, MONDAY_9)
    given: list[dict[str, Any]] = [
        {"trigger": "tag_added", "tag_id": tag.pk, "colour": "red"},
        {"trigger": "tag_added", "tag_id": tag.pk},
        {"trigger": "form_joined", "form_id": None},
        {"trigger": "form_joined", "form_id": form.pk},
        {"trigger": "purchased"},
        {"trigger": "field_changed", "custom_field_id": city.pk, "value": 7},
        {"trigger": "field_changed", "custom_field_id": city.pk, "value": ""},
        {"trigger": "field_changed", "custom_field_id": city.pk, "value": None},
        {"trigger": "field_date", "custom_field_id": city.pk},
        {"trigger": "field_date", "custom_field_id": city.pk, "days": -3, "hour": 0, "yearly": True},
    ]
    assert when.read(given, "triggers", account.pk, for_="rule") == [
        {"trigger": "tag_added", "tag_id": tag.pk},
        {"trigger": "form_joined"},
        {"trigger": "form_joined", "form_id": form.pk},
        {"trigger": "purchased"},
        {"trigger": "field_changed", "custom_field_id": city.pk, "value": "7"},
        {"trigger": "field_changed", "custom_field_id": city.pk, "value": ""},
        {"trigger": "field_changed", "custom_field_id": city.pk},
        {"trigger": "field_date", "custom_field_id": city.pk, "days": 0, "hour": 10, "yearly": False},
        {"trigger": "field_date", "custom_field_id": city.pk, "days": -3, "hour": 0, "yearly": True},
    ]
    kept = when.read(given, "triggers", account.pk, for_="rule")
    assert when.read(kept, "triggers", account.pk, for_="rule") == kept
    assert when.read('[{"trigger": "became_active"}]', "t", account.pk, for_="entry") == [{"trigger": "became_active"}]


def test_every_problem_has_its_member_and_its_sentence(account: Account) -> None:
    given = [
        {"trigger": "tag_added"},
        {"trigger": "tagged"},
        7,
        {},
        {"trigger": "field_date", "custom_field_id": 1, "days": 4_000, "hour": 24, "yearly": "yes"},
        {"trigger": "date", "at": "2027-01-01"},
        {"trigger": "sequence_left", "sequence_id": "3"},
    ]
    found = problems(given, account)
    assert found["triggers[0].tag_id"] == "triggers[0].tag_id can't be blank"
    assert found["triggers[1].trigger"].startswith("triggers[1].trigger must be one of: form_joined, tag_added")
    assert found["triggers[2]"] == "triggers[2] must be an object"
    assert found["triggers[3].trigger"] == "triggers[3].trigger can't be blank"
    assert found["triggers[4].custom_field_id"] == "triggers[4].custom_field_id: custom field 1 does not exist"
    assert {name for name in found if name and name.startswith("triggers[4].")} == {
        f"triggers[4].{name}" for name in ("custom_field_id", "days", "hour", "yearly")
    }
    assert "triggers[5].trigger" in found
    assert found["triggers[6].sequence_id"] == "triggers[6].sequence_id must be an id"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "triggers can't be blank"),
        ([], "triggers can't be empty"),
        ({}, "triggers must be an array"),
        ("[{", "triggers must be an array"),
        ([{"trigger": "became_active"}] * 21, "triggers can't have more than 20 entries"),
    ],
)
def test_there_is_a_list_of_a_few(account: Account, given: object, sentence: str) -> None:
    assert problems(given, account) == {"triggers": sentence}


def test_things_of_another_account_and_deleted_ones_do_not_exist(account: Account) -> None:
    theirs = factories.make_account("Mallory")
    asked = [
        ("tag_added", "tag_id", factories.make_tag(theirs).pk),
        ("form_joined", "form_id", forms.create(theirs.pk, {"name": "F"}, MONDAY_9).pk),
        ("sequence_entered", "sequence_id", factories.make_sequence(theirs).pk),
        ("sequence_left", "sequence_id", factories.make_sequence(account, deleted_at=MONDAY_9).pk),
        ("purchased", "product_id", make_product(theirs).pk),
        ("field_changed", "custom_field_id", make_field(theirs)),
    ]
    given = [{"trigger": kind, member: pk} for kind, member, pk in asked]
    assert set(problems(given, account)) == {f"triggers[{n}].{member}" for n, (_, member, _) in enumerate(asked)}
    gone = [("tag", asked[0][2])]
    assert "triggers[0].tag_id" not in problems(given, account, may_be_gone=gone)


def make_product(account: Account) -> Product:
    return Product.objects.create(account=account, pid="p", name="Book", created_at=MONDAY_9)


def make_field(account: Account, label: str = "City") -> int:
    return fields.create(account.pk, {"label": label}, MONDAY_9, cause=causes.OWNER)[0].pk


def test_rules_alone_hear_of_leaving_and_events_alone_of_an_instant(account: Account) -> None:
    cancelled, date = [{"trigger": "cancelled"}], [{"trigger": "date", "at": "2027-01-01"}]
    assert when.read(cancelled, "triggers", account.pk, for_="rule") == cancelled
    others: list[tuple[Any, when.For]] = [
        (cancelled, "entry"),
        (cancelled, "event"),
        (date, "rule"),
        (date, "entry"),
    ]
    for refused, for_ in others:
        assert "triggers[0].trigger" in problems(refused, account, for_)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2027-01-01", "2027-01-01T00:00:00+01:00"),
        ("2027-06-01T09:30:00", "2027-06-01T09:30:00+02:00"),
        ("2027-06-01T09:30:00Z", "2027-06-01T11:30:00+02:00"),
        ("2027-06-01T09:30:00-0400", "2027-06-01T15:30:00+02:00"),
        ("2027-03-28T02:30:00", "2027-03-28T03:00:00+02:00"),  # this half hour is skipped
        ("2027-10-31T02:30:00", "2027-10-31T02:30:00+02:00"),  # this one comes twice: the first
    ],
)
def test_an_instant_without_an_offset_is_one_of_the_accounts_zone(account: Account, given: str, kept: str) -> None:
    assert when.read([{"trigger": "date", "at": given}], "t", account.pk, for_="event") == [
        {"trigger": "date", "at": kept}
    ]


# --- Events -------------------------------------------------------------------------------------------------------

KINDS = {
    "form_joined": ("form_id", (types.SUBSCRIBED_TO_FORM, types.FORM_FILLED_IN_AGAIN)),
    "tag_added": ("tag_id", (types.TAG_ADDED,)),
    "tag_removed": ("tag_id", (types.TAG_REMOVED,)),
    "sequence_entered": ("sequence_id", (types.ADDED_TO_SEQUENCE,)),
    "sequence_completed": ("sequence_id", (types.SEQUENCE_COMPLETED,)),
    "sequence_left": ("sequence_id", (types.REMOVED_FROM_SEQUENCE,)),
    "purchased": ("product_id", (types.PRODUCT_PURCHASED,)),
    "field_changed": ("custom_field_id", (types.FIELD_VALUE_UPDATED,)),
    "became_active": ("", (types.SUBSCRIBER_ACTIVATED, types.SUBSCRIBER_RESUBSCRIBED)),
    "cancelled": ("", (types.SUBSCRIBER_UNSUBSCRIBED,)),
}
TRIGGERS = st.sampled_from(list(KINDS)).flatmap(
    lambda kind: st.builds(
        lambda pk, values: {"trigger": kind, **({KINDS[kind][0]: pk} if KINDS[kind][0] and pk else {}), **values},
        st.integers(1, 3) if kind not in ("form_joined", "purchased") else st.integers(0, 3),
        st.fixed_dictionaries({}, optional={"value": st.sampled_from(["", "a", "b"])})
        if kind == "field_changed"
        else st.just({}),
    )
)
EVENTS = st.builds(
    lambda kind, pk, value: event(kind, 1, MONDAY_9, cause=(), subscriber_id=9, subject_id=pk or None, value=value),
    st.sampled_from([kind for _, kinds in KINDS.values() for kind in kinds] + [types.SUBSCRIBER_DELETED]),
    st.integers(0, 3),
    st.sampled_from([None, "a", "b"]),
)


@given(TRIGGERS, EVENTS)
def test_a_trigger_is_found_and_met_by_its_events_alone(trigger: when.Trigger, event: Event) -> None:
    member, kinds = KINDS[trigger["trigger"]]
    is_about = not member or trigger.get(member) in (None, event.subject_id)
    is_value = "value" not in trigger or trigger["value"] == (event.data["value"] or "")
    is_found = bool(when.event_keys(trigger) & set(when.keys_of(event)))
    assert is_found == (event.type in kinds and is_about)
    assert (is_found and when.is_met(trigger, event)) == (event.type in kinds and is_about and is_value)


def test_time_and_clicks_have_no_events() -> None:
    by_time = {"trigger": "field_date", "custom_field_id": 1, "days": 0, "hour": 9, "yearly": False}
    for trigger in (by_time, {"trigger": "date", "at": "2027-01-01T00:00:00+01:00"}, {"trigger": "link_clicked"}):
        assert when.event_keys(trigger) == frozenset()
    assert "Nothing is recorded yet" in when.nothing_yet({"trigger": "link_clicked"})
    assert when.nothing_yet(by_time) == ""


# --- Words --------------------------------------------------------------------------------------------------------


def test_triggers_read_as_english(account: Account) -> None:
    tag = factories.make_tag(account, name="Course")
    form = forms.create(account.pk, {"name": "News"}, MONDAY_9)
    sequence = factories.make_sequence(account, name="Welcome")
    product, city = make_product(account), make_field(account, "Birthday")
    date = {"custom_field_id": city, "days": 0, "hour": 9, "yearly": False}
    said = [
        ({"trigger": "form_joined"}, "somebody joins any form"),
        ({"trigger": "form_joined", "form_id": form.pk}, "somebody joins the form “News”"),
        ({"trigger": "tag_added", "tag_id": tag.pk}, "somebody gets the tag “Course”"),
        ({"trigger": "tag_removed", "tag_id": tag.pk}, "somebody loses the tag “Course”"),
        ({"trigger": "sequence_entered", "sequence_id": sequence.pk}, "somebody enters the sequence “Welcome”"),
        ({"trigger": "sequence_completed", "sequence_id": sequence.pk}, "somebody completes the sequence “Welcome”"),
        (
            {"trigger": "sequence_left", "sequence_id": sequence.pk},
            "somebody leaves the sequence “Welcome” before its end",
        ),
        ({"trigger": "purchased"}, "somebody buys something"),
        ({"trigger": "purchased", "product_id": product.pk}, "somebody buys “Book”"),
        ({"trigger": "field_changed", "custom_field_id": city}, "somebody has the field “Birthday” changed"),
        (
            {"trigger": "field_changed", "custom_field_id": city, "value": "x"},
            "somebody has the field “Birthday” set to “x”",
        ),
        (
            {"trigger": "field_changed", "custom_field_id": city, "value": ""},
            "somebody has the field “Birthday” emptied",
        ),
        ({"trigger": "field_date", **date}, "somebody reaches the date in the field “Birthday”, at 9:00"),
        (
            {"trigger": "field_date", **date, "days": -3, "yearly": True},
            "somebody is 3 days before the date in the field “Birthday”, every year, at 9:00",
        ),
        (
            {"trigger": "field_date", **date, "days": 1},
            "somebody is 1 day after the date in the field “Birthday”, at 9:00",
        ),
        ({"trigger": "became_active"}, "somebody becomes active"),
        ({"trigger": "link_clicked"}, "somebody clicks a link"),
        ({"trigger": "link_clicked", "url": "https://a.example"}, "somebody clicks the link “https://a.example”"),
        ({"trigger": "cancelled"}, "somebody unsubscribes"),
        ({"trigger": "date", "at": "2027-01-01T09:00:00+01:00"}, "it is Friday, 1 January 2027 at 09:00"),
    ]
    assert {trigger["trigger"] for trigger, _ in said} == set(when.KINDS)
    names = names_of((thing for trigger, _ in said for thing in when.things(trigger)), account.pk)
    assert len(names) == 5
    for trigger, sentence in said:
        assert when.words(trigger, names) == sentence
    two = [said[2][0], said[1][0]]
    assert when.sentence(two, names) == "somebody gets the tag “Course” or joins the form “News”"
    assert when.words(two[0], {}) == f"somebody gets the tag number {tag.pk}, which is gone"
    assert datetime.fromisoformat(said[-1][0]["at"]).hour == 9
