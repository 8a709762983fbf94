"""Mallory has a key of her own, and a token. Nothing of Alice's is there for her: every answer is the one for an
unknown id.

The calls come from the routers, so a new operation is tried as soon as it exists: with Alice's ids in its path, and in
every member of its query string or body whose name says that it names a row.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import connection

from dripstone.engine.models import Figure
from tests import factories, owned
from tests.api.caller import Caller, Settled
from tests.api.routes import ROUTES, Route

pytestmark = pytest.mark.usefixtures("clock")

NOT_FOUND = (404, {"errors": ["Not Found"]})
UNKNOWN: Any = 2**62  # the id of no row
NO_ADDRESSES = {"email_addresses": "nobody@example.net", "sending_addresses": "nobody@example.net"}

Ids = Mapping[str, Any]  # by noun: tests/owned.py
Members = dict[str, Any]
Making = Callable[[Ids], Members]

# Operations with an id in their path that may answer another account something else than 404, each with the reason.
OPEN: dict[str, str] = {
    "PUT /ext/v1/imports/{id}/pieces/{number}": "the number counts; tests/api/ext/test_imports.py has another's import",
}

# Lists and the like that are not empty but missing where an account has none.
NONE_AT_ALL = {"GET /v4/account/creator_profile": "an account has one or none"}

# Operations that take a graph.
GRAPHS = (
    "POST /ext/v1/automations",
    "PUT /ext/v1/automations/{id}",
    "PUT /ext/v1/automations/{id}/draft",
    "POST /ext/v1/automations/{id}/impact",
)

# Members that name no row although they are called so, each with the reason.
NO_ROW = {
    "POST /v4/subscribers email_address": "one person may be on file in any number of accounts",
    "PUT /v4/subscribers/{id} email_address": "one person may be on file in any number of accounts",
    "POST /v4/purchases purchase.email_address": "one person may be on file in any number of accounts",
    "POST /v4/purchases purchase.transaction_id": "what a shop calls its purchase: another account has others",
    "POST /v4/bulk/subscribers subscribers.email_address": "one person may be on file in any number of accounts",
    **{
        f"{call} {part}.id": "what the owner calls a part of the graph"
        for call in GRAPHS
        for part in ("entries", "nodes")
    },
}


def _tagging_all(of: "Ids") -> dict[str, Any]:
    return {"filter": {"all": []}, "actions": [{"kind": "tag", "tag_id": of["tags"]}]}


# What an operation asks for. Where this is missing, Mallory is answered 422 instead of 404, and the test fails.
REQUIRED: dict[str, Making] = {
    "PUT /v4/tags/{id}": lambda of: {"name": "Mine"},
    "POST /v4/tags/{tag_id}/subscribers": lambda of: {"email_address": of["email_addresses"]},
    "DELETE /v4/tags/{tag_id}/subscribers": lambda of: {"email_address": of["email_addresses"]},
    "POST /v4/forms/{form_id}/subscribers": lambda of: {"email_address": of["email_addresses"]},
    "PUT /v4/custom_fields/{id}": lambda of: {"label": "Mine"},
    "POST /v4/sequences": lambda of: {"name": "Mine"},
    "POST /v4/sequences/{sequence_id}/emails": lambda of: {"subject": "A", "delay_value": 1, "delay_unit": "days"},
    "POST /v4/sequences/{sequence_id}/subscribers": lambda of: {"email_address": of["email_addresses"]},
    "POST /v4/subscribers/{subscriber_id}/location": lambda of: factories.a_location(),
    "PATCH /v4/subscribers/{subscriber_id}/location": lambda of: factories.a_location(),
    "POST /ext/v1/enrollments/{id}/move": lambda of: {"email_id": of["emails"]},
    "POST /ext/v1/segments": lambda of: {"name": "Mine"},
    "POST /ext/v1/automations": lambda of: {"name": "Mine"},
    "POST /ext/v1/bulk_actions": lambda of: _tagging_all(of),
    "POST /ext/v1/bulk_actions/count": lambda of: _tagging_all(of),
    "POST /ext/v1/enrollments/{id}/impact": lambda of: {
        "change": {"method": "POST", "path": f"/ext/v1/enrollments/{of['enrollments']}/skip"}
    },
    "POST /ext/v1/forms": lambda of: {"name": "Mine"},
    "PUT /ext/v1/imports/{id}": lambda of: {"columns": [{"target": "email"}, {"target": "skip"}], "consent": True},
    "POST /ext/v1/rules": lambda of: owned.rule_about(of["tags"]),
    "POST /ext/v1/subscribers/{id}/reinstatement": lambda of: {"why": "She called"},
    "POST /ext/v1/sequences/{id}/impact": lambda of: {
        "change": {"method": "DELETE", "path": f"/v4/sequences/{of['sequences']}"}
    },
}


OF_FIELD = "custom_field.field_value_updated"


def webhook(name: str, **thing: int) -> Members:
    return {"target_url": "https://hooks.example.com/", "event": {"name": name, **thing}}


def _value(of: Ids) -> Members:
    return {"subscriber_id": of["subscribers"], "subscriber_custom_field_id": of["custom_fields"], "value": "x"}


def trigger(kind: str, **thing: int) -> Members:
    return {"triggers": [{"trigger": kind, **thing}]}


def entry(kind: str, **thing: int) -> Members:
    return {"entries": [{"trigger": kind, **thing}]}


def node(kind: str, **members: Any) -> Members:
    return {"nodes": [{"id": "b", "kind": kind, **members}]}


def asking(condition: Callable[[Ids], Any]) -> tuple[list[Making], list[Making]]:
    """In a condition, and in a branch of a split."""
    return (
        [lambda of: node("condition", **{"if": condition(of)})],
        [lambda of: node("split", branches=[{"if": condition(of)}])],
    )


HAS_TAG = asking(lambda of: {"type": "tags", "ids": [of["tags"]]})
ON_FORM = asking(lambda of: {"conditions": [{"type": "form", "operator": "in", "ids": [of["forms"]]}]})
HAS_VALUE = asking(
    lambda of: {
        "type": "custom_field",
        "subscriber_custom_field_id": of["custom_fields"],
        "comparison": "has_value",
    }
)

# A row named by each of these members; "METHOD /path member" where one operation means another kind than the others.
NAMED: dict[str, list[Making]] = {
    "email_address": [lambda of: {"email_address": of["email_addresses"]}],
    "POST /v4/sequences email_address": [lambda of: {"email_address": of["sending_addresses"]}],
    "PUT /v4/sequences/{id} email_address": [lambda of: {"email_address": of["sending_addresses"]}],
    "email_id": [lambda of: {"email_id": of["emails"]}],
    "email_template_id": [lambda of: {"email_template_id": of["email_templates"]}],
    "columns.field_id": [
        lambda of: {"columns": [{"target": "email"}, {"target": "field", "field_id": of["custom_fields"]}]}
    ],
    "form_ids": [lambda of: {"form_ids": [of["forms"]]}],
    "field_ids": [lambda of: {"field_ids": [of["custom_fields"]]}],
    "product_ids": [lambda of: {"product_ids": [of["products"]]}],
    "sequence_ids": [lambda of: {"sequence_ids": [of["sequences"]]}],
    "tag_ids": [lambda of: {"tag_ids": [of["tags"]]}],
    "replacement_id": [lambda of: {"replacement_id": of["email_templates"]}],
    "ids": [lambda of: {"filter": None, "ids": [of["subscribers"]]}],
    "actions.tag_id": [lambda of: {"actions": [{"kind": "tag", "tag_id": of["tags"]}]}],
    "actions.form_id": [lambda of: {"actions": [{"kind": "form", "form_id": of["forms"]}]}],
    "actions.sequence_id": [lambda of: {"actions": [{"kind": "enter_sequence", "sequence_id": of["sequences"]}]}],
    "actions.custom_field_id": [
        lambda of: {"actions": [{"kind": "field", "custom_field_id": of["custom_fields"], "value": "x"}]}
    ],
    "actions.automation_id": [
        lambda of: {"actions": [{"kind": "move", "automation_id": of["automations"], "way": "in"}]}
    ],
    "tags.id": [lambda of: {"tags": [{"id": of["tags"]}]}],
    "taggings.tag_id": [lambda of: {"taggings": [{"tag_id": of["tags"], "subscriber_id": of["subscribers"]}]}],
    "taggings.subscriber_id": [lambda of: {"taggings": [{"tag_id": of["tags"], "subscriber_id": of["subscribers"]}]}],
    "additions.form_id": [lambda of: {"additions": [{"form_id": of["forms"], "subscriber_id": of["subscribers"]}]}],
    "additions.subscriber_id": [
        lambda of: {"additions": [{"form_id": of["forms"], "subscriber_id": of["subscribers"]}]}
    ],
    "custom_field_values.subscriber_id": [lambda of: {"custom_field_values": [_value(of)]}],
    "custom_field_values.subscriber_custom_field_id": [lambda of: {"custom_field_values": [_value(of)]}],
    "sequence_id": [lambda of: {"sequence_id": of["sequences"]}],
    "subscriber_id": [lambda of: {"subscriber_id": of["subscribers"]}],
    "exclude_subscriber_sources.ids": [
        lambda of: {"exclude_subscriber_sources": [{"type": "form", "ids": [of["forms"]]}]},
        lambda of: {"exclude_subscriber_sources": [{"type": "segment", "ids": [of["segments"]]}]},
        lambda of: {"exclude_subscriber_sources": [{"type": "sequence", "ids": [of["other_sequences"]]}]},
        lambda of: {"exclude_subscriber_sources": [{"type": "tag", "ids": [of["tags"]]}]},
    ],
    "event.custom_field_id": [
        lambda of: webhook("custom_field.field_value_updated", custom_field_id=of["custom_fields"])
    ],
    "event.form_id": [lambda of: webhook("subscriber.form_subscribe", form_id=of["forms"])],
    "event.sequence_id": [lambda of: webhook("subscriber.course_complete", sequence_id=of["sequences"])],
    "event.product_id": [lambda of: webhook("subscriber.product_purchase", product_id=of["products"])],
    "event.tag_id": [lambda of: webhook("subscriber.tag_add", tag_id=of["tags"])],
    "triggers.tag_id": [lambda of: trigger("tag_removed", tag_id=of["tags"])],
    "triggers.form_id": [lambda of: trigger("form_joined", form_id=of["forms"])],
    "triggers.sequence_id": [lambda of: trigger("sequence_completed", sequence_id=of["sequences"])],
    "triggers.product_id": [lambda of: trigger("purchased", product_id=of["products"])],
    "triggers.custom_field_id": [lambda of: trigger("field_changed", custom_field_id=of["custom_fields"])],
    "entries.tag_id": [lambda of: entry("tag_added", tag_id=of["tags"])],
    "entries.form_id": [lambda of: entry("form_joined", form_id=of["forms"])],
    "entries.sequence_id": [lambda of: entry("sequence_left", sequence_id=of["sequences"])],
    "entries.product_id": [lambda of: entry("purchased", product_id=of["products"])],
    "entries.custom_field_id": [lambda of: entry("field_date", custom_field_id=of["custom_fields"])],
    "nodes.tag_id": [lambda of: node("tag", tag_id=of["tags"])],
    "nodes.form_id": [lambda of: node("form", form_id=of["forms"])],
    "nodes.sequence_id": [lambda of: node("sequence", sequence_id=of["sequences"])],
    "nodes.product_id": [lambda of: node("event", trigger="purchased", product_id=of["products"])],
    "nodes.custom_field_id": [lambda of: node("field", custom_field_id=of["custom_fields"], value="x")],
    "nodes.until.custom_field_id": [lambda of: node("wait", until={"custom_field_id": of["custom_fields"]})],
    "nodes.automation_id": [lambda of: node("move", automation_id=of["other_automations"], way="in")],
    "nodes.if.ids": HAS_TAG[0],
    "nodes.branches.if.ids": HAS_TAG[1],
    "nodes.if.conditions.ids": ON_FORM[0],
    "nodes.branches.if.conditions.ids": ON_FORM[1],
    "nodes.if.subscriber_custom_field_id": HAS_VALUE[0],
    "nodes.branches.if.subscriber_custom_field_id": HAS_VALUE[1],
    "condition.ids": [lambda of: {"condition": {"type": "tags", "ids": [of["tags"]]}}],
    "condition.conditions.ids": [
        lambda of: {"condition": {"conditions": [{"type": "form", "operator": "in", "ids": [of["forms"]]}]}}
    ],
    "condition.subscriber_custom_field_id": [
        lambda of: {
            "condition": {
                "type": "custom_field",
                "subscriber_custom_field_id": of["custom_fields"],
                "comparison": "has_value",
            }
        }
    ],
    "filter.ids": [
        lambda of: {"filter": {"type": "forms", "ids": [of["forms"]]}},
        lambda of: {"filter": {"type": "segments", "ids": [of["segments"]]}},
        lambda of: {"filter": {"type": "sequences", "ids": [of["sequences"]], "place": "ever"}},
        lambda of: {"filter": {"all": [{"type": "tags", "ids": [of["tags"]]}]}},
        lambda of: {"filter": {"type": "sent", "any": [{"type": "emails", "ids": [of["emails"]]}]}},
    ],
    "filter.products": [lambda of: {"filter": {"type": "purchases", "products": [of["products"]]}}],
    "filter.subscriber_custom_field_id": [
        lambda of: {
            "filter": {
                "type": "custom_field",
                "subscriber_custom_field_id": of["custom_fields"],
                "comparison": "has_value",
            }
        }
    ],
    "filter.conditions.ids": [
        lambda of: {"filter": {"conditions": [{"type": "form", "operator": "in", "ids": [of["forms"]]}]}},
        lambda of: {"filter": {"conditions": [{"type": "sequence", "operator": "in", "ids": [of["sequences"]]}]}},
        lambda of: {"filter": {"conditions": [{"type": "tag", "operator": "in", "ids": [of["tags"]]}]}},
    ],
}


def call(caller: Caller, route: Route, path: str, members: Members) -> tuple[int, Any]:
    """`members` go into the body, or into the query string of an operation without one."""
    if route.takes_body:
        return caller.send(route.method, path, members)
    return caller.send(route.method, f"{path}?{urlencode(members)}" if members else path)


def both_ways(caller: Caller) -> list[Caller]:
    """With the key, and with a token whose first use is noted."""
    by_token = caller.by_token()
    assert by_token.get("/v4/account")[0] == 200
    return [caller, by_token]


def required(route: Route, of: Ids) -> Members:
    making = REQUIRED.get(str(route))
    return making(of) if making else {}


# --- In the path ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [one for one in ROUTES if one.nouns and str(one) not in OPEN], ids=str)
def test_it_finds_nothing_of_another_account(route: Route, settled_alice: Settled, settled_mallory: Settled) -> None:
    """Her own ids beside Alice's in one path included. And nothing changes."""
    alice, of_alice, of_mallory = settled_alice, settled_alice.ids, settled_mallory.ids
    callers, members = both_ways(settled_mallory), required(route, of_alice)
    before = everything()
    for owners in list(itertools.product((of_alice, of_mallory), repeat=len(route.nouns)))[:-1]:
        path = route.with_ids(of[noun] for of, noun in zip(owners, route.nouns, strict=True))
        for caller in callers:
            assert call(caller, route, path, members) == NOT_FOUND
    assert everything() == before
    assert call(alice, route, route.with_ids(UNKNOWN for _ in route.nouns), members) == NOT_FOUND
    assert call(alice, route, route.with_ids(of_alice[noun] for noun in route.nouns), members)[0] != 404


