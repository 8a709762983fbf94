"""What actions do: for many at once what they do for one after the other, each for its account alone."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck
from hypothesis import strategies as st

from dripstone import signing
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.calls.models import Call
from dripstone.engine import enroll, transitions
from dripstone.engine.acts import forget
from dripstone.engine.models import Enrollment, Notice
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.shapes import subscribers as shapes
from dripstone.subscribers import fields, forms, subscribe
from dripstone.subscribers.models import (
    CustomField,
    Form,
    FormSubscription,
    SignUp,
    Subscriber,
    Tag,
    Tagging,
    locked_all,
)
from dripstone.triggers import reasons, what
from dripstone.triggers.models import OwnerMail
from dripstone.triggers.what import Action, Done
from tests import factories
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.making import make_delivery

LATER = MONDAY_9 + timedelta(hours=1)
CAUSE = (*causes.API, "rule 7")

pytestmark = pytest.mark.django_db


def do(account: Account, actions: list[Action], people: Iterable[Subscriber], **more: Any) -> list[Done]:
    """As an engine does: hold, lock, act."""
    with transaction.atomic():
        held = what.hold(account.pk, actions)
        locked = locked_all(account.pk, [one.pk for one in people])
        kept: dict[str, Any] = {"cause": CAUSE, "source": "rule", **more}
        return [what.perform(action, held, locked, LATER, **kept) for action in actions]


@pytest.fixture
def account() -> Account:
    return factories.make_account("Alice", time_zone="Europe/Berlin")


@pytest.fixture
def ann(account: Account) -> Subscriber:
    return make_subscriber(account, first_name="Ann", email_address="ann@example.org")


@pytest.fixture
def bea(account: Account) -> Subscriber:
    return make_subscriber(account, first_name=None, email_address="bea@example.org")


@pytest.fixture
def city(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0]


def events_of(person: Subscriber) -> list[tuple[str, int | None, list[str]]]:
    return list(Event.objects.filter(subscriber_id=person.pk).order_by("pk").values_list("type", "subject_id", "cause"))


# --- Many at once -------------------------------------------------------------------------------------------------

NAMES = ("ann", "bea", "cleo", "dan", "eve")
STATES = {"bea": "inactive", "cleo": "cancelled"}
BIG = "x" * (subscribe.MAX_VALUES - 10)
MANY = "Hello, {{ subscriber.city | default: subscriber.first_name }}, hello"
KINDS: dict[str, Callable[[Any], Action]] = {
    "tag": lambda it: {"kind": "tag", "tag_id": it["tag"]},
    "tag that is gone": lambda it: {"kind": "tag", "tag_id": 0},
    "untag": lambda it: {"kind": "untag", "tag_id": it["tag"]},
    "field": lambda it: {"kind": "field", "custom_field_id": it["field"], "value": "Bonn"},
    "field by Liquid": lambda it: {"kind": "field", "custom_field_id": it["field"], "value": MANY},
    "field emptied": lambda it: {"kind": "field", "custom_field_id": it["field"], "value": None},
    "single form": lambda it: {"kind": "form", "form_id": it["single"]},
    "double form": lambda it: {"kind": "form", "form_id": it["double"]},
    "leave form": lambda it: {"kind": "leave_form", "form_id": it["single"]},
    "enter once": lambda it: {"kind": "enter_sequence", "sequence_id": it["once"]},
    "enter again": lambda it: {"kind": "enter_sequence", "sequence_id": it["again"]},
    "enter deleted": lambda it: {"kind": "enter_sequence", "sequence_id": it["deleted"]},
    "leave": lambda it: {"kind": "leave_sequence", "sequence_id": it["again"]},
    "call": lambda it: {"kind": "call", "url": "https://example.com/", "body": {"city": "{{ subscriber.city }}"}},
    "move in": lambda it: {"kind": "move", "automation_id": it["automation"], "way": "in"},
    "move out of one that is gone": lambda it: {"kind": "move", "automation_id": 0, "way": "out"},
    "mail": lambda it: {"kind": "mail_owner", "text": "Look"},
    "unsubscribe": lambda it: {"kind": "unsubscribe"},
    "delete": lambda it: {"kind": "delete"},
}


def make_automation(account: Account) -> Automation:
    stamps = dict.fromkeys(("status_at", "made_at", "changed_at"), MONDAY_9)
    return Automation.objects.create(account=account, name="Launch", **stamps)


def a_world() -> tuple[Account, dict[str, int], dict[str, Subscriber]]:
    account = factories.make_account()
    things = {
        "tag": make_tag(account, name="Reader").pk,
        "field": fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0].pk,
        "big": fields.create(account.pk, {"label": "Big"}, MONDAY_9, cause=causes.OWNER)[0].pk,
        "single": forms.create(account.pk, {"name": "single", "opt_in": "single"}, MONDAY_9).pk,
        "double": forms.create(account.pk, {"name": "double", "opt_in": "double"}, MONDAY_9).pk,
        "once": make_sequence(account, {"delay_value": 0}, {}, name="once").pk,
        "again": make_sequence(account, {}, {}, name="again", repeat=True).pk,
        "automation": make_automation(account).pk,
        "deleted": make_sequence(account, {}, name="deleted", deleted_at=MONDAY_9).pk,
    }
    people = {
        name: make_subscriber(
            account,
            email_address=f"{name}@example.org",
            first_name=name,
            state=STATES.get(name, "active"),
            canceled_at=MONDAY_9 if name == "cleo" else None,
            fields={str(things["big"]): BIG} if name == "dan" else {},
        )
        for name in NAMES
    }
    Tagging.objects.create(tag_id=things["tag"], subscriber=people["eve"], tagged_at=MONDAY_9)
    for name in ("bea", "dan", "eve"):
        make_enrollment(Sequence.objects.get(pk=things["again"]), people[name])
    Event.objects.filter(account_id=account.pk).delete()
    return account, things, people


def everything_of(account: Account) -> list[Any]:
    """All that actions may leave, without ids: people by address, things by name."""
    people = dict(Subscriber.objects.filter(account=account).values_list("pk", "email_address"))
    of_person = {"subscriber__account": account}
    automations = Automation.objects.filter(account=account).values_list("pk", "name")
    names = {
        **{("tag", pk): name for pk, name in Tag.objects.filter(account=account).values_list("pk", "name")},
        **{("form", pk): name for pk, name in Form.objects.filter(account=account).values_list("pk", "name")},
        **{("field", pk): name for pk, name in CustomField.objects.filter(account=account).values_list("pk", "label")},
        **{("automation", pk): name for pk, name in automations},
        **{("sequence", pk): name for pk, name in Sequence.objects.filter(account=account).values_list("pk", "name")},
    }
    subjects = [
        [
            one.type,
            next((name for (kind, pk), name in names.items() if pk == one.subject_id and kind in one.type), None),
        ]
        for one in Event.objects.filter(account_id=account.pk).order_by("subscriber_id", "pk")
    ]
    places = Enrollment.objects.filter(account=account).select_related("next_email", "left_after")
    return [
        sorted(
            (one.email_address, one.state, one.canceled_at, one.updated_at, sorted(one.fields.values()))
            for one in Subscriber.objects.filter(account=account)
        ),
        sorted(Tagging.objects.filter(**of_person).values_list("subscriber__email_address", "tagged_at")),
        sorted(
            FormSubscription.objects.filter(**of_person).values_list(
                "form__name", "subscriber__email_address", "added_at", "is_unconfirmed"
            )
        ),
        sorted(SignUp.objects.filter(**of_person).values_list("form__name", "email_address", "status")),
        sorted(
            (
                *(people[one.subscriber_id], names["sequence", one.sequence_id], one.status, one.run, one.source),
                *(one.entered_at, str(one.due_at), str(one.removed_at), one.removed_reason),
                one.next_email.position if one.next_email else None,
            )
            for one in places
        ),
        sorted(Notice.objects.filter(account=account).values_list("kind", "email_address")),
        Call.objects.filter(account_id=account.pk).count(),
        sorted(bytes(one.body) for one in Call.objects.filter(account_id=account.pk) if one.subscriber_ids),
        sorted(
            (one.place, one.n_waiting, one.text, people.get(one.subscriber_id or 0))
            for one in OwnerMail.objects.filter(account=account)
        ),
        [
            (people.get(one.subscriber_id or 0), one.cause, one.data, one.occurred_at)
            for one in Event.objects.filter(account_id=account.pk).order_by("subscriber_id", "pk")
        ],
        subjects,
    ]


def told(story: list[str], chosen: list[str], *, together: bool, shared: what.Shared | None = None) -> list[Any]:
    """What each of them met with, and what is there afterwards; nothing stays."""
    with transaction.atomic():
        account, things, people = a_world()
        actions = [KINDS[kind](things) for kind in story]
        held = what.hold(account.pk, actions)
        met: list[Any] = []
        everybody = locked_all(account.pk, [people[name].pk for name in chosen])
        by_id = {pk: one.email_address for pk, one in everybody.items()}
        for action in actions:
            groups = [everybody] if together else [{pk: everybody[pk]} for pk in sorted(everybody)]
            how: dict[str, Any] = {"cause": CAUSE, "source": "rule", "shared": shared}
            done = [what.perform(action, held, group, LATER, **how) for group in groups]
            met.append(
                [
                    sorted(by_id[pk] for one in done for pk in one.changed),
                    sorted((by_id[pk], why) for one in done for pk, why in one.passed.items()),
                    sorted((by_id[pk], value) for one in done for pk, value in one.before.items()),
                ]
            )
        if shared is not None:
            shared.save(LATER)
        states = sorted((one.email_address, one.state, sorted(one.fields.values())) for one in everybody.values())
        seen = [met, states, *everything_of(account)]
        transaction.set_rollback(True)
    return seen


ANY = st.sampled_from([kind for kind in KINDS if kind not in ("unsubscribe", "delete")])
STORIES = st.builds(
    lambda first, last: [*first, *last],
    st.lists(ANY, min_size=1, max_size=5),
    st.sampled_from([[], ["unsubscribe"], ["delete"]]),
)


@hypothesis.settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@hypothesis.given(STORIES, st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
def test_many_at_once_are_done_as_one_after_the_other(story: list[str], chosen: list[str]) -> None:
    one_by_one = told(story, chosen, together=False)
    assert told(story, chosen, together=True) == one_by_one
    assert told(story, chosen, together=True, shared=what.Shared()) == one_by_one


def test_it_takes_as_many_statements_for_many_as_for_few() -> None:
    account, things, _ = a_world()
    few, many = ([make_subscriber(account) for _ in range(n)] for n in (12, 25))
    for kind in KINDS.keys() - {"double form", "delete"}:  # each by itself
        n_statements = []
        for people in (few, many):
            with CaptureQueriesContext(connection) as captured:
                do(account, [KINDS[kind](things)], people)
            n_statements.append(len(captured))
        assert n_statements[1] <= n_statements[0], kind


# --- One by one ---------------------------------------------------------------------------------------------------


def test_a_tag_is_added_and_taken_away_once(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    tag = make_tag(account, bea)
    adding, taking = {"kind": "tag", "tag_id": tag.pk}, {"kind": "untag", "tag_id": tag.pk}
    [added] = do(account, [adding], [ann, bea])
    assert added == Done({ann.pk}, {bea.pk: reasons.ALREADY_SO})
    assert events_of(ann) == [(types.TAG_ADDED, tag.pk, ["api", "rule 7"])]
    assert events_of(bea) == []
    first, second = do(account, [taking, taking], [ann, bea])
    assert first.changed == {ann.pk, bea.pk}
    assert second.passed == dict.fromkeys([ann.pk, bea.pk], reasons.ALREADY_SO)
    assert not tag.taggings.exists()


def test_what_was_deleted_since_passes_everybody_by(account: Account, ann: Subscriber) -> None:
    theirs = factories.make_account("Mallory")
    foreign = {
        "tag_id": make_tag(theirs).pk,
        "custom_field_id": fields.create(theirs.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0].pk,
        "form_id": forms.create(theirs.pk, {"name": "F"}, MONDAY_9).pk,
        "sequence_id": make_sequence(theirs, {}).pk,
    }
    kinds = ("tag", "untag", "form", "leave_form", "enter_sequence", "leave_sequence", "field")
    for ids in (foreign, dict.fromkeys(foreign, 10**12)):
        actions = [{"kind": kind, "value": "x", **ids} for kind in kinds]
        assert [one.passed for one in do(account, actions, [ann])] == [{ann.pk: reasons.THING_GONE}] * 7
    assert events_of(ann) == []


def test_a_value_is_rendered_for_each_and_the_next_action_sees_it(
    account: Account, ann: Subscriber, bea: Subscriber, city: CustomField
) -> None:
    nick, _ = fields.create(account.pk, {"label": "Nick"}, MONDAY_9, cause=causes.OWNER)
    actions = [
        {"kind": "field", "custom_field_id": city.pk, "value": "{{ subscriber.first_name | upcase }}"},
        {"kind": "field", "custom_field_id": nick.pk, "value": "from {{ subscriber.city }} at {{ now | date: '%H' }}"},
    ]
    first, second = do(account, actions, [ann, bea])
    assert first == Done({ann.pk}, {bea.pk: reasons.ALREADY_SO}, {ann.pk: None})
    assert second.changed == {ann.pk, bea.pk}
    ann.refresh_from_db()
    bea.refresh_from_db()
    assert ann.fields == {str(city.pk): "ANN", str(nick.pk): "from ANN at 11"}  # 10:00 UTC, in the account's zone
    assert bea.fields == {str(nick.pk): "from  at 11"}


def test_actions_that_share_save_each_person_once(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    ids = [fields.create(account.pk, {"label": n}, MONDAY_9, cause=causes.OWNER)[0].pk for n in "ABC"]
    actions: list[Action] = [{"kind": "field", "custom_field_id": pk, "value": f"of {pk}"} for pk in ids]
    shared = what.Shared()
    with CaptureQueriesContext(connection) as captured:
        do(account, actions, [ann, bea], shared=shared)
        shared.save(LATER)
    assert sum(one["sql"].strip().startswith("UPDATE subscribers_subscriber") for one in captured) == 1
    assert sum("FROM subscribers_customfield" in one["sql"] for one in captured) == 1
    for one in (ann, bea):
        one.refresh_from_db()
        assert one.fields == {str(pk): f"of {pk}" for pk in ids} and one.updated_at == LATER


def test_a_field_is_emptied_and_what_was_there_is_told(account: Account, ann: Subscriber, city: CustomField) -> None:
    setting = {"kind": "field", "custom_field_id": city.pk, "value": "Bonn"}
    emptying = {**setting, "value": None}
    first, second, third = do(account, [setting, emptying, emptying], [ann])
    assert (first.before, second.before) == ({ann.pk: None}, {ann.pk: "Bonn"})
    assert third == Done(passed={ann.pk: reasons.ALREADY_SO})
    ann.refresh_from_db()
    assert ann.fields == {}
    changes = Event.objects.filter(subscriber_id=ann.pk, type=types.FIELD_VALUE_UPDATED).order_by("pk")
    assert [one.data["value"] for one in changes] == ["Bonn", None]


def test_a_value_that_has_no_room_or_takes_too_much_work_passes(
    account: Account, ann: Subscriber, bea: Subscriber, city: CustomField
) -> None:
    other, _ = fields.create(account.pk, {"label": "Other"}, MONDAY_9, cause=causes.OWNER)
    Subscriber.objects.filter(pk=ann.pk).update(fields={str(other.pk): BIG})
    setting = {"kind": "field", "custom_field_id": city.pk, "value": "y" * 20}
    [done] = do(account, [setting], [ann, bea])
    assert done == Done({bea.pk}, {ann.pk: reasons.NO_ROOM}, {bea.pk: None})
    heavy = "{% for i in (1..9000) %}{% for j in (1..9000) %}{{ subscriber.other | size }}{% endfor %}{% endfor %}"
    [done] = do(account, [{**setting, "value": heavy}], [bea])
    assert done == Done(passed={bea.pk: reasons.NOT_RENDERED})


def test_a_form_with_double_opt_in_asks_who_is_unconfirmed_once(account: Account, ann: Subscriber) -> None:
    form = forms.create(account.pk, {"name": "News", "opt_in": "double"}, MONDAY_9)
    bea = make_subscriber(account, state="inactive")
    joining = {"kind": "form", "form_id": form.pk}
    first, second = do(account, [joining, joining], [ann, bea])
    assert first == Done({ann.pk}, {bea.pk: reasons.MUST_CONFIRM})
    assert second.passed == dict.fromkeys([ann.pk, bea.pk], reasons.ALREADY_SO)
    assert Notice.objects.filter(subscriber=bea, kind="confirmation").count() == 1
    [left] = do(account, [{"kind": "leave_form", "form_id": form.pk}], [ann, bea])
    assert left.changed == {ann.pk, bea.pk}
    assert not form.subscriptions.exists()


def test_a_form_that_has_nobody_to_ask_by_passes(account: Account) -> None:
    form = forms.create(account.pk, {"name": "News", "opt_in": "double"}, MONDAY_9)
    bea = make_subscriber(account, state="inactive")
    account.sending_addresses.update(is_default=False)
    [done] = do(account, [{"kind": "form", "form_id": form.pk}], [bea])
    assert done == Done(passed={bea.pk: reasons.NO_SENDER})
    assert not form.subscriptions.exists()


def test_people_enter_a_sequence_by_the_door_that_is_told(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    sequence = make_sequence(account, {}, repeat=True)
    gone = make_subscriber(account, state="cancelled", canceled_at=MONDAY_9)
    entering = {"kind": "enter_sequence", "sequence_id": sequence.pk}
    first, again = do(account, [entering, entering], [ann, bea, gone])
    assert first == Done({ann.pk, bea.pk}, {gone.pk: reasons.NOT_MAILABLE})
    assert again.changed == {ann.pk, bea.pk}  # R12: a rule restarts people under way
    place = Enrollment.objects.get(sequence=sequence, subscriber=ann)
    assert (place.source, place.run, place.status) == ("rule", 2, "active")
    assert [kind for kind, *_ in events_of(ann)] == [types.ADDED_TO_SEQUENCE] * 2
    assert events_of(gone) == []
    Sequence.objects.filter(pk=sequence.pk).update(repeat=False)
    [third] = do(account, [entering], [ann])
    assert third == Done(passed={ann.pk: reasons.ALREADY_SO})


def test_people_leave_a_sequence_and_what_is_on_the_wire_goes_on(account: Account, ann: Subscriber) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {})
    bea, cleo, dan = (make_subscriber(account) for _ in range(3))
    for person in (ann, bea, cleo):
        make_enrollment(sequence, person)
    place = Enrollment.objects.get(subscriber=ann)
    sending = make_delivery(place, "sending", ended_at=None, lease_until=LATER)
    Enrollment.objects.filter(pk=place.pk).update(in_flight=True, due_at=None)
    completed = Enrollment.objects.filter(subscriber=cleo)
    completed.update(status="completed", completed_at=MONDAY_9, due_at=None, next_email=None)
    [done] = do(account, [{"kind": "leave_sequence", "sequence_id": sequence.pk}], [ann, bea, cleo, dan])
    assert done == Done({ann.pk, bea.pk}, dict.fromkeys([cleo.pk, dan.pk], reasons.ALREADY_SO))
    place.refresh_from_db()
    sending.refresh_from_db()
    assert (place.status, place.removed_reason, sending.status) == ("removed", "removed_by_rule", "sending")
    assert events_of(bea)[-1] == (types.REMOVED_FROM_SEQUENCE, sequence.pk, ["api", "rule 7"])
    assert completed.get().status == "completed"


def test_unsubscribing_ends_places_and_sign_ups_and_closes_the_way_back(account: Account, ann: Subscriber) -> None:
    sequence = make_sequence(account, {})
    make_enrollment(sequence, ann)
    by_link = make_subscriber(account, state="cancelled", canceled_at=MONDAY_9, left_through=77)
    angry, bounced = make_subscriber(account, state="complained"), make_subscriber(account, state="bounced")
    SignUp.objects.create(subscriber=bounced, email_address="x@example.org", asked_at=MONDAY_9)
    [done] = do(account, [{"kind": "unsubscribe"}], [ann, by_link, angry, bounced])
    assert done == Done({ann.pk, bounced.pk}, dict.fromkeys([by_link.pk, angry.pk], reasons.ALREADY_SO))
    ann.refresh_from_db()
    by_link.refresh_from_db()
    assert (ann.state, ann.canceled_at, by_link.left_through) == ("cancelled", LATER, None)
    assert SignUp.objects.get().status == "withdrawn"
    assert [kind for kind, *_ in events_of(ann)][-2:] == [types.SUBSCRIBER_UNSUBSCRIBED, types.REMOVED_FROM_SEQUENCE]
    assert Enrollment.objects.get(subscriber=ann).removed_reason == "subscriber_cancelled"


def test_people_are_deleted(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    [done] = do(account, [{"kind": "delete"}], [ann, bea], source="bulk")
    assert done.changed == {ann.pk, bea.pk}
    assert not Subscriber.objects.filter(account=account).exists()


# --- Calls --------------------------------------------------------------------------------------------------------


def test_a_call_is_queued_for_each_and_signed_with_the_secret_of_callbacks(
    account: Account, ann: Subscriber, bea: Subscriber, city: CustomField
) -> None:
    [done] = do(account, [{"kind": "call", "url": "https://example.com/hook"}], [ann, bea])
    assert done.changed == {ann.pk, bea.pk}
    calls = list(Call.objects.select_related("receiver").order_by("pk"))
    assert [call.subscriber_ids for call in calls] == [[ann.pk], [bea.pk]]
    said = json.loads(bytes(calls[0].body))
    ann.refresh_from_db()
    assert said == {
        "source": {"type": "rule", "id": 7},
        "occurred_at": "2026-11-23T10:00:00Z",
        "cause": ["api", "rule 7"],
        "subscriber": shapes.subscriber(ann, fields.keys_of(account.pk)),
    }
    assert (calls[0].about, calls[0].url, calls[0].status) == ("rule 7", "https://example.com/hook", "planned")
    assert calls[0].receiver.kind == "callback"
    assert signing.unseal("webhook secret", bytes(calls[0].receiver.secret))


def test_what_liquid_puts_out_stays_within_its_text(account: Account, bea: Subscriber) -> None:
    ann = make_subscriber(account, first_name='A", "admin": true, "b": "\n{{ now }}')
    body = {"name": "{{ subscriber.first_name }}!", "list": [1, None, {"id": "{{ subscriber.id }}"}]}
    for given in (body, json.dumps(body)):
        Call.objects.all().delete()
        do(account, [{"kind": "call", "url": "https://example.com/", "body": given}], [ann])
        said = json.loads(bytes(Call.objects.get().body))
        assert said == {"name": f"{ann.first_name}!", "list": [1, None, {"id": str(ann.pk)}]}


def test_an_address_that_this_server_no_longer_allows_passes(account: Account, ann: Subscriber) -> None:
    [done] = do(account, [{"kind": "call", "url": "http://192.168.0.1/"}], [ann])
    assert done == Done(passed={ann.pk: reasons.ADDRESS_REFUSED})
    assert not Call.objects.exists()


def test_a_call_about_somebody_is_forgotten_with_them(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    call = {"kind": "call", "url": "https://example.com/", "body": {"hello": "{{ subscriber.first_name }}"}}
    do(account, [call], [ann, bea])
    make_subscriber(account)
    forget.forget(account, ann.pk, "owner", LATER)
    kept = [json.loads(bytes(one.body)) for one in Call.objects.order_by("pk")]
    assert kept == [{"subscriber": {"id": ann.pk}}, {"hello": ""}]


def test_nothing_is_done_for_nobody(account: Account) -> None:
    with transaction.atomic():
        action = {"kind": "unsubscribe"}
        held = what.hold(account.pk, [action])
        assert what.perform(action, held, {}, LATER, cause=CAUSE, source="rule") == Done()


def test_every_reason_has_words() -> None:
    codes = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert codes == set(reasons.WORDS)


def test_a_cancelled_place_is_as_one_verb_leaves_it(account: Account, ann: Subscriber, bea: Subscriber) -> None:
    """The verb for many beside the verb for one."""
    sequence = make_sequence(account, {})
    for person in (ann, bea):
        enroll.add(sequence, [person.pk], "api", MONDAY_9)
    do(account, [{"kind": "unsubscribe"}], [ann])
    transitions.cancel(bea.pk, LATER, cause=CAUSE)
    rows = Enrollment.objects.order_by("pk").values("status", "removed_at", "removed_reason", "due_at", "next_email")
    first, second = rows
    assert first == second
    assert [kind for kind, *_ in events_of(ann)] == [kind for kind, *_ in events_of(bea)]


@pytest.mark.parametrize(("way", "kind"), [("in", types.SENT_INTO_AUTOMATION), ("out", types.SENT_OUT_OF_AUTOMATION)])
def test_a_move_is_an_event_of_everybody_with_its_chain(
    account: Account, ann: Subscriber, bea: Subscriber, way: str, kind: str
) -> None:
    automation = make_automation(account)
    [done] = do(account, [{"kind": "move", "automation_id": automation.pk, "way": way}], [ann, bea])
    assert done == Done({ann.pk, bea.pk})
    assert events_of(ann) == events_of(bea) == [(kind, automation.pk, ["api", "rule 7"])]


def test_a_move_may_let_somebody_in_again(account: Account, ann: Subscriber) -> None:
    move = {"kind": "move", "automation_id": make_automation(account).pk, "way": "in"}
    do(account, [move, {**move, "again": True}], [ann])
    assert list(Event.objects.filter(subscriber_id=ann.pk).order_by("pk").values_list("data", flat=True)) == [
        {},
        {"again": True},
    ]


def test_a_move_to_an_automation_that_is_gone_passes_everybody_by(account: Account, ann: Subscriber) -> None:
    automation = make_automation(factories.make_account("Mallory"))
    [done] = do(account, [{"kind": "move", "automation_id": automation.pk, "way": "in"}], [ann])
    assert done == Done(passed={ann.pk: reasons.THING_GONE})
    assert events_of(ann) == []
