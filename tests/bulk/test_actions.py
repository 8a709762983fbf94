"""Actions on many people: whom they are about, what they do and say, and how they are cancelled and undone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.bulk import acting, actions, operations, runner
from dripstone.bulk import jobs as bulk_jobs
from dripstone.bulk import run as beside
from dripstone.bulk.models import BulkAction, Change, Line
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, NotFound, PreconditionFailed, TooLarge
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.ops import prune
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag, Tagging
from dripstone.tallies import verbs as tallies
from dripstone.triggers import what
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

NOW = MONDAY_9
EVERYBODY: dict[str, Any] = {"filter": {"all": []}}


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "AT_A_TIME", 2)


def begin(account: Account, *acts: Any, whom: Any = EVERYBODY, **more: Any) -> BulkAction:
    values = {"fire_rules": True, **more}
    return actions.begin(account, whom, list(acts), "API key test", NOW, **values)


def work(account: Account, now: datetime = NOW) -> None:
    runner.finish(operations.ALL, account.pk, lambda: now)


def done(row: BulkAction) -> BulkAction:
    work(row.account)
    row.refresh_from_db()
    return row


def people(account: Account, n: int, **values: Any) -> list[Subscriber]:
    return [make_subscriber(account, **values) for _ in range(n)]


def who_has(tag: Tag) -> list[int]:
    return sorted(Tagging.objects.filter(tag=tag).values_list("subscriber_id", flat=True))


def add(tag: Tag) -> dict[str, Any]:
    return {"kind": "tag", "tag_id": tag.pk}


def take(tag: Tag) -> dict[str, Any]:
    return {"kind": "untag", "tag_id": tag.pk}


def write(field: CustomField, value: str | None) -> dict[str, Any]:
    return {"kind": "field", "custom_field_id": field.pk, "value": value}


def make_field(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "Town"}, NOW, cause=causes.OWNER)[0]


# --- Whom it is about ---------------------------------------------------------------------------------------------


def test_everybody_who_meets_the_filter_is_acted_on_once_and_no_other(account: Account) -> None:
    tag, other = make_tag(account), make_tag(account)
    met = people(account, 5)
    for person in met:
        tags.add(other, person, NOW, cause=causes.OWNER)
    people(account, 3)
    make_subscriber(make_account())
    row = done(begin(account, add(tag), whom={"filter": {"type": "tags", "ids": [other.pk]}}))
    assert who_has(tag) == [person.pk for person in met]
    assert (row.state, row.n_met, row.n_looked_at, row.n_to_look_at) == ("done", 5, 8, 8)
    assert row.report == [{"changed": 5, "passed": {}}]
    assert Line.objects.values_list("n_jobs", "n_bytes").get() == (0, 0)


def test_whoever_comes_later_is_not_meant(account: Account) -> None:
    tag, there = make_tag(account), people(account, 3)
    row = begin(account, add(tag))
    assert runner.step(operations.ALL, account.pk, lambda: NOW)
    people(account, 2)
    assert done(row).n_met == 3
    assert who_has(tag) == [person.pk for person in there]


def test_whoever_stops_to_meet_the_filter_before_their_batch_is_not_meant(account: Account) -> None:
    course, tag = make_tag(account), make_tag(account)
    met = people(account, 4)
    for person in met:
        tags.add(course, person, NOW, cause=causes.OWNER)
    row = begin(account, add(tag), whom={"filter": {"type": "tags", "ids": [course.pk]}})
    runner.step(operations.ALL, account.pk, lambda: NOW)
    tags.remove_all(account.pk, [(course.pk, met[3].pk)], NOW, cause=causes.OWNER)
    assert done(row).n_met == 3
    assert who_has(tag) == [person.pk for person in met[:3]]


def test_what_it_does_may_end_that_they_meet_the_filter(account: Account) -> None:
    tag, there = make_tag(account), people(account, 5)
    done(begin(account, add(tag), whom={"filter": {"not": {"type": "tags", "ids": [tag.pk]}}}))
    assert who_has(tag) == [person.pk for person in there]


def test_of_a_list_of_ids_those_of_others_and_of_nobody_are_passed_over(account: Account) -> None:
    tag, stranger = make_tag(account), make_subscriber(make_account())
    first, gone, last = people(account, 3)
    ids = sorted([first.pk, gone.pk, last.pk, stranger.pk, 10**15])
    assert actions.count(account, {"ids": ids}, [add(tag)], NOW).n_unknown == 2
    gone.delete()
    row = done(begin(account, add(tag), whom={"ids": ids}))
    assert who_has(tag) == [first.pk, last.pk]
    assert (row.n_met, row.n_looked_at) == (2, 5)


def test_a_filter_that_breaks_on_the_way_ends_it_and_says_so(account: Account) -> None:
    course, tag = make_tag(account), make_tag(account)
    there = people(account, 4)
    row = begin(account, add(tag), whom={"filter": {"not": {"type": "tags", "ids": [course.pk]}}})
    runner.step(operations.ALL, account.pk, lambda: NOW)
    tags.delete(course, NOW, cause=causes.OWNER)
    assert (done(row).state, row.why) == ("failed", "filter_broken")
    assert who_has(tag) == [person.pk for person in there[:2]]
    assert Line.objects.get().n_jobs == 0


# --- What it does and says ----------------------------------------------------------------------------------------


def test_actions_are_done_in_order_and_each_says_what_became_of_people(account: Account) -> None:
    tag, field = make_tag(account), make_field(account)
    sequence = make_sequence(account, {"delay_value": 0})
    form = forms.create(account.pk, {"name": "F", "opt_in": "single"}, NOW)
    first, second = people(account, 2)
    out = make_subscriber(account, state="cancelled", canceled_at=NOW)
    tags.add(tag, first, NOW, cause=causes.OWNER)
    acts = [
        add(tag),
        write(field, "{{ subscriber.email_address }}"),
        {"kind": "form", "form_id": form.pk},
        {"kind": "enter_sequence", "sequence_id": sequence.pk},
        {"kind": "unsubscribe"},
    ]
    row = done(begin(account, *acts))
    assert row.report == [
        {"changed": 2, "passed": {"already_so": 1}},
        {"changed": 3, "passed": {}},
        {"changed": 3, "passed": {}},
        {"changed": 2, "passed": {"not_mailable": 1}},
        {"changed": 2, "passed": {"already_so": 1}},
    ]
    assert set(Subscriber.objects.values_list("state", flat=True)) == {"cancelled"}
    assert Subscriber.objects.get(pk=second.pk).fields == {str(field.pk): second.email_address}
    assert set(Enrollment.objects.exclude(subscriber=out).values_list("source", flat=True)) == {"bulk"}
    assert tallies.differences() == []


def test_deleting_leaves_the_counts_and_no_change_behind(account: Account) -> None:
    tag, sequence = make_tag(account), make_sequence(account, {"delay_value": 0})
    for person in people(account, 5):
        make_enrollment(sequence, person)
    row = done(begin(account, add(tag), {"kind": "delete"}))
    assert [told["changed"] for told in row.report] == [5, 5]
    assert not Subscriber.objects.exists()
    assert not Enrollment.objects.exists()
    assert not Change.objects.exists()
    assert Event.objects.filter(type="subscriber.deleted", cause=[f"bulk {row.pk}"]).count() == 5
    assert tallies.differences() == []


@pytest.mark.parametrize(
    ("fire_rules", "because", "chain"),
    [
        (True, (), []),
        (False, (), ["quiet"]),
        (True, ("rule 7",), ["rule 7"]),
        (False, ("rule 7",), ["rule 7", "quiet"]),
    ],
)
def test_events_say_which_action_it_was_and_whether_rules_may_fire(
    account: Account, fire_rules: bool, because: tuple[str, ...], chain: list[str]
) -> None:
    tag, _ = make_tag(account), people(account, 1)
    row = done(begin(account, add(tag), fire_rules=fire_rules, because=because))
    assert Event.objects.get(type="subscriber.tag_added").cause == [f"bulk {row.pk}", *chain]


def test_one_at_whom_it_stumbles_fails_alone(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    tag, there = make_tag(account), people(account, 4)
    real = what.perform

    def stumbling(action: Any, held: Any, some: Any, *rest: Any, **more: Any) -> Any:
        if there[1].pk in some:
            raise RuntimeError("a mistake of ours")
        return real(action, held, some, *rest, **more)

    monkeypatch.setattr(what, "perform", stumbling)
    row = done(begin(account, add(tag)))
    assert (row.state, row.n_met, row.n_failed, row.failed_ids) == ("done", 4, 1, [there[1].pk])
    assert row.report == [{"changed": 3, "passed": {}}]
    assert who_has(tag) == [person.pk for person in (there[0], *there[2:])]


def test_jobs_and_actions_of_an_account_are_done_as_they_were_asked_for(account: Account) -> None:
    """A job that makes a person is done before an action on everybody, which was asked for after it."""
    people(account, 1)
    tag = make_tag(account)
    entry = {"email_address": "new@example.org"}
    bulk_jobs.keep(operations.SUBSCRIBERS, account.pk, [entry], "", NOW, n_bytes=1, asked_by="API key test")
    row = begin(account, add(tag))
    assert runner.step(operations.ALL, account.pk, lambda: NOW)
    assert account.subscribers.count() == 2
    assert Tagging.objects.count() == 0
    assert done(row).n_met == 1


def test_accounts_take_turns(account: Account) -> None:
    small = make_account()
    people(account, 9)
    people(small, 1)
    many, few = begin(account, add(make_tag(account))), begin(small, add(make_tag(small)))
    for _ in range(4):
        turn = runner.take_turn()
        assert turn is not None
        assert runner.step(operations.ALL, turn, lambda: NOW)
    few.refresh_from_db()
    many.refresh_from_db()
    assert (few.state, many.state) == ("done", "running")


def test_beside_a_virtual_clock_all_is_done_before_it_moves(account: Account) -> None:
    tag, _ = make_tag(account), people(account, 3)
    begin(account, add(tag))
    beside.until_idle(lambda: NOW)
    assert Tagging.objects.filter(tag=tag).count() == 3


def test_too_many_do_not_wait(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "MOST_WAITING", 1)
    begin(account, add(make_tag(account)))
    with pytest.raises(TooLarge):
        begin(account, add(make_tag(account)))


# --- Counting -----------------------------------------------------------------------------------------------------


def counted(account: Account, act: Any, whom: Any = EVERYBODY) -> tuple[int, int, int]:
    found = actions.count(account, whom, [act], NOW)
    return found.n_people, found.effects[0].n_changed, found.effects[0].n_asked


def test_what_was_counted_is_what_is_done(account: Account) -> None:
    """Of every kind, for people in every state that matters to it."""
    tag, field = make_tag(account), make_field(account)
    single = forms.create(account.pk, {"name": "S", "opt_in": "single"}, NOW)
    double = forms.create(account.pk, {"name": "D", "opt_in": "double"}, NOW)
    once, again = (make_sequence(account, {"delay_value": 0}, repeat=repeat) for repeat in (False, True))
    for state in ("active", "inactive", "cancelled", "bounced", "complained"):
        fresh, had = people(account, 2, state=state, canceled_at=NOW if state == "cancelled" else None)
        tags.add(tag, had, NOW, cause=causes.OWNER)
        forms.add(single, had, {}, NOW, cause=causes.OWNER)
        forms.add(double, had, {}, NOW, cause=causes.OWNER)
        values = [(had.pk, field.pk, "Rome"), (fresh.pk, field.pk, "Oslo")]
        subscribe.write_values(
            {had.pk: had, fresh.pk: fresh}, values[: 1 + (state == "active")], NOW, cause=causes.OWNER
        )
        for sequence in (once, again):
            make_enrollment(sequence, had)
    acts = [
        add(tag),
        take(tag),
        write(field, "Rome"),
        write(field, ""),
        {"kind": "form", "form_id": single.pk},
        {"kind": "leave_form", "form_id": single.pk},
        {"kind": "enter_sequence", "sequence_id": once.pk},
        {"kind": "enter_sequence", "sequence_id": again.pk},
        {"kind": "leave_sequence", "sequence_id": once.pk},
        {"kind": "unsubscribe"},
        {"kind": "delete"},
    ]
    for act in acts:
        foretold = counted(account, act)
        with transaction.atomic():
            row = done(begin(account, act))
            assert (row.n_met, row.report[0]["changed"]) == foretold[:2], act
            transaction.set_rollback(True)
    assert counted(account, {"kind": "form", "form_id": double.pk}) == (10, 4, 1)


def test_a_count_says_how_many_enter_and_when_the_first_email_goes(account: Account) -> None:
    sequence = make_sequence(account, {"delay_value": 1, "subject": "Hello"})
    people(account, 2)
    people(account, 1, state="inactive")
    people(account, 1, state="bounced")
    found = actions.count(account, EVERYBODY, [{"kind": "enter_sequence", "sequence_id": sequence.pk}], NOW)
    [effect] = found.effects
    assert (found.n_people, found.n_unmailable, effect.n_changed) == (4, 1, 3)
    assert effect.entering is not None
    assert effect.entering.first is not None
    assert effect.entering.n_unconfirmed == 1
    email, at = effect.entering.first
    assert (email.subject, at > NOW) == ("Hello", True)


def test_a_token_holds_while_others_come_and_not_when_it_would_do_something_else(account: Account) -> None:
    tag, there = make_tag(account), people(account, 3)
    act = {"kind": "unsubscribe"}
    whom = {"filter": {"not": {"type": "tags", "ids": [tag.pk]}}}
    token = actions.count(account, whom, [act], NOW).token
    newcomer = make_subscriber(account)
    tags.add(tag, there[0], NOW, cause=causes.OWNER)
    with pytest.raises(PreconditionFailed):
        begin(account, act, whom=whom, seen=token)
    token = actions.count(account, whom, [act], NOW, last_id=there[2].pk).token
    for wrong in ("", "x", f"{10**17}-{token[-20:]}"):
        with pytest.raises(PreconditionFailed):
            begin(account, act, whom=whom, seen=wrong)
    assert done(begin(account, act, whom=whom, seen=token)).n_met == 2
    newcomer.refresh_from_db()
    assert newcomer.state == "active"


# --- Cancelling ---------------------------------------------------------------------------------------------------


def test_what_was_done_until_it_is_cancelled_stays(account: Account) -> None:
    tag, there = make_tag(account), people(account, 5)
    row = begin(account, add(tag))
    runner.step(operations.ALL, account.pk, lambda: NOW)
    assert actions.cancel(account, row.pk, NOW).state == "cancelled"
    assert done(row).n_met == 2
    assert who_has(tag) == [person.pk for person in there[:2]]
    assert Line.objects.get().n_jobs == 0
    with pytest.raises(Invalid):
        actions.cancel(account, row.pk, NOW)


def test_another_accounts_action_is_neither_cancelled_nor_undone(account: Account) -> None:
    row = begin(account, add(make_tag(account)))
    with pytest.raises(NotFound):
        actions.cancel(make_account(), row.pk, NOW)
    with pytest.raises(NotFound):
        actions.undo(make_account(), row.pk, "mallory", NOW)


# --- Undoing ------------------------------------------------------------------------------------------------------


def undone(row: BulkAction, now: datetime = NOW) -> BulkAction:
    actions.undo(row.account, row.pk, "alice", now)
    work(row.account, now)
    row.refresh_from_db()
    return row


def test_it_is_undone_within_a_day_and_once(account: Account) -> None:
    tag, _ = make_tag(account), people(account, 3)
    row = begin(account, add(tag))
    with pytest.raises(Invalid, match="still running"):
        actions.undo(account, row.pk, "alice", NOW)
    done(row)
    with pytest.raises(Invalid, match="more than a day"):
        actions.undo(account, row.pk, "alice", NOW + timedelta(days=1))
    row = undone(row, NOW + timedelta(days=1, microseconds=-1))
    assert (row.state, row.n_undone, row.n_left) == ("undone", 3, 0)
    assert who_has(tag) == []
    assert not Change.objects.exists()
    assert Line.objects.get().n_jobs == 0
    with pytest.raises(Invalid, match="undone already"):
        actions.undo(account, row.pk, "alice", NOW)


def test_what_somebody_has_changed_since_is_left(account: Account) -> None:
    tag, field = make_tag(account), make_field(account)
    again, moved, gone, same = people(account, 4)
    row = done(begin(account, add(tag), write(field, "Rome")))
    later = NOW + timedelta(hours=1)
    tags.remove_all(account.pk, [(tag.pk, again.pk)], later, cause=causes.OWNER)
    tags.put_all(account.pk, [(tag.pk, again.pk)], later, cause=causes.OWNER)
    moved.refresh_from_db()
    subscribe.write_values({moved.pk: moved}, [(moved.pk, field.pk, "Oslo")], later, cause=causes.OWNER)
    done(begin(account, {"kind": "delete"}, whom={"ids": [gone.pk]}))
    row = undone(row, later)
    assert who_has(tag) == [again.pk]
    values = {one.pk: one.fields for one in account.subscribers.all()}
    assert values == {again.pk: {}, moved.pk: {str(field.pk): "Oslo"}, same.pk: {}}
    assert (row.n_undone, row.n_left) == (4, 2)  # of those who are there


def test_what_cannot_be_undone_says_so(account: Account) -> None:
    people(account, 1)
    row = done(begin(account, {"kind": "unsubscribe"}))
    with pytest.raises(Invalid, match="no tag and no field"):
        actions.undo(account, row.pk, "alice", NOW)


def test_changes_are_kept_for_a_day_and_longer_while_they_are_undone(account: Account) -> None:
    people(account, 3)
    old, under_way = (done(begin(account, add(make_tag(account)))) for _ in range(2))
    actions.undo(account, under_way.pk, "alice", NOW)
    prune.everything(NOW + timedelta(days=1))
    assert Change.objects.filter(action=old).count() == 3
    prune.everything(NOW + timedelta(days=1, microseconds=1))
    assert set(Change.objects.values_list("action_id", flat=True)) == {under_way.pk}
    assert BulkAction.objects.count() == 2
    work(account)
    prune.everything(NOW + timedelta(days=10_000))
    assert not BulkAction.objects.exists()


State = dict[int, tuple[frozenset[int], str | None]]
_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("tag"), st.integers(0, 1)),
        st.tuples(st.just("untag"), st.integers(0, 1)),
        st.tuples(st.just("field"), st.sampled_from(["", "a", "b", "{{ subscriber.first_name }}"])),
    ),
    min_size=1,
    max_size=4,
)
_PEOPLE = st.lists(st.tuples(st.frozensets(st.integers(0, 1)), st.sampled_from(["", "a", "b"])), min_size=1, max_size=5)


@settings(max_examples=15, deadline=None)
@given(_PEOPLE, _ACTS)
def test_undone_at_once_everybody_is_as_before(before: Sequence[tuple[frozenset[int], str]], acts: Any) -> None:
    """Whatever the actions are, also several about one thing."""
    with transaction.atomic():
        account = make_account()
        field, ours = make_field(account), [make_tag(account) for _ in range(2)]
        for has, value in before:
            written = {str(field.pk): value} if value else {}
            person = make_subscriber(account, first_name="b", fields=written)
            tags.put_all(account.pk, [(ours[n].pk, person.pk) for n in has], NOW, cause=causes.OWNER)
        kept = _standing(account, ours, field)
        chosen = [
            write(field, str(about)) if kind == "field" else {"kind": kind, "tag_id": ours[int(about)].pk}
            for kind, about in acts
        ]
        row = done(begin(account, *chosen))
        changed = sum(told["changed"] for told in row.report)
        assert row.n_changes == changed
        if changed:
            row = undone(row)
            assert (row.n_undone, row.n_left) == (changed, 0)
        assert _standing(account, ours, field) == kept
        transaction.set_rollback(True)


def _standing(account: Account, ours: list[Tag], field: CustomField) -> State:
    return {
        person.pk: (
            frozenset(Tagging.objects.filter(tag__in=ours, subscriber=person).values_list("tag_id", flat=True)),
            person.fields.get(str(field.pk)) or None,
        )
        for person in account.subscribers.all()
    }


# --- Reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({}, "Give either filter or ids"),
        ({"filter": {"all": []}, "ids": [1]}, "Give either filter or ids"),
        ({"ids": []}, "ids can't be blank"),
        ({"ids": ["x"]}, "ids must be an array of ids"),
        ({"ids": 3}, "ids must be an array"),
        ({"ids": [1], "fire_rules": "maybe"}, "fire_rules must be true or false"),
        ({"ids": [1], "actions": []}, "actions can't be empty"),
        ({"ids": [1], "actions": [{"kind": "delete"}, {"kind": "unsubscribe"}]}, "delete must be the last action"),
        ({"ids": [1], "actions": [{"kind": "tag", "tag_id": 10**12}]}, "tag_id"),
    ],
)
def test_what_is_wrong_is_told_together(account: Account, asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        actions.read({"actions": [{"kind": "unsubscribe"}], **asked}, account.pk)
    assert sentence in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_a_person_with_a_place_is_not_deleted_by_hand(account: Account) -> None:
    """The database asks once per statement, by the key of places."""
    person = people(account, 1)[0]
    make_enrollment(make_sequence(account, {"delay_value": 0}), person)
    with pytest.raises(Exception, match="left without its person"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM subscribers_subscriber WHERE id = %s", [person.pk])