def everything() -> dict[str, Any]:
    """Every row, by table, as text, but those any call may change: when a key was used, and counters of metrics."""
    models = [one for one in apps.get_models() if one.__module__.startswith("dripstone.")]
    tables = [one._meta.db_table for one in models if one._meta.app_label != "accounts" and one is not Figure]
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{one}', string_agg(t::text, '' ORDER BY t::text) FROM {one} t" for one in tables
            )
        )
        return dict(cursor.fetchall())  # parallel workers give the tables in any order


def test_exceptions_are_of_operations_that_exist() -> None:
    known = {str(route) for route in ROUTES}
    assert {*OPEN, *REQUIRED, *NONE_AT_ALL, *(name.rpartition(" ")[0] for name in NO_ROW)} <= known


# --- In a member ------------------------------------------------------------------------------------------------


def naming(route: Route) -> Iterator[str]:
    """Members whose name says that they name a row."""
    for member in sorted(route.members("query") | route.members("body")):
        if re.search(r"(^|[._])(ids?|email_address)$", member) and f"{route} {member}" not in NO_ROW:
            yield member


def named() -> Iterator[Any]:
    for route in ROUTES:
        for member in naming(route):
            makings: Sequence[Making | None] = NAMED.get(f"{route} {member}") or NAMED.get(member) or [None]
            for number, making in enumerate(makings):
                yield pytest.param(route, member, making, id=f"{route} {member} {number}")


