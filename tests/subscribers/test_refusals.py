"""What a page or an import hands to the verbs is judged as a call of the API is, each problem beside its member."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import create_account, update_account
from dripstone.conditions import segments
from dripstone.content import snippets, templates
from dripstone.errors import Invalid, Problem
from dripstone.events import causes
from dripstone.given import FromText
from dripstone.subscribers import fields, forms, subscribe, tags
from tests import factories

pytestmark = pytest.mark.django_db

Verb = Callable[[int, Any, datetime], object]
LONG = "x" * 256
TOO_LONG = "is too long (maximum is 255 characters)"


def problems_of(verb: Callable[[], object]) -> list[Problem]:
    with pytest.raises(Invalid) as refused:
        verb()
    return refused.value.problems


@pytest.mark.parametrize(
    ("verb", "row", "problems"),
    [
        (partial(tags.create, cause=causes.API), {"name": " "}, [("name", "Name can't be blank")]),
        (partial(tags.create, cause=causes.API), {"name": LONG}, [("name", f"Name {TOO_LONG}")]),
        (partial(fields.create, cause=causes.API), {}, [("label", "Label can't be blank")]),
        (partial(fields.create, cause=causes.API), {"label": LONG}, [("label", f"Label {TOO_LONG}")]),
        (
            forms.create,
            {"name": "", "type": "popup", "format": "big"},
            [
                ("name", "name can't be blank"),
                ("type", "type must be one of: embed, hosted"),
                ("format", "format must be one of: inline, modal, slide in, sticky bar"),
            ],
        ),
        (
            segments.create,
            {
                "name": LONG,
                "filter": {"match": "some", "conditions": [{"type": "tag", "operator": "in", "ids": "7,x"}]},
            },
            [
                ("name", f"name {TOO_LONG}"),
                ("filter.match", "filter.match must be one of: all, any"),
                ("filter.conditions[0].ids[1]", "filter.conditions[0].ids[1] must be an id"),
            ],
        ),
        (
            snippets.create,
            {"name": LONG, "snippet_type": "inline", "content": "{{ x"},
            [("name", f"name {TOO_LONG}"), ("content", "Invalid Liquid in content: '{{ x' is never closed, line 1")],
        ),
        (
            templates.create,
            {"name": "", "html": "<p>Hi</p>", "is_default": "maybe"},
            [
                ("name", "name can't be blank"),
                ("html", "html must contain {{ message_content }}"),
                ("is_default", "is_default must be true or false"),
            ],
        ),
        (
            partial(subscribe.upsert, cause=causes.API),
            {
                "email_address": "bea@",
                "first_name": LONG,
                "state": "happy",
                "fields": {f"f{number}": "" for number in range(141)},
            },
            [
                ("email_address", "Email address is invalid"),
                ("first_name", f"First name {TOO_LONG}"),
                ("state", "state must be one of: active, cancelled, bounced, complained, inactive"),
                ("fields", "fields can't have more than 140 entries"),
            ],
        ),
    ],
)
def test_a_row_of_text_is_refused_with_every_problem(
    verb: Verb, row: dict[str, Any], problems: list[Problem], now: datetime
) -> None:
    account = factories.make_account()
    assert problems_of(lambda: verb(account.pk, FromText(row), now)) == problems


def test_a_form_makes_what_the_api_makes(now: datetime) -> None:
    account = factories.make_account()
    html = "{{ message_content }}"
    template = templates.create(account.pk, FromText(name=" T ", html=html, is_default="on"), now)
    assert (template.name, template.is_default, template.category) == ("T", True, "HTML")
    tag, _ = tags.create(account.pk, FromText(name="VIP"), now, cause=causes.API)
    conditions = [{"type": "tag", "operator": "in", "ids": str(tag.pk)}]
    segment = segments.create(account.pk, FromText(name="S", filter={"conditions": conditions}), now)
    saved = {"match": "all", "conditions": [{"type": "tag", "operator": "in", "ids": [tag.pk]}]}
    assert segment.filter == saved
    row = FromText(email_address=" Bea@Mail.test", first_name="", state="")
    person = subscribe.upsert(account.pk, row, now, cause=causes.API).subscriber
    assert (person.email_address, person.first_name, person.state) == ("bea@mail.test", "", "active")


def test_what_is_taken_is_said_of_the_member(now: datetime) -> None:
    account = factories.make_account()
    tags.create(account.pk, {"name": "VIP"}, now, cause=causes.API)
    fields.create(account.pk, {"label": "Company"}, now, cause=causes.API)
    tag, _ = tags.create(account.pk, {"name": "Other"}, now, cause=causes.API)
    field, _ = fields.create(account.pk, {"label": "Other"}, now, cause=causes.API)
    person, other = factories.make_subscriber(account), factories.make_subscriber(account)
    taken = {"email_address": other.email_address}
    assert problems_of(lambda: tags.rename(tag, {"name": "vip"})) == [("name", "Name has already been taken")]
    assert problems_of(lambda: fields.rename(field, {"label": "company"})) == [
        ("label", "Label has already been taken")
    ]
    assert problems_of(lambda: subscribe.update(person.pk, taken, now, cause=causes.API)) == [
        ("email_address", "Email address has already been taken")
    ]


def test_an_account_is_judged_alike(now: datetime) -> None:
    made = problems_of(lambda: create_account(" ", "bea@", "Mars", now=now))
    zone = ("time_zone", "time_zone must be an IANA time zone, such as America/New_York")
    assert made == [
        ("name", "Name can't be blank"),
        zone,
        ("email_address", "Email address is invalid"),
    ]
    account, user, _, _ = create_account(" Bea ", " Bea@Mail.test ", "UTC", now=now)
    assert (account.name, account.primary_email_address, user.email) == ("Bea", "Bea@Mail.test", "bea@mail.test")
    changes = FromText(send_hour="24", per_day="many", per_second="0", time_zone="Mars")
    assert problems_of(lambda: update_account(account, changes)) == [
        zone,
        ("send_hour", "send_hour must be an integer between 0 and 23"),
        ("per_day", "per_day must be an integer between 1 and 1000000000, or 0 for no limit"),
    ]
    changes = FromText(send_hour="7", per_day="9", per_second="0", postal_address=" 1 Long Lane ")
    update_account(account, changes)
    account = Account.objects.get(pk=account.pk)
    assert (account.send_hour, account.per_day, account.per_second) == (7, 9, None)
    assert account.postal_address == "1 Long Lane"
