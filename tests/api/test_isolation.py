"""Mallory has a key of her own. Nothing of Alice's is there for her: every answer is the one for an unknown id."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from dripstone.content import snippets
from dripstone.events import causes
from dripstone.subscribers import fields, forms
from tests import factories
from tests.api.caller import Caller

NOT_FOUND = (404, {"errors": ["Not Found"]})


@dataclass
class Rows:
    person: int
    address: str
    tag: int
    form: int
    field: int
    snippet: int


@pytest.fixture
def rows(alice: Any, now: datetime) -> Rows:
    account = alice.account
    person = factories.make_subscriber(account)
    return Rows(
        person=person.pk,
        address=person.email_address,
        tag=factories.make_tag(account, person).pk,
        form=forms.create(account.pk, {"name": "Sign up"}, now).pk,
        field=fields.create(account.pk, {"label": "Company"}, now, cause=causes.API)[0].pk,
        snippet=snippets.create(account.pk, {"name": "A", "snippet_type": "inline", "content": "x"}, now).pk,
    )


CALLS: list[tuple[str, str, Any]] = [
    ("get", "/v4/subscribers/{person}", None),
    ("put", "/v4/subscribers/{person}", {"first_name": "Mallory"}),
    ("post", "/v4/subscribers/{person}/unsubscribe", {}),
    ("get", "/v4/subscribers/{person}/tags", None),
    ("post", "/ext/v1/subscribers/{person}/confirmation", {}),
    ("put", "/v4/tags/{tag}", {"name": "Mine"}),
    ("get", "/v4/tags/{tag}/subscribers", None),
    ("post", "/v4/tags/{tag}/subscribers/{person}", {}),
    ("post", "/v4/tags/{tag}/subscribers", {"email_address": "{address}"}),
    ("delete", "/v4/tags/{tag}/subscribers/{person}", None),
    ("delete", "/v4/tags/{tag}/subscribers?email_address={address}", None),
    ("get", "/v4/forms/{form}/subscribers", None),
    ("post", "/v4/forms/{form}/subscribers/{person}", {}),
    ("post", "/v4/forms/{form}/subscribers", {"email_address": "{address}"}),
    ("put", "/v4/custom_fields/{field}", {"label": "Mine"}),
    ("delete", "/v4/custom_fields/{field}", None),
    ("get", "/v4/snippets/{snippet}", None),
    ("put", "/v4/snippets/{snippet}", {"name": "Mine"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_it_finds_nothing_of_another_account(
    method: str, path: str, body: Any, rows: Rows, alice: Caller, mallory: Caller
) -> None:
    filled = {key: value.format(**vars(rows)) for key, value in body.items()} if body else body
    arguments = [] if method == "get" else [filled]
    assert getattr(mallory, method)(path.format(**vars(rows)), *arguments) == NOT_FOUND
    unknown = path.format(**dict.fromkeys(vars(rows), 2**62) | {"address": "nobody@example.org"})
    empty = {key: value.format(address="nobody@example.org") for key, value in body.items()} if body else body
    assert getattr(alice, method)(unknown, *([] if method == "get" else [empty])) == NOT_FOUND


def test_her_rows_do_not_mix_with_alices(rows: Rows, mallory: Caller) -> None:
    own_tag, own_person = factories.make_tag(mallory.account), factories.make_subscriber(mallory.account)
    assert mallory.post(f"/v4/tags/{own_tag.pk}/subscribers/{rows.person}") == NOT_FOUND
    assert mallory.post(f"/v4/tags/{rows.tag}/subscribers/{own_person.pk}") == NOT_FOUND
    assert mallory.post(f"/v4/tags/{own_tag.pk}/subscribers", {"email_address": rows.address}) == NOT_FOUND


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("/v4/subscribers?status=all", "subscribers"),
        ("/v4/tags", "tags"),
        ("/v4/forms?status=all", "forms"),
        ("/v4/custom_fields", "custom_fields"),
        ("/v4/segments", "segments"),
        ("/v4/email_templates", "email_templates"),
        ("/v4/snippets", "snippets"),
        ("/ext/v1/inbox", "messages"),
    ],
)
def test_her_lists_are_empty(path: str, member: str, rows: Rows, mallory: Caller) -> None:
    status, answer = mallory.get(path)
    assert (status, answer[member]) == (200, [])
    assert answer["pagination"] == {
        "has_previous_page": False,
        "has_next_page": False,
        "start_cursor": None,
        "end_cursor": None,
        "per_page": 500,
    }
