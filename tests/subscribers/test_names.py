"""Names that look the same are the same: tags and the labels of fields (accounts/names.py)."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts import names
from dripstone.subscribers.models import CustomField, Tag
from tests import factories
from tests.api.caller import Caller
from tests.api.conftest import alice  # noqa: F401  (a fixture)

SAME = ["Größe", "Gro\u0308ße", "Größe\u200b", "\ufeffGrö\u00adße", "GRÖ\u2060ße"]
FAMILY = "\U0001f468\u200d\U0001f469"


@given(st.text())
def test_a_plain_name_is_its_own(name: str) -> None:
    assert names.plain(names.plain(name)) == names.plain(name)


@pytest.mark.parametrize("name", ["VIP", " VIP ", "日本", FAMILY, "می\u200cخواهم", "a\tb"])
def test_what_can_be_seen_or_says_something_stays(name: str) -> None:
    assert names.plain(name) == name


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "member"), [("tags", "name"), ("custom_fields", "label")])
@pytest.mark.parametrize("first", SAME)
def test_names_that_look_the_same_are_one(alice: Caller, path: str, member: str, first: str) -> None:  # noqa: F811
    made = next(iter(alice.post(f"/v4/{path}", {member: first})[1].values()))
    assert made[member] == names.plain(first)
    for name in SAME:
        status, answer = alice.post(f"/v4/{path}", {member: name})
        assert (status, next(iter(answer.values()))["id"]) == (200, made["id"])


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["\u200b", " \ufeff ", "\u00ad\u2060"])
def test_a_name_that_cannot_be_seen_is_blank(alice: Caller, name: str) -> None:  # noqa: F811
    assert alice.post("/v4/tags", {"name": name}) == (422, {"errors": ["Name can't be blank"]})
    assert alice.post("/v4/custom_fields", {"label": name}) == (422, {"errors": ["Label can't be blank"]})


@pytest.mark.django_db
def test_a_tag_cannot_get_the_name_of_another_in_another_form(alice: Caller) -> None:  # noqa: F811
    alice.post("/v4/tags", {"name": "Größe"})
    other = alice.post("/v4/tags", {"name": "VIP"})[1]["tag"]["id"]
    assert alice.put(f"/v4/tags/{other}", {"name": "Gro\u0308ße"})[0] == 422


@pytest.mark.django_db
def test_a_key_of_an_older_version_stays_until_the_label_changes(alice: Caller) -> None:  # noqa: F811
    field = alice.post("/v4/custom_fields", {"label": "Größe"})[1]["custom_field"]["id"]
    CustomField.objects.filter(pk=field).update(key="groe")
    for label, key in (("Größe", "groe"), ("Gro\u0308ße", "groe"), ("Maß", "mass")):
        alice.put(f"/v4/custom_fields/{field}", {"label": label})
        assert CustomField.objects.get(pk=field).key == key


@pytest.mark.django_db
def test_the_upgrade_gives_names_one_form_and_merges_none(alice: Caller, now: Any) -> None:  # noqa: F811
    bob = factories.make_account("Bob")
    made = [
        Tag.objects.create(account=owner, name=name, created_at=now)
        for owner, name in [
            (alice.account, "größe"),
            (alice.account, "Gro\u0308ße"),
            (alice.account, "VIP\u200b"),
            (alice.account, "\u200b"),
            (bob, "Gro\u0308ße"),
        ]
    ]
    migration = import_module("dripstone.subscribers.migrations.0008_names_in_one_form")
    with connection.schema_editor() as editor:
        migration.name_alike(None, editor)
    found = [Tag.objects.get(pk=tag.pk).name for tag in made]
    assert found == ["größe", "Gro\u0308ße", "VIP", "\u200b", "Größe"]
