"""Actions are read strictly, whatever they hold works when its time comes, and they read as English."""

from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.conditions.words import names_of
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.subscribers import fields, forms
from dripstone.triggers import sentences, what
from tests import factories
from tests.factories import MONDAY_9


@pytest.fixture
def account(db: None) -> Account:
    return factories.make_account()


@pytest.fixture
def things(account: Account) -> dict[str, int]:
    return {
        "tag_id": factories.make_tag(account, name="Course").pk,
        "form_id": forms.create(account.pk, {"name": "News"}, MONDAY_9).pk,
        "custom_field_id": fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)[0].pk,
        "sequence_id": factories.make_sequence(account, name="Welcome").pk,
        "automation_id": Automation.objects.create(
            account=account, name="Launch", status_at=MONDAY_9, made_at=MONDAY_9, changed_at=MONDAY_9
        ).pk,
    }


OF_THING = {
    "tag": "tag_id",
    "untag": "tag_id",
    "form": "form_id",
    "leave_form": "form_id",
    "enter_sequence": "sequence_id",
    "leave_sequence": "sequence_id",
}


def problems(given: object, account: Account, for_: what.For = "rule", **more: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as refused:
        what.read(given, "actions", account.pk, for_=for_, **more)
    return dict(refused.value.problems)


def every(things: dict[str, int]) -> list[what.Action]:
    """Of each kind one, as it is kept."""
    named = [{"kind": kind, member: things[member]} for kind, member in OF_THING.items()]
    return [
        *named,
        {
            "kind": "field",
            "custom_field_id": things["custom_field_id"],
            "value": "{{ subscriber.first_name | upcase }}",
        },
        {"kind": "call", "url": "https://example.com/hook"},
        {"kind": "call", "url": "https://example.com/hook", "body": {"who": ["{{ subscriber.id }}", 7, None]}},
        {"kind": "call", "url": "https://example.com/hook", "body": '{"a": "{{ subscriber.city }}"}'},
        {"kind": "mail_owner", "text": "{{ subscriber.email_address }} is here"},
        {"kind": "move", "automation_id": things["automation_id"], "way": "in"},
        {"kind": "move", "automation_id": things["automation_id"], "way": "in", "again": True},
        {"kind": "move", "automation_id": things["automation_id"], "way": "out"},
        {"kind": "unsubscribe"},
    ]


def test_what_is_given_is_kept(account: Account, things: dict[str, int]) -> None:
    kept = every(things)
    assert what.read(kept, "actions", account.pk, for_="bulk") == kept
    assert {one["kind"] for one in kept} | {"delete"} == set(what.KINDS)
    empties = [{"kind": "field", "custom_field_id": things["custom_field_id"], **one} for one in ({}, {"value": ""})]
    read = what.read(empties, "actions", account.pk, for_="rule")
    assert [one["value"] for one in read] == [None, None]
    [numbered] = what.read([{**empties[0], "value": 7}], "actions", account.pk, for_="rule")
    assert numbered["value"] == "7"


def test_leaving_forms_and_deletion_are_for_bulk_actions(account: Account, things: dict[str, int]) -> None:
    for given in ({"kind": "leave_form", "form_id": things["form_id"]}, {"kind": "delete"}):
        assert set(problems([given], account)) == {"actions[0].kind"}
        assert what.read([given], "actions", account.pk, for_="bulk") == [given]


@pytest.mark.parametrize("kind", ["unsubscribe", "delete"])
def test_nothing_follows_what_ends_everything(account: Account, things: dict[str, int], kind: str) -> None:
    tag = {"kind": "tag", "tag_id": things["tag_id"]}
    found = problems([{"kind": kind}, tag, {"kind": kind}], account, "bulk")
    assert found == {"actions[0].kind": f"actions[0].kind: {kind} must be the last action"}
    assert what.read([tag, {"kind": kind}], "actions", account.pk, for_="bulk") == [tag, {"kind": kind}]


def test_things_of_another_account_do_not_exist(account: Account, things: dict[str, int]) -> None:
    mallory = factories.make_account("Mallory")
    given = [{"kind": kind, member: things[member]} for kind, member in OF_THING.items()]
    given.append({"kind": "field", "custom_field_id": things["custom_field_id"], "value": "x"})
    given.append({"kind": "move", "automation_id": things["automation_id"], "way": "in"})
    found = problems(given, mallory, "bulk")
    assert len(found) == 8
    assert found["actions[0].tag_id"] == f"actions[0].tag_id: tag {things['tag_id']} does not exist"
    gone = [("tag", things["tag_id"])]
    assert len(problems(given, mallory, "bulk", may_be_gone=gone)) == 6


@pytest.mark.parametrize(
    ("given", "member", "sentence"),
    [
        ({"kind": "tag"}, "tag_id", "can't be blank"),
        ({"kind": "field", "value": "x"}, "custom_field_id", "can't be blank"),
        ({"kind": "field", "custom_field_id": 1, "value": "{{ x"}, "value", "never closed"),
        ({"kind": "field", "custom_field_id": 1, "value": "x" * 65_537}, "value", "too long"),
        ({"kind": "field", "custom_field_id": 1, "value": ["x"]}, "value", "must be a string"),
        ({"kind": "field", "custom_field_id": 1, "value": "a\0b"}, "value", "value"),
        (
            {"kind": "field", "custom_field_id": 1, "value": "{{ snippet.a }}{{ unsubscribe_url }}"},
            "value",
            "can't use unsubscribe_url",
        ),
        (
            {
                "kind": "field",
                "custom_field_id": 1,
                "value": "{% for i in (1..9999) %}{% for j in (1..9999) %}{{ j }}{% endfor %}{% endfor %}",
            },
            "value",
            "too much work",
        ),
        ({"kind": "move", "automation_id": 1, "way": "out", "again": True}, "again", "is for the way in"),
        ({"kind": "call"}, "url", "can't be blank"),
        ({"kind": "call", "url": "http://127.0.0.1/x"}, "url", "must be public"),
        ({"kind": "call", "url": "ftp://example.com"}, "url", "must begin with"),
        ({"kind": "call", "url": "https://example.com", "body": "Hello {{ x }}"}, "body", "must be an object"),
        ({"kind": "call", "url": "https://example.com", "body": 7}, "body", "must be an object"),
        ({"kind": "call", "url": "https://example.com", "body": ["{{ 1 | nonsense }}"]}, "body", "Invalid Liquid"),
        ({"kind": "call", "url": "https://example.com", "body": {"a": "{{ snippet.b }}"}}, "body", "can't use snippet"),
        ({"kind": "call", "url": "https://example.com", "body": {"a": "x" * 70_000}}, "body", "too long"),
        ({"kind": "call", "url": "https://example.com", "body": "[" * 30 + "]" * 30}, "body", "must be an object"),
        ({"kind": "call", "url": "https://example.com", "body": {"a\0": 1}}, "body", "body"),
        ({"kind": "mail_owner"}, "text", "can't be blank"),
        ({"kind": "mail_owner", "text": "{% if %}"}, "text", "Invalid Liquid"),
        ({"kind": "mail_owner", "text": "x" * 5_001}, "text", "too long"),
        ({"kind": "move", "way": "in"}, "automation_id", "can't be blank"),
        ({"kind": "move", "automation_id": 1}, "way", "can't be blank"),
        ({"kind": "move", "automation_id": 1, "way": "up"}, "way", "must be one of"),
        ({"kind": "fly"}, "kind", "must be one of"),
    ],
)
def test_a_problem_has_its_member_and_its_sentence(
    account: Account, given: dict[str, Any], member: str, sentence: str
) -> None:
    found = problems([given], account)
    assert sentence in found[f"actions[0].{member}"]


def test_actions_read_as_english(account: Account, things: dict[str, int]) -> None:
    actions = [*every(things), {"kind": "delete"}, {"kind": "field", "custom_field_id": 1, "value": None}]
    names = names_of((thing for one in actions for thing in what.things(one)), account.pk)
    assert [what.words(one, names) for one in actions] == [
        "add the tag “Course”",
        "take the tag “Course” away",
        "put them on the form “News”",
        "take them off the form “News”",
        "put them into the sequence “Welcome”",
        "take them out of the sequence “Welcome”",
        "set the field “City” to “{{ subscriber.first_name | upcase }}”",
        *["call https://example.com/hook"] * 3,
        "mail the owners “{{ subscriber.email_address }} is here”",
        "move them into the automation “Launch”",
        "move them into the automation “Launch”, even if they have been inside",
        "move them out of the automation “Launch”",
        "unsubscribe them",
        "delete them",
        "empty the field number 1, which is gone",
    ]


def test_a_rule_reads_as_a_sentence_and_names_all_that_stands_in_it(account: Account, things: dict[str, int]) -> None:
    customer = factories.make_tag(account, name="Customer")
    triggers = [
        {"trigger": "tag_added", "tag_id": things["tag_id"]},
        {"trigger": "form_joined", "form_id": things["form_id"]},
    ]
    condition = {"not": {"type": "tags", "ids": [customer.pk]}}
    actions = [
        {"kind": "untag", "tag_id": customer.pk},
        {"kind": "enter_sequence", "sequence_id": things["sequence_id"]},
    ]
    rule = triggers, condition, actions
    assert sentences.things(*rule) == {
        ("tag", things["tag_id"]),
        ("form", things["form_id"]),
        ("tag", customer.pk),
        ("sequence", things["sequence_id"]),
    }
    names = sentences.names([rule, (triggers, None, actions)], account.pk)
    assert sentences.rule(*rule, account.pk, names) == (
        "When somebody gets the tag “Course” or joins the form “News”, and they do not have the tag “Customer”: take"
        " the tag “Customer” away, then put them into the sequence “Welcome”."
    )
    assert sentences.rule(triggers[:1], None, actions[:1], account.pk, names) == (
        "When somebody gets the tag “Course”: take the tag “Customer” away."
    )
