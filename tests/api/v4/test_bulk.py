"""The eight bulk operations: few entries at once, many later; a bad entry is told of and stops no other."""

from typing import Any

import pytest

from dripstone.accounts.verbs import create_key
from dripstone.bulk import jobs, line, operations, runner
from dripstone.bulk.models import Batch, Job, Line
from dripstone.engine.models import Notice
from dripstone.events.models import Event
from dripstone.subscribers import forms
from dripstone.subscribers.models import FormSubscription, Subscriber, Tag, Tagging
from tests import factories
from tests.api.caller import Caller

UNKNOWN = 2**62
HUGE = 10**400

# What each call lists, its path and method, what it says of none.
CALLS = [
    ("POST", "/v4/bulk/subscribers", "subscribers", "No subscribers included for processing"),
    ("POST", "/v4/bulk/tags", "tags", "No tags included for processing"),
    ("DELETE", "/v4/bulk/tags", "tags", "No tags included for processing"),
    ("POST", "/v4/bulk/tags/subscribers", "taggings", "No taggings included for processing"),
    ("DELETE", "/v4/bulk/tags/subscribers", "taggings", "No taggings included for processing"),
    ("POST", "/v4/bulk/custom_fields", "custom_fields", "No custom fields included for processing"),
    (
        "POST",
        "/v4/bulk/custom_fields/subscribers",
        "custom_field_values",
        "No custom field values included for processing",
    ),
    ("POST", "/v4/bulk/forms/subscribers", "additions", "No additions included for processing"),
]
each_call = pytest.mark.parametrize(
    ("method", "path", "member", "nothing"), CALLS, ids=[f"{m} {p}" for m, p, *_ in CALLS]
)


@each_call
def test_it_needs_entries(alice: Caller, method: str, path: str, member: str, nothing: str) -> None:
    bodies: list[Any] = [None, {}, {member: []}, {member: None}, {member: {"0": {}}}, {member: "x"}, []]
    for body in bodies:
        assert alice.send(method, path, body) == (422, {"errors": [nothing]})


@each_call
def test_it_needs_full_access(alice: Caller, method: str, path: str, member: str, nothing: str) -> None:
    key = create_key(alice.account, "small", factories.MONDAY_9)[1]
    assert Caller(alice.account, key).send(method, path, {member: [{}]}) == (
        401,
        {"errors": ["The access token is invalid"]},
    )


@each_call
def test_an_entry_that_is_no_entry_is_told_of(alice: Caller, method: str, path: str, member: str, nothing: str) -> None:
    odd: list[Any] = [
        None,
        1,
        "x",
        [],
        [[]],
        {},
        {"id": {}},
        True,
        {"id": HUGE, "subscriber_id": HUGE, "tag_id": -HUGE},
    ]
    status, answer = alice.send(method, path, {member: odd, "callback_url": None})
    assert (status, len(answer["failures"])) == (200, len(odd))
    assert all(one["errors"] for one in answer["failures"])
    shown = next(iter(answer["failures"][0].keys() - {"errors"}))
    assert answer["failures"][0]["errors"] == [f"{shown} must be an object"]


@each_call
def test_a_callback_must_be_an_address(alice: Caller, method: str, path: str, member: str, nothing: str) -> None:
    urls: list[Any] = [7, {}, "nonsense", "http://127.0.0.1/x", "ftp://example.com", "nul\0", "x" * 3_000]
    for url in urls:
        status, answer = alice.send(method, path, {member: [{}], "callback_url": url})
        assert status == 422 and answer["errors"][0].startswith("callback_url "), url
    assert alice.send(method, path, {member: [{}], "callback_url": ""})[0] == 200  # as good as none


