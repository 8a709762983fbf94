"""People found by what somebody types; and that the words of names follow whoever writes the names."""

import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.postgresql import folded
from dripstone.subscribers import finding
from dripstone.subscribers.models import NameWord, Subscriber
from tests.factories import MONDAY_9, make_account, make_subscriber

pytestmark = pytest.mark.django_db


def found(account: Account, typed: str, most: int = 10) -> list[str | None]:
    """By their names."""
    return [person.first_name for person in finding.people(account.pk, typed, most)]


def kept() -> set[tuple[str, int]]:
    return set(NameWord.objects.values_list("word", "subscriber_id"))


def named(account: Account, *names: str | None) -> list[Subscriber]:
    return [make_subscriber(account, first_name=name) for name in names]


@pytest.mark.parametrize(
    "typed",
    [
        "maria",
        "MAR",
        "josé",
        "jose",
        "De la",
        "lópez",
        "LOPEZ",
        "garcia lop",
        "lop garcia",
        "o'br",
        "anne-marie ló",
        "mari",
    ],
)
def test_any_word_of_a_name_finds_it_without_accents_and_capitals(alice: Account, typed: str) -> None:
    name = "María José de la García-López O’Brien Anne-Marie"
    named(alice, "Bob", name, None)
    assert found(alice, typed) == [name]


@pytest.mark.parametrize(
    "typed", ["aria", "opez", "maria bob", "garcia x", "", " ", "%", "_", "'", "\\", "*", "\0", "😀", "-"]
)
def test_nothing_else_finds_it(alice: Account, typed: str) -> None:
    named(alice, "María García-López", "Bob")
    assert found(alice, typed) == []


@pytest.mark.parametrize(
    ("name", "typed"),
    [("Łódź", "lodz"), ("Lodz", "Łódź"), ("Straße", "STRASSE"), ("Ærø", "aero"), ("İpek", "ipek"), ("Ωμέγας", "ωμεγας"),
     ("Ольга", "ОЛЬ"), ("王小明", "王"), ("김민수", "김"), ("ﬁnn", "finn"), ("Ａｎａ", "ana"), ("Zoe\u0301", "zoé")],
)  # fmt: skip
def test_letters_of_all_kinds_are_folded_the_same_both_ways(alice: Account, name: str, typed: str) -> None:
    named(alice, name)
    assert found(alice, typed) == [name]


def test_who_is_called_exactly_so_comes_before_longer_names(alice: Account) -> None:
    named(alice, "Annabel", "Zoe Ann", "Anna", "Ann")
    assert found(alice, "ann") == ["Zoe Ann", "Ann", "Anna", "Annabel"]


def test_whose_address_begins_so_comes_first(alice: Account) -> None:
    make_subscriber(alice, first_name="Ann", email_address="zoe@example.org")
    make_subscriber(alice, first_name="Zed", email_address="ann.b@example.org")
    make_subscriber(alice, first_name="Yan", email_address="ann.a@example.org")
    assert found(alice, " ANN ") == ["Yan", "Zed", "Ann"]
    assert found(alice, "ann.b@") == ["Zed"]


def test_whoever_is_found_by_both_stands_there_once(alice: Account) -> None:
    make_subscriber(alice, first_name="Ann Anna", email_address="ann@example.org")
    assert found(alice, "an") == ["Ann Anna"]


def test_it_stops_where_it_is_told_to(alice: Account) -> None:
    named(alice, *["Ann"] * 7)
    assert len(found(alice, "a", most=3)) == 3


def test_another_account_has_people_of_its_own(alice: Account) -> None:
    named(make_account("Mallory"), "Ann")
    assert found(alice, "ann") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=300))
def test_any_text_may_be_typed(alice: Account, typed: str) -> None:
    finding.people(alice.pk, typed, 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=80))
def test_every_word_of_a_name_finds_its_owner(alice: Account, name: str) -> None:
    person = make_subscriber(alice, first_name=name)
    for word in folded.words(name):
        assert person.pk in finding.ids_with(alice.pk, "", [word], 5)
    person.delete()
    assert kept() == set()


def test_words_follow_the_name_and_go_with_the_person(alice: Account) -> None:
    person, other = named(alice, "Ann Lee", None)
    assert kept() == {("ann", person.pk), ("lee", person.pk)}
    Subscriber.objects.filter(pk=person.pk).update(first_name="Lee Roy")
    Subscriber.objects.filter(pk=other.pk).update(first_name="Bo")
    assert kept() == {("lee", person.pk), ("roy", person.pk), ("bo", other.pk)}
    Subscriber.objects.filter(pk=person.pk).update(first_name=None)
    assert kept() == {("bo", other.pk)}
    Subscriber.objects.all().delete()
    assert kept() == set()


def test_a_name_of_a_thousand_words_takes_sixty(alice: Account) -> None:
    named(alice, " ".join(f"w{number}" for number in range(1000)), "x" * 10_000)
    words = NameWord.objects.values_list("word", flat=True)
    assert sum(word.startswith("w") for word in words) == 60
    assert max(map(len, words)) == 60


def test_the_migration_adds_whoever_was_there_before_and_may_run_twice(alice: Account) -> None:
    people = named(alice, "Ann", "Bo Bo", None)
    NameWord.objects.filter(word="ann").delete()
    migration: Any = importlib.import_module("dripstone.subscribers.migrations.0012_words_of_names")
    for _ in range(2):
        with connection.schema_editor() as editor:
            migration.fill(apps, editor)
    assert kept() == {("ann", people[0].pk), ("bo", people[1].pk)}


def test_rows_that_the_version_before_writes_are_found(alice: Account) -> None:
    """It knows nothing of the table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at,"
            " updated_at) VALUES (%s, 'x@example.org', 'Old Ways', 'active', '{}', %s, %s)",
            [alice.pk, MONDAY_9, MONDAY_9],
        )
    assert found(alice, "ways") == ["Old Ways"]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (finding._BY_ADDRESS, "subscriber_by_prefix"),
        (
            "SELECT subscriber_id FROM subscribers_nameword WHERE account_id = %s AND word >= %s AND word < %s"
            " ORDER BY word, subscriber_id LIMIT %s",
            "subscribers_nameword_pkey",
        ),
    ],
)
def test_it_reads_a_range_of_an_index_in_its_order(alice: Account, sql: str, index: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {sql}", [alice.pk, "no", folded.end_of("no"), 8])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan
    assert "Sort" not in plan


def test_what_is_typed_is_cut_where_what_is_kept_is_cut() -> None:
    migration: Any = importlib.import_module("dripstone.accounts.migrations.0011_folded_words")
    assert folded._SEPARATORS == migration.SEPARATORS