@pytest.mark.parametrize(("route", "member", "making"), list(named()))
def test_it_knows_no_row_that_a_member_names(
    route: Route, member: str, making: Making | None, settled_alice: Settled, settled_mallory: Settled
) -> None:
    """Alice's id is answered as an unknown one is, and Mallory's own is not."""
    assert making is not None, f"say in NAMED what {member} names, or in NO_ROW why it names none"
    mallory, of_alice, of_mallory = settled_mallory, settled_alice.ids, settled_mallory.ids
    unknown: Ids = defaultdict(lambda: UNKNOWN, NO_ADDRESSES)
    path = route.with_ids(of_mallory[noun] for noun in route.nouns)

    def answer(caller: Caller, of: Ids) -> tuple[int, str]:
        status, document = call(caller, route, path, required(route, of_mallory) | making(of))
        return status, re.sub(r"\d+", "N", str(document))

    callers = both_ways(mallory)
    before = everything()
    for caller in callers:
        assert answer(caller, of_alice) == answer(caller, unknown)
    assert everything() == before
    assert answer(mallory, of_mallory) != answer(mallory, unknown)


# --- In lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [one for one in ROUTES if one.method == "GET" and not one.nouns], ids=str)
def test_her_lists_are_empty(route: Route, settled_alice: Settled, mallory: Caller) -> None:
    alice, members = settled_alice, required(route, settled_alice.ids)
    (status, answer), by_token = (call(caller, route, route.path, members) for caller in both_ways(mallory))
    assert by_token == (status, answer)
    if str(route) in NONE_AT_ALL:
        assert (status, answer) == NOT_FOUND
        assert call(alice, route, route.path, members)[0] == 200
        return
    assert status == 200
    if "pagination" in answer:
        assert set(answer.pop("pagination").values()) == {False, None, 500}
        assert list(answer.values()) == [[]]
        [(_, rows), _] = call(alice, route, route.path, members)[1].items()
        assert rows