@each_call
def test_more_than_a_hundred_are_done_later(alice: Caller, method: str, path: str, member: str, nothing: str) -> None:
    assert alice.send(method, path, {member: [{}] * 100})[0] == 200
    assert not Job.objects.exists()
    assert alice.send(method, path, {member: [{}] * 101}) == (202, {})
    assert Job.objects.get().n_entries == 101
    runner.finish(operations.ALL, alice.account.pk, lambda: factories.MONDAY_9)
    job = Job.objects.get()
    assert (job.n_done, job.n_failed, job.ended_at) == (101, 101, factories.MONDAY_9)
    assert not Batch.objects.exists()
    assert Line.objects.values_list("n_jobs", "n_bytes").get() == (0, 0)


@each_call
def test_no_more_waits_than_a_line_holds(
    alice: Caller, mallory: Caller, monkeypatch: pytest.MonkeyPatch, method: str, path: str, member: str, nothing: str
) -> None:
    body: Any = {member: [{}] * 101}
    monkeypatch.setattr(line, "MOST_BYTES", 700)
    assert alice.send(method, path, body) == (202, {})
    assert alice.send(method, path, body) == (413, {"errors": [jobs.FULL]})
    assert alice.send(method, path, {member: [{}]})[0] == 200  # few never wait
    assert mallory.send(method, path, body) == (202, {})
    runner.finish(operations.ALL, alice.account.pk, lambda: factories.MONDAY_9)
    assert alice.send(method, path, body) == (202, {})
    assert Job.objects.count() == 3


# --- People -------------------------------------------------------------------------------------------------------


def test_subscribers_come_in(alice: Caller) -> None:
    ann = factories.make_subscriber(
        alice.account,
        email_address="ann@example.org",
        first_name="Ann",
        state="cancelled",
        canceled_at=factories.MONDAY_9,
    )
    asked = [
        {"email_address": " New@Example.org ", "first_name": "New", "state": "inactive", "fields": {"x": "y"}},
        {"email_address": "ann@example.org", "first_name": None, "state": "active"},
        {"email_address": "ann@example.org", "first_name": "Anna"},
        {"email_address": None, "first_name": "Benito"},
        {"email_address": "nobody", "state": "bounced"},
        {"email_address": "x@example.org", "first_name": 7, "state": "asleep"},
        {"email_address": "nul@example.org", "first_name": "a\0b"},
    ]
    status, answer = alice.post("/v4/bulk/subscribers", {"subscribers": asked})
    new = Subscriber.objects.get(email_address="new@example.org")
    stamp = "2026-11-23T09:00:00Z"
    assert (status, answer) == (
        200,
        {
            "subscribers": [
                {
                    "id": new.pk,
                    "first_name": "New",
                    "email_address": new.email_address,
                    "state": "inactive",
                    "created_at": stamp,
                },
                {
                    "id": ann.pk,
                    "first_name": "Ann",
                    "email_address": "ann@example.org",
                    "state": "cancelled",
                    "created_at": stamp,
                },
                {
                    "id": ann.pk,
                    "first_name": "Anna",
                    "email_address": "ann@example.org",
                    "state": "cancelled",
                    "created_at": stamp,
                },
            ],
            "failures": [
                failed_subscriber("Benito", None, "active", "Email address is invalid"),
                failed_subscriber(None, "nobody", "bounced", "Email address is invalid"),
                failed_subscriber(
                    None,
                    "x@example.org",
                    "active",
                    "First name must be a string",
                    "state must be one of: active, cancelled, bounced, complained, inactive",
                ),
                failed_subscriber(None, "nul@example.org", "active", "first_name must not contain NUL characters"),
            ],
        },
    )
    assert Subscriber.objects.count() == 2
    assert list(Event.objects.values_list("type", "cause")) == [("subscriber.created", ["api"])]


def failed_subscriber(first_name: str | None, address: str | None, state: str, *errors: str) -> dict[str, Any]:
    shown = {"first_name": first_name, "email_address": address, "state": state, "created_at": None}
    return {"subscriber": shown, "errors": [*errors]}


