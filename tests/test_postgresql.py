"""Our database backend: querysets whose SQL is kept answer as querysets do, and the pool notices what ended."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models import Q, QuerySet
from psycopg_pool import ConnectionPool

from dripstone.accounts.models import Account
from dripstone.postgresql import alike, prepared
from dripstone.postgresql.base import check
from dripstone.postgresql.compiled import Among, Compiled, Parameter
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber, Tagging
from tests.factories import MONDAY_9, make_account, make_sequence, make_subscriber, make_tag

BY_ID = Compiled(
    lambda: Sequence.objects.filter(account=Parameter("account"), pk=Parameter("id")).select_related("sending_address")
)
PEOPLE = Compiled(lambda: Subscriber.objects.filter(Among("id", Parameter("ids")), state="active").order_by("-id"))


@pytest.mark.django_db
def test_a_compiled_queryset_finds_what_the_queryset_finds() -> None:
    account = make_account()
    sequence, other = make_sequence(account), make_sequence(make_account("Mallory"))
    found = BY_ID.first(account=account.pk, id=sequence.pk)
    assert found is not None
    expected = Sequence.objects.get(pk=sequence.pk)
    assert {field.attname: getattr(found, field.attname) for field in Sequence._meta.concrete_fields} == {
        field.attname: getattr(expected, field.attname) for field in Sequence._meta.concrete_fields
    }
    assert "sending_address" in found._state.fields_cache
    assert found.sending_address == expected.sending_address
    assert BY_ID.first(account=account.pk, id=other.pk) is None


@pytest.mark.django_db
def test_its_values_are_not_those_of_the_first_time() -> None:
    account = make_account()
    people = [make_subscriber(account, fields={"1": "x"}) for _ in range(3)]
    assert PEOPLE.all(ids=[people[0].pk]) == [people[0]]
    assert PEOPLE.all(ids=[one.pk for one in people]) == people[::-1]
    assert PEOPLE.all(ids=[]) == []
    assert PEOPLE.all(ids=[people[1].pk])[0].fields == {"1": "x"}


@pytest.mark.django_db
def test_a_row_of_it_can_be_saved() -> None:
    person = make_subscriber(make_account())
    found = PEOPLE.all(ids=[person.pk])[0]
    found.first_name = "Björn"
    found.save()
    assert Subscriber.objects.get().first_name == "Björn"


# --- Querysets of the same form -----------------------------------------------------------------------------------

EVERYBODY = Subscriber.objects.order_by("-pk")
ASKED: list[Callable[[Account, int], QuerySet[Any]]] = [
    lambda account, pk: EVERYBODY.filter(account=account),
    lambda account, pk: EVERYBODY.filter(account=account, state="active")[:2],
    lambda account, pk: EVERYBODY.filter(account=account, state="bounced")[:2],
    lambda account, pk: EVERYBODY.filter(account=account, state="active")[:3],
    lambda account, pk: EVERYBODY.filter(account=account, created_at__gt=MONDAY_9),
    lambda account, pk: EVERYBODY.filter(account=account, created_at__lt=MONDAY_9),
    lambda account, pk: EVERYBODY.filter(account=account).exclude(state="active"),
    lambda account, pk: EVERYBODY.filter(Q(state="active") | Q(state="bounced"), account=account),
    lambda account, pk: EVERYBODY.filter(account=account, pk__in=[pk]),
    lambda account, pk: EVERYBODY.filter(account=account, pk__in=[]),
    lambda account, pk: EVERYBODY.filter(account=account, first_name=None),
    lambda account, pk: EVERYBODY.filter(account=account, pk__lt=pk),
    lambda account, pk: EVERYBODY.filter(account=account).defer("fields"),
    lambda account, pk: EVERYBODY.filter(account=account).order_by("pk"),
    lambda account, pk: EVERYBODY.none(),
    lambda account, pk: Tagging.objects.filter(tag__account=account, subscriber__state="active").order_by("-pk"),
    lambda account, pk: Tagging.objects.filter(tag__account=account, subscriber__state="bounced").order_by("-pk"),
    lambda account, pk: Tagging.objects.filter(tag__account=account).select_related("subscriber").order_by("-pk"),
]


@pytest.mark.django_db
def test_querysets_of_the_same_form_find_what_each_finds() -> None:
    for name in ("Alice", "Mallory"):
        account = make_account(name)
        people = [make_subscriber(account, state=state) for state in ("active", "active", "bounced", "active")]
        make_tag(account, *people[1:])
        for number, asked in enumerate(ASKED):
            queryset = asked(account, people[1].pk)
            assert alike.rows(queryset, queryset.all) == list(queryset), number


@pytest.mark.django_db
def test_their_sql_is_made_once() -> None:
    made = 0

    def rows(state: str) -> list[Subscriber]:
        queryset = Subscriber.objects.filter(state=state).order_by("created_at")

        def make() -> QuerySet[Subscriber]:
            nonlocal made
            made += 1
            return queryset

        return alike.rows(queryset, make, "a test of its own")

    person = make_subscriber(make_account(), state="bounced")
    assert (rows("active"), rows("bounced"), rows("active")) == ([], [person], [])
    assert made == 1


@pytest.mark.django_db
def test_the_pool_gives_no_connection_that_has_ended() -> None:
    with (
        ConnectionPool(_address(), min_size=1, max_size=1, check=check, kwargs={"autocommit": True}) as pool,
        psycopg.connect(_address(), autocommit=True) as operator,
    ):
        with pool.connection() as first:
            ended = first.info.backend_pid
        operator.execute("SELECT pg_terminate_backend(%s, 5000)", [ended])
        with pool.connection() as second:
            assert second.info.backend_pid != ended
            assert second.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.django_db
def test_a_connection_that_was_asked_lately_is_not_asked_again() -> None:
    with ConnectionPool(_address(), min_size=1, max_size=1, check=check, kwargs={"autocommit": True}) as pool:
        with pool.connection() as first:
            first.execute("SELECT 1")
            began = first.execute("SELECT query_start FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchone()
        with pool.connection() as same, psycopg.connect(_address(), autocommit=True) as operator:
            last = "SELECT query_start FROM pg_stat_activity WHERE pid = %s"
            assert operator.execute(last, [same.info.backend_pid]).fetchone() == began


@pytest.mark.django_db
def test_only_what_asks_for_it_is_prepared() -> None:
    statement = "SELECT %(n)s::int + 1"
    assert [prepared.rows(statement, {"n": n}) for n in (1, 2)] == [[(2,)], [(3,)]]
    Subscriber.objects.count()
    kept = _prepared_statements()
    assert kept.count("SELECT $1::int + 1") == 1
    assert not any("count" in one.lower() for one in kept)


@pytest.mark.django_db
def test_a_compiled_queryset_is_planned_once_per_connection() -> None:
    people = [make_subscriber(make_account(), state="active") for _ in range(2)]
    assert [PEOPLE.all(ids=[one.pk]) for one in people] == [[one] for one in people]
    assert sum('FROM "subscribers_subscriber"' in one for one in _prepared_statements()) == 1


@pytest.mark.django_db
def test_who_watches_statements_sees_prepared_ones_too() -> None:
    seen = []

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        assert prepared.rows("SELECT %(n)s::integer", {"n": 1}) == [(1,)]
        prepared.put("SELECT 2", {})
    assert seen == ["SELECT %(n)s::integer", "SELECT 2"]


def _prepared_statements() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def _address() -> str:
    """The test database's, for connections beside Django's."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    return psycopg.conninfo.make_conninfo(**known)
