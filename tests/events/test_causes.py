"""Each event says why it happened."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import signing
from dripstone.engine import enroll, life, notices
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import fields, subscribe
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_account, make_enrollment, make_key, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

PACKAGE = Path(causes.__file__).parent.parent
WELCOME = {"subject": "welcome", "delay_value": 0}


def last(kind: str) -> list[str]:
    return Event.objects.filter(type=kind).latest("pk").cause


def kinds() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("type", flat=True))


def test_a_call_of_the_api_is_the_cause_of_all_it_does(clock: Any) -> None:
    account = make_account()
    api = Caller(account, make_key(account)[1])
    person, sequence = make_subscriber(account), make_sequence(account, WELCOME)
    tag = api.post("/v4/tags", {"name": "VIP"})[1]["tag"]["id"]
    api.post(f"/v4/tags/{tag}/subscribers/{person.pk}")
    api.delete(f"/v4/tags/{tag}/subscribers/{person.pk}")
    api.post(f"/v4/sequences/{sequence.pk}/subscribers/{person.pk}")
    place = Enrollment.objects.get()
    api.post(f"/ext/v1/enrollments/{place.pk}/skip")
    api.post(f"/ext/v1/enrollments/{place.pk}/restart")
    api.post(f"/v4/subscribers/{person.pk}/unsubscribe")
    assert kinds() == [
        "tag.created",
        "subscriber.tag_added",
        "subscriber.tag_removed",
        "subscriber.added_to_sequence",
        "subscriber.sequence_completed",
        "subscriber.added_to_sequence",
        "subscriber.unsubscribed",
        "subscriber.removed_from_sequence",
    ]
    assert {tuple(cause) for cause in Event.objects.values_list("cause", flat=True)} == {("api",)}


@pytest.mark.parametrize(
    ("source", "given", "chain"),
    [("api", (), ["api"]), ("form", ("form 2",), ["form 2"]), ("rule", ("api", "rule 7"), ["api", "rule 7"])],
)
def test_an_entry_is_caused_by_its_source_or_by_what_is_named(
    source: enroll.Source, given: causes.Cause, chain: list[str]
) -> None:
    account = make_account()
    enroll.add(make_sequence(account, WELCOME), [make_subscriber(account).pk], source, MONDAY_9, cause=given)
    assert last("subscriber.added_to_sequence") == chain


def test_entering_comes_before_completing_what_one_has_had() -> None:
    account = make_account()
    sequence, person = make_sequence(account, WELCOME), make_subscriber(account)
    place = make_enrollment(sequence, person)
    places.skip(place.pk, "owner", "", MONDAY_9)
    places.remove(place.pk, "owner", "", MONDAY_9)
    enroll.add(sequence, [person.pk], "api", MONDAY_9)
    assert kinds()[-2:] == ["subscriber.added_to_sequence", "subscriber.sequence_completed"]


def test_what_an_emails_end_brings_begins_a_new_chain(engine: Any) -> None:
    account = make_account()
    make_enrollment(make_sequence(account, WELCOME), make_subscriber(account), engine.clock.now())
    life.until_idle()
    assert last("subscriber.sequence_completed") == []


def test_their_own_click_is_the_subscribers(client: Any) -> None:
    person = make_subscriber(make_account(), state="inactive")
    notices.confirmation(person.pk, MONDAY_9)
    client.post(f"/c/{signing.make('confirm', person.pk)}")
    assert last("subscriber.activated") == ["subscriber"]


@pytest.mark.parametrize("actor", ["owner", "alice@example.com"])
def test_an_act_at_a_page_is_the_owners(actor: str) -> None:
    account = make_account()
    place = make_enrollment(make_sequence(account, WELCOME), make_subscriber(account))
    places.remove(place.pk, actor, "asked to", MONDAY_9)
    assert last("subscriber.removed_from_sequence") == ["owner"]


def test_a_changed_field_is_told_with_its_value() -> None:
    account = make_account()
    city, _ = fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    bea = {"email_address": "bea@example.org", "fields": {"city": "Lagos"}}
    person = subscribe.upsert(account.pk, bea, MONDAY_9, cause=causes.API).subscriber
    subscribe.update(person.pk, {"fields": {"city": "Lagos"}}, MONDAY_9, cause=causes.API)
    subscribe.update(person.pk, {"fields": {"city": None}}, MONDAY_9, cause=causes.API)
    told = Event.objects.filter(type="subscriber.custom_field_value_updated").order_by("pk")
    assert [(one.subject_id, one.data) for one in told] == [(city.pk, {"value": "Lagos"}), (city.pk, {"value": None})]


def test_fields_and_sequences_tell_what_became_of_them() -> None:
    account = make_account()
    field, _ = fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    fields.delete(field, MONDAY_9, cause=causes.OWNER)
    sequence = edits.create_sequence(account, {"name": "Course"}, MONDAY_9).sequence
    edits.update_sequence(account, sequence.pk, {"active": False}, MONDAY_9)
    edits.update_sequence(account, sequence.pk, {"active": True, "name": "Letters"}, MONDAY_9)
    edits.delete_sequence(account, sequence.pk, MONDAY_9)
    assert kinds() == [
        "custom_field.created",
        "custom_field.deleted",
        "sequence.created",
        "sequence.disabled",
        "sequence.published",
        "sequence.deleted",
    ]


def test_an_event_that_an_older_dripstone_writes_has_no_cause() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO events_event (account_id, type, data, occurred_at) VALUES (1, 'x', '{}', now())")
    assert Event.objects.get().cause == []


# --- Nobody above the domain forgets to say it -------------------------------------------------------------------


def verbs_with_a_cause() -> set[str]:
    """`tags.add` and the like: module and name of each function that takes a cause. `enroll.add` has its source."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "cause" in {one.arg for one in node.args.kwonlyargs}:
                found.add(f"{path.stem}.{node.name}")
    return found - {"enroll.add", "record.event"}


def calls(part: str) -> Iterator[tuple[str, ast.Call]]:
    for path in (PACKAGE / part).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node


@pytest.mark.parametrize("part", ["api", "web"])
def test_views_say_why(part: str) -> None:
    verbs = verbs_with_a_cause()
    assert {"tags.add", "transitions.cancel", "forms.add", "subscribe.upsert"} <= verbs
    for name, call in calls(part):
        assert name not in verbs or "cause" in {one.arg for one in call.keywords}, f"{ast.unparse(call)} gives no cause"


# --- Chains ------------------------------------------------------------------------------------------------------


def test_a_chain_grows_with_each_rule_and_knows_how_deep_it_is() -> None:
    chain = causes.rule(causes.rule(causes.API, 7), 9)
    assert chain == ("api", "rule 7", "rule 9")
    assert causes.depth(chain) == causes.depth((*causes.NONE, "rule 7", "automation 3")) == 2
    assert causes.depth(causes.form(2)) == 0


def test_only_what_somebody_did_comes_from_outside() -> None:
    for cause in (causes.OWNER, causes.API, causes.SUBSCRIBER, causes.form(2), causes.bulk(9), causes.imported(4)):
        assert causes.is_from_outside(cause)
        assert causes.is_from_outside(causes.quietly(cause))
        assert not causes.is_from_outside(causes.rule(cause, 7))
    assert not causes.is_from_outside(causes.NONE)  # time passed


def test_told_to_be_quiet_all_that_follows_is() -> None:
    assert causes.is_quiet(causes.rule(causes.quietly(causes.imported(4)), 7))
    assert not causes.is_quiet(causes.imported(4))