def test_values_are_written(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    field = alice.post("/v4/custom_fields", {"label": "Last name"})[1]["custom_field"]["id"]
    theirs = factories.make_subscriber(factories.make_account())

    def value(subscriber_id: Any, field_id: Any, text: Any) -> dict[str, Any]:
        return {"subscriber_id": subscriber_id, "subscriber_custom_field_id": field_id, "value": text}

    def failure(entry: dict[str, Any], *errors: str) -> dict[str, Any]:
        return {"errors": [*errors], "custom_field_value": entry}

    no_person, no_field = "Subscriber does not exist", "Custom field does not exist"
    asked = [
        value(person.pk, field, "Smith"),
        value(None, field, "Jones"),
        value(person.pk, 999999, "Test"),
        value(theirs.pk, UNKNOWN, ""),
        value("7", True, 5),
        value(person.pk, field, None),
        value(person.pk, field, "x" * 70_000),
    ]
    status, answer = alice.post("/v4/bulk/custom_fields/subscribers", {"custom_field_values": asked})
    assert (status, answer) == (
        200,
        {
            "custom_field_values": [asked[0]],
            "failures": [
                failure(asked[1], no_person),
                failure(asked[2], no_field),
                failure(asked[3], no_person, no_field),
                failure(
                    value(None, None, None),
                    "subscriber_id must be an integer",
                    "subscriber_custom_field_id must be an integer",
                    "value must be a string",
                ),
                failure(asked[5], "value can't be blank"),
                failure(asked[6], "fields can't hold more than 64 KB for a person"),
            ],
        },
    )
    assert alice.get(f"/v4/subscribers/{person.pk}")[1]["subscriber"]["fields"] == {"last_name": "Smith"}


# --- Tags and fields ----------------------------------------------------------------------------------------------


def test_tags_are_made(alice: Caller) -> None:
    there = factories.make_tag(alice.account, name="Existing Tag")
    asked = [
        {"name": "existing TAG"},
        {"name": "Newsletter", "color": "red"},
        {"name": "newsletter"},
        {"name": " "},
        {"name": 5},
    ]
    status, answer = alice.post("/v4/bulk/tags", {"tags": asked})
    new = Tag.objects.get(name="Newsletter")
    shown = [{"id": one.pk, "name": one.name, "created_at": "2026-11-23T09:00:00Z"} for one in (there, new, new)]
    failures = [
        {"errors": ["Name can't be blank"], "tag": {"name": " "}},
        {"errors": ["Name must be a string"], "tag": {"name": None}},
    ]
    assert (status, answer) == (200, {"tags": shown, "failures": failures})


def test_tags_are_deleted(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account)
    tag, theirs = factories.make_tag(alice.account, person), factories.make_tag(factories.make_account())
    asked = [{"id": tag.pk}, {"id": theirs.pk}, {"id": tag.pk}, {"id": "x"}, {"id": None}]
    status, answer = alice.delete("/v4/bulk/tags", {"tags": asked})
    missing = [{"errors": ["Tag does not exist"], "tag": {"id": pk}} for pk in (theirs.pk, tag.pk)]
    missing += [{"errors": ["id must be an integer"], "tag": {"id": None}}]
    missing += [{"errors": ["Tag does not exist"], "tag": {"id": None}}]
    assert (status, answer) == (200, {"failures": missing})
    assert list(Tag.objects.all()) == [theirs]
    assert not Tagging.objects.exists()


def test_fields_are_made(alice: Caller) -> None:
    there = alice.post("/v4/custom_fields", {"label": "Company"})[1]["custom_field"]
    asked = [{"label": "company"}, {"label": "Last name"}, {"label": ""}, {}]
    status, answer = alice.post("/v4/bulk/custom_fields", {"custom_fields": asked})
    assert status == 200
    existing, new = answer["custom_fields"]
    assert existing == {**there, "created_at": "2026-11-23T09:00:00Z"}
    assert (new["key"], new["label"], new["name"]) == ("last_name", "Last name", f"ck_field_{new['id']}_last_name")
    assert answer["failures"] == [
        {"errors": ["Label can't be blank"], "custom_field": {"label": shown}} for shown in ("", None)
    ]


def test_people_are_tagged_and_untagged(alice: Caller) -> None:
    person, tag = factories.make_subscriber(alice.account), factories.make_tag(alice.account)
    other = factories.make_subscriber(alice.account, first_name=None, state="cancelled", canceled_at=factories.MONDAY_9)
    theirs, their_tag = (
        factories.make_subscriber(factories.make_account()),
        factories.make_tag(factories.make_account()),
    )

    def tagging(tag_id: Any, subscriber_id: Any) -> dict[str, Any]:
        return {"tag_id": tag_id, "subscriber_id": subscriber_id}

    asked = [
        tagging(tag.pk, person.pk),
        tagging(tag.pk, other.pk),
        tagging(tag.pk, None),
        tagging(None, person.pk),
        tagging(their_tag.pk, theirs.pk),
        tagging(tag.pk, person.pk),
    ]
    failures = [
        {"errors": ["Subscriber does not exist"], "tagging": asked[2]},
        {"errors": ["Tag does not exist"], "tagging": asked[3]},
        {"errors": ["Subscriber does not exist", "Tag does not exist"], "tagging": asked[4]},
    ]
    stamp = "2026-11-23T09:00:00Z"
    shown = [
        {
            "id": one.pk,
            "first_name": one.first_name,
            "email_address": one.email_address,
            "created_at": stamp,
            "tagged_at": stamp,
        }
        for one in (person, other, person)
    ]
    status, answer = alice.post("/v4/bulk/tags/subscribers", {"taggings": asked})
    assert (status, answer) == (200, {"subscribers": shown, "failures": failures})
    assert Tagging.objects.count() == Event.objects.filter(type="subscriber.tag_added").count() == 2
    assert alice.delete("/v4/bulk/tags/subscribers", {"taggings": asked}) == (200, {"failures": failures})
    assert not Tagging.objects.exists()
    assert alice.delete("/v4/bulk/tags/subscribers", {"taggings": asked[:2]}) == (200, {"failures": []})
    assert Event.objects.filter(type="subscriber.tag_removed").count() == 2


# --- Forms --------------------------------------------------------------------------------------------------------

PAGE = "https://mywebsite.com/bfpromo/?utm_source=facebook&utm_medium=cpc&utm_campaign=black_friday&utm_term=car_owners&utm_content=get_10_off"
UTM = {"source": "facebook", "medium": "cpc", "campaign": "black_friday", "term": "car_owners", "content": "get_10_off"}


def test_people_are_put_on_forms(alice: Caller) -> None:
    form = forms.create(alice.account.pk, {"name": "F"}, factories.MONDAY_9)
    person = factories.make_subscriber(alice.account)

    def addition(form_id: Any, subscriber_id: Any, **more: Any) -> dict[str, Any]:
        return {"form_id": form_id, "subscriber_id": subscriber_id, **more}

    asked = [
        addition(form.pk, person.pk, referrer=PAGE),
        addition(form.pk, person.pk, referrer="https://later.test/"),
        addition(form.pk, None, referrer=PAGE),
        addition(UNKNOWN, person.pk),
        addition(form.pk, person.pk, referrer=7),
    ]
    status, answer = alice.post("/v4/bulk/forms/subscribers", {"additions": asked})
    stamp = "2026-11-23T09:00:00Z"
    shown = {
        "id": person.pk,
        "first_name": "Rita",
        "email_address": person.email_address,
        "created_at": stamp,
        "added_at": stamp,
        "referrer": PAGE,
        "referrer_utm_parameters": UTM,
    }
    failures = [
        {"errors": ["Subscriber does not exist"], "subscription": asked[2]},
        {"errors": ["Form does not exist"], "subscription": {**asked[3], "referrer": ""}},
        {"errors": ["referrer must be a string"], "subscription": {**asked[4], "referrer": ""}},
    ]
    assert (status, answer) == (200, {"subscribers": [shown, shown], "failures": failures})
    assert FormSubscription.objects.get().referrer == PAGE


@pytest.mark.parametrize("how", ["one", "bulk"])
def test_double_opt_in_asks_those_who_are_unconfirmed_once(alice: Caller, how: str) -> None:
    """And makes nobody active."""
    double = forms.create(alice.account.pk, {"name": "Double", "opt_in": "double"}, factories.MONDAY_9)
    single = forms.create(alice.account.pk, {"name": "Single", "opt_in": "single"}, factories.MONDAY_9)
    gone = {"canceled_at": factories.MONDAY_9}
    people = [
        factories.make_subscriber(alice.account, state=state, **(gone if state == "cancelled" else {}))
        for state in ("active", "inactive", "cancelled", "bounced", "complained")
    ]
    for _ in range(2):
        for form in (single, double):
            if how == "bulk":
                asked = [{"form_id": form.pk, "subscriber_id": person.pk} for person in people]
                assert len(alice.post("/v4/bulk/forms/subscribers", {"additions": asked})[1]["subscribers"]) == 5
            else:
                for person in people:
                    assert alice.post(f"/v4/forms/{form.pk}/subscribers/{person.pk}")[0] in (200, 201)
    assert [one.email_address for one in Notice.objects.all()] == [people[1].email_address]
    assert [person.state for person in people] == [Subscriber.objects.get(pk=person.pk).state for person in people]
    assert [(one.form_id, one.subscriber_id) for one in FormSubscription.objects.filter(is_unconfirmed=True)] == [
        (double.pk, people[1].pk)
    ]


# --- Bodies -------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_small_entries_are_read(alice: Caller) -> None:
    body = b'{"tags":[' + b",".join([b'{"id":1}'] * 100_000) + b"]}"
    assert alice.raw("delete", "/v4/bulk/tags", body) == (202, {})
    assert Job.objects.get().n_entries == 100_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"tags":[' + b'{"a":' * 60 + b"1" + b"}" * 60 + b"]}", 400),
        (b'{"tags":[' + b"[]," * 600_000 + b"[]]}", 400),
        (b'{"tags":[{"id":NaN}]}', 400),
        (b'{"tags":[{"id":' + b"9" * 5_000 + b"}]}", 400),
        (b'{"tags":[{"id":1}', 400),
    ],
    ids=["arrays", "objects", "crumbs", "no number", "a long number", "half of it"],
)
def test_what_is_made_to_hurt_is_refused(alice: Caller, body: bytes, status: int) -> None:
    assert alice.raw("delete", "/v4/bulk/tags", body)[0] == status
    assert not Job.objects.exists()


def test_text_that_cannot_be_kept_spoils_its_entry_alone(alice: Caller) -> None:
    body = b'{"\\ud800":1,"tags":[{"name":"a\\u0000"},{"name":"\\ud800"},{"name":"ok","\\ud800":"\\u0000"}]}'
    status, answer = alice.raw("post", "/v4/bulk/tags", body)
    assert (status, [one["name"] for one in answer["tags"]]) == (200, ["ok"])
    assert [one["tag"] for one in answer["failures"]] == [{"name": None}, {"name": None}]
    many = body.replace(b'{"name":"ok"', b'{"name":"a"},' * 100 + b'{"name":"ok"')
    assert alice.raw("post", "/v4/bulk/tags", many) == (202, {})
    runner.finish(operations.ALL, alice.account.pk, lambda: factories.MONDAY_9)
    job = Job.objects.get()
    assert (job.n_done, job.n_failed) == (103, 2)
