"""Verbs for many at once do what those for one do, one after the other: the same rows, events and answers.

Each story is told twice, in two accounts that began alike: by single verbs in one, by one verb for all in the other.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from django.db import transaction
from hypothesis import HealthCheck
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine.acts import sign_ups
from dripstone.engine.models import Notice
from dripstone.errors import Invalid, NotFound
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import fields, forms, remembered, subscribe, tags
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import (
    CustomField,
    Form,
    FormSubscription,
    Remembered,
    SignUp,
    Subscriber,
    Tag,
    Tagging,
    held,
    locked_all,
)
from tests import factories
from tests.factories import MONDAY_9
from tests.racing import together

LATER = MONDAY_9 + timedelta(hours=1)

pytestmark = pytest.mark.django_db

ADDRESSES = [
    "ann@example.org",
    "Ann@Example.org",
    "bea@example.org",
    "cleo@example.org",
    "gone@example.org",
    "angry@example.org",
]
NAMES = ["VIP", "vip", " Vip ", "Écoute", "écoute", "a-b", "A b", "", None, 7, "x" * 300]
REMEMBERED = {"gone@example.org": "cancelled", "angry@example.org": "complained"}
BIG = "x" * (subscribe.MAX_VALUES - 10)


@pytest.fixture
def told_twice(db: None) -> Callable[[Callable[[Account], Any]], list[Any]]:
    """Tells a story in a fresh account, and what is there afterwards; nothing stays."""

    def tell(story: Callable[[Account], Any]) -> list[Any]:
        with transaction.atomic():
            account = an_account()
            answer = story(account)
            seen = [answer, *everything_of(account)]
            transaction.set_rollback(True)
        return seen

    return tell


def an_account() -> Account:
    account = factories.make_account()
    for label in ("Company", "City"):
        fields.create(account.pk, {"label": label}, MONDAY_9, cause=causes.OWNER)
    for name in ("VIP", "Reader"):
        tags.create(account.pk, {"name": name}, MONDAY_9, cause=causes.OWNER)
    for opt_in in ("single", "double"):
        forms.create(account.pk, {"name": opt_in, "opt_in": opt_in}, MONDAY_9)
    people = [("ann", "active"), ("bea", "inactive"), ("cleo", "cancelled")]
    for name, state in people:
        address = f"{name}@example.org"
        stamps = {"canceled_at": MONDAY_9} if state == "cancelled" else {}
        factories.make_subscriber(account, email_address=address, first_name=None, state=state, **stamps)
    for address, state in REMEMBERED.items():
        remembered.remember(account.pk, address, state, MONDAY_9)
    Event.objects.filter(account_id=account.pk).delete()
    return account


def everything_of(account: Account) -> list[Any]:
    """All that these verbs may leave, without ids: people by address, things by name."""
    people = dict(Subscriber.objects.filter(account=account).values_list("pk", "email_address"))
    labels = dict(CustomField.objects.filter(account=account).values_list("pk", "label"))
    names = dict(Tag.objects.filter(account=account).values_list("pk", "name"))
    kinds = dict(Form.objects.filter(account=account).values_list("pk", "name"))
    things = {"form": kinds, "tag": names, "custom_field": labels}
    of_person = {"subscriber__account": account}
    places = FormSubscription.objects.filter(**of_person).order_by("form__name", "subscriber__email_address")
    return [
        [
            [
                *(one.email_address, one.first_name, one.state, one.canceled_at, one.created_at, one.updated_at),
                sorted((labels[int(key)], value) for key, value in one.fields.items()),
            ]
            for one in Subscriber.objects.filter(account=account).order_by("email_address")
        ],
        sorted(CustomField.objects.filter(account=account).values_list("label", "key", "created_at")),
        all(one.name.startswith(f"ck_field_{one.pk}_") for one in CustomField.objects.filter(account=account)),
        sorted(Tag.objects.filter(account=account).values_list("name", "created_at")),
        sorted(
            (names[tag_id], people[person], since)
            for tag_id, person, since in Tagging.objects.filter(**of_person).values_list(
                "tag_id", "subscriber_id", "tagged_at"
            )
        ),
        list(places.values_list("form__name", "subscriber__email_address", "added_at", "is_unconfirmed", "referrer")),
        sorted(SignUp.objects.filter(**of_person).values_list("form__name", "email_address", "status")),
        sorted(Notice.objects.filter(account=account).values_list("kind", "email_address")),
        Remembered.objects.filter(account=account).count(),
        [
            [
                *(one.type, people.get(one.subscriber_id or 0), one.cause, one.data, one.occurred_at),
                next((named.get(one.subject_id or 0) for kind, named in things.items() if kind in one.type), None),
            ]
            for one in Event.objects.filter(account_id=account.pk).order_by("pk")
        ],
    ]


def tried(verb: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return verb(*arguments, LATER, cause=causes.API)
    except (Invalid, NotFound) as problem:
        return problem


def plain(answer: Any) -> Any:
    """What is told of one entry, without ids."""
    if isinstance(answer, Invalid | NotFound):
        return answer.messages
    if isinstance(answer, subscribe.Written):
        person = answer.subscriber
        values = sorted(person.fields.values())
        return person.email_address, person.first_name, person.state, values, answer.is_new, answer.keys, answer.unknown
    return (answer.label, answer.key) if isinstance(answer, CustomField) else answer.name


stories = hypothesis.settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)

people_given = st.lists(
    st.fixed_dictionaries(
        {"email_address": st.sampled_from([*ADDRESSES, "nobody", None, 5, "nul\0@example.org"])},
        optional={
            "first_name": st.sampled_from(["Ann", "Bea", "", None, 3]),
            "state": st.sampled_from(["active", "inactive", "cancelled", "complained", None, "asleep"]),
            "fields": st.dictionaries(
                st.sampled_from(["company", "city", "shoe_size"]),
                st.sampled_from(["A", "B", "", None, BIG]),
                max_size=3,
            ),
        },
    ),
    max_size=8,
)


@stories
@hypothesis.given(given=people_given)
def test_people_come_in_and_change(told_twice: Any, given: list[Any]) -> None:
    def one_by_one(account: Account) -> Any:
        return [plain(tried(subscribe.upsert, account.pk, one)) for one in given]

    def at_once(account: Account) -> Any:
        return [plain(one) for one in subscribe.upsert_all(account.pk, given, LATER, cause=causes.API)]

    assert told_twice(at_once) == told_twice(one_by_one)


@stories
@hypothesis.given(
    values=st.lists(
        st.tuples(
            st.sampled_from(["ann@example.org", "bea@example.org"]),
            st.sampled_from(["company", "city"]),
            st.sampled_from(["A", "B", "", BIG]),
        ),
        max_size=8,
    )
)
def test_values_are_written(told_twice: Any, values: list[tuple[str, str, str]]) -> None:
    def one_by_one(account: Account) -> Any:
        people = {one.email_address: one.pk for one in account.subscribers.all()}
        answers = [
            tried(subscribe.update, of, {"fields": {key: value}})
            for of, key, value in ((people[address], key, value) for address, key, value in values)
        ]
        return [one.messages if isinstance(one, Invalid) else None for one in answers]

    def at_once(account: Account) -> Any:
        people = {one.email_address: one.pk for one in account.subscribers.all()}
        ids = {key: int(pk) for pk, key in fields.keys_of(account.pk).items()}
        asked = [(people[address], ids[key], value) for address, key, value in values]
        locked = locked_all(account.pk, people.values())
        answers = subscribe.write_values(locked, asked, LATER, cause=causes.API)
        return [one.messages if one else None for one in answers]

    assert told_twice(at_once) == told_twice(one_by_one)


@stories
@hypothesis.given(asked=st.lists(st.sampled_from(NAMES), max_size=8))
def test_tags_are_made(told_twice: Any, asked: list[Any]) -> None:
    def one_by_one(account: Account) -> Any:
        made = (tried(tags.create, account.pk, {"name": name}) for name in asked)
        return [plain(one[0] if isinstance(one, tuple) else one) for one in made]

    def at_once(account: Account) -> Any:
        made = tags.create_all(account.pk, [{"name": name} for name in asked], LATER, cause=causes.API)
        return [plain(one) for one in made]

    assert told_twice(at_once) == told_twice(one_by_one)


@stories
@hypothesis.given(asked=st.lists(st.sampled_from(NAMES), max_size=8))
def test_fields_are_made(told_twice: Any, asked: list[Any]) -> None:
    def one_by_one(account: Account) -> Any:
        made = (tried(fields.create, account.pk, {"label": label}) for label in asked)
        return [plain(one[0] if isinstance(one, tuple) else one) for one in made]

    def at_once(account: Account) -> Any:
        made = fields.create_all(account.pk, [{"label": label} for label in asked], LATER, cause=causes.API)
        return [plain(one) for one in made]

    assert told_twice(at_once) == told_twice(one_by_one)


pairs = st.lists(st.tuples(st.sampled_from(["VIP", "Reader"]), st.sampled_from(["ann", "bea", "cleo"])), max_size=6)


@stories
@hypothesis.given(added=pairs, removed=pairs)
def test_people_are_tagged_and_untagged(told_twice: Any, added: Any, removed: Any) -> None:
    def one_by_one(account: Account) -> Any:
        since = [
            tags.add(tag_of(account, name), person_of(account, who), LATER, cause=causes.API)[0].tagged_at
            for name, who in added
        ]
        for name, who in removed:
            tags.remove(tag_of(account, name), person_of(account, who), LATER, cause=causes.API)
        return since

    def at_once(account: Account) -> Any:
        def ids(asked: Any) -> list[tuple[int, int]]:
            return [(tag_of(account, name).pk, person_of(account, who).pk) for name, who in asked]

        locked_all(account.pk, account.subscribers.values_list("pk", flat=True))
        since = tags.add_all(account.pk, ids(added), LATER, cause=causes.API)
        tags.remove_all(account.pk, ids(removed), LATER, cause=causes.API)
        return [since[pair] for pair in ids(added)]

    assert told_twice(at_once) == told_twice(one_by_one)


@stories
@hypothesis.given(tagged=pairs, deleted=st.lists(st.sampled_from(["VIP", "Reader"]), max_size=3))
def test_tags_are_deleted(told_twice: Any, tagged: Any, deleted: list[str]) -> None:
    def tell(account: Account, delete: Callable[[list[Tag]], Any]) -> Any:
        for name, who in tagged:
            tags.add(tag_of(account, name), person_of(account, who), MONDAY_9, cause=causes.API)
        return delete([tag_of(account, name) for name in deleted])

    def one_by_one(chosen: list[Tag]) -> Any:
        return {one.name for one in chosen if tried(tags.delete, one) is None}

    def at_once(chosen: list[Tag]) -> Any:
        gone = {tags_of.account_id for tags_of in chosen}
        found = {pk for of in gone for pk in tags.delete_all(of, [one.pk for one in chosen], LATER, cause=causes.API)}
        return {one.name for one in chosen if one.pk in found}

    assert told_twice(lambda account: tell(account, at_once)) == told_twice(lambda account: tell(account, one_by_one))


@stories
@hypothesis.given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(["single", "double"]),
            st.sampled_from(["ann", "bea", "cleo"]),
            st.sampled_from(["https://a.test/?utm_source=x", None]),
        ),
        max_size=6,
    )
)
def test_people_are_put_on_forms(told_twice: Any, asked: Any) -> None:
    """Who is unconfirmed is asked to confirm by a form with double opt-in, in either way and once."""

    def one_by_one(account: Account) -> Any:
        for kind, who, referrer in asked:
            form, person = form_of(account, kind), person_of(account, who)
            sign_ups.add(form, person, {"referrer": referrer}, LATER, cause=causes.API)

    def at_once(account: Account) -> Any:
        origins: dict[Any, Origin] = {}
        for kind, who, referrer in asked:
            origins.setdefault((form_of(account, kind).pk, person_of(account, who).pk), Origin.of_page(referrer))
        people = locked_all(account.pk, account.subscribers.values_list("pk", flat=True))
        sign_ups.add_all(account.pk, origins, people, LATER, cause=causes.API)

    told, expected = told_twice(at_once), told_twice(one_by_one)
    assert told[:-1] == expected[:-1]
    assert sorted(told[-1], key=repr) == sorted(expected[-1], key=repr)  # who has to click comes after the others


def tag_of(account: Account, name: str) -> Tag:
    return account.tags.get(name=name)


def person_of(account: Account, name: str) -> Subscriber:
    return account.subscribers.get(email_address=f"{name}@example.org")


def form_of(account: Account, name: str) -> Form:
    return account.forms.get(name=name)


def test_rows_of_another_account_are_nobodys() -> None:
    mine, theirs = factories.make_account(), factories.make_account()
    person, tag = factories.make_subscriber(theirs), factories.make_tag(theirs)
    with transaction.atomic():
        assert locked_all(mine.pk, [person.pk]) == {}
        assert held(Tag, mine.pk, [tag.pk]) == set()
        assert held(Tag, theirs.pk, [tag.pk]) == {tag.pk}
    assert tags.delete_all(mine.pk, [tag.pk], MONDAY_9, cause=causes.API) == set()
    assert fields.known(mine.pk, [1]) == set()


@pytest.mark.django_db(transaction=True)
def test_many_who_come_in_at_the_same_moment_are_made_once() -> None:
    account = factories.make_account()
    given = [{"email_address": f"p{n}@example.org", "first_name": "Ann"} for n in range(50)]
    results = together(lambda: subscribe.upsert_all(account.pk, given, MONDAY_9, cause=causes.API))
    assert sorted(sum(one.is_new for one in result) for result in results) == [0] * 5 + [50]
    assert Subscriber.objects.count() == Event.objects.filter(type="subscriber.created").count() == 50


@pytest.mark.django_db(transaction=True)
def test_tags_and_fields_that_are_made_at_the_same_moment_are_made_once() -> None:
    account = factories.make_account()
    asked = [f"Thing {n}" for n in range(20)]
    together(lambda: tags.create_all(account.pk, [{"name": one} for one in asked], MONDAY_9, cause=causes.API))
    together(lambda: fields.create_all(account.pk, [{"label": one} for one in asked], MONDAY_9, cause=causes.API))
    assert Tag.objects.count() == CustomField.objects.count() == 20
    assert Event.objects.filter(type="tag.created").count() == 20
    assert Event.objects.filter(type="custom_field.created").count() == 20


def test_many_labels_with_one_key_get_the_keys_they_would_get_alone() -> None:
    account = factories.make_account()
    fields.create(account.pk, {"label": "field"}, MONDAY_9, cause=causes.API)
    made = fields.create_all(
        account.pk,
        [{"label": "日"}, {"label": "本"}, {"label": "field 4"}, {"label": "語"}],
        MONDAY_9,
        cause=causes.API,
    )
    assert [plain(one)[1] for one in made] == ["field_2", "field_3", "field_4", "field_5"]
