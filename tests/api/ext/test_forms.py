"""Forms with all their members, and what only owners answer for."""

from typing import Any

import pytest

from dripstone.events import causes
from dripstone.subscribers import fields
from dripstone.subscribers.models import Form, FormSubscription
from tests import factories
from tests.api.caller import Caller
from tests.factories import MONDAY_9


@pytest.fixture
def form(alice: Caller) -> int:
    made: int = alice.post("/ext/v1/forms", {"name": "Footer"})[1]["form"]["id"]
    return made


def everything(alice: Caller) -> dict[str, Any]:
    """A value for each member."""
    field, _ = fields.create(alice.account.pk, {"label": "Company"}, MONDAY_9, cause=causes.API)
    return {
        "name": "Header",
        "type": "hosted",
        "format": "modal",
        "status": "archived",
        "opt_in": "single",
        "heading": "Caves",
        "description": "Two\n\nlines",
        "address_label": "E-Mail",
        "name_label": "Vorname",
        "button": "Los",
        "is_plain": True,
        "asks_first_name": False,
        "field_ids": [field.pk],
        "tag_ids": [factories.make_tag(alice.account).pk],
        "sequence_ids": [factories.make_sequence(alice.account).pk],
        "confirmation_subject": "Da?",
        "confirmation_text": "Ja?",
        "confirmation_button": "Ja",
        "thanks_text": "Danke",
        "thanks_url": "https://caves.example/thanks",
        "confirmed_text": "Drin",
        "confirmed_url": "http://caves.example/in?a=b#c",
        "hourly_limit": 7,
    }


def test_every_member_is_written_and_read(alice: Caller, form: int) -> None:
    given = everything(alice)
    status, answer = alice.put(f"/ext/v1/forms/{form}", given)
    assert (status, answer["form"]["archived"]) == (200, True)
    assert {name: answer["form"][name] for name in given} == given
    assert alice.get(f"/ext/v1/forms/{form}") == (200, answer)
    assert alice.get("/ext/v1/forms", status="archived")[1]["forms"] == [answer["form"]]
    assert alice.get("/ext/v1/forms")[1]["forms"] == []
    assert alice.put(f"/ext/v1/forms/{form}", answer["form"]) == (200, answer), "what was read may be written back"


def test_it_is_made_with_any_of_them(alice: Caller) -> None:
    given = everything(alice)
    made = alice.post("/ext/v1/forms", given)[1]["form"]["id"]
    whole = alice.get(f"/ext/v1/forms/{made}")[1]["form"]
    assert {name: whole[name] for name in given} == given


def test_its_addresses_are_as_kits(alice: Caller, form: int) -> None:
    row = alice.get("/v4/forms")[1]["forms"][0]
    assert row["embed_url"].endswith(f"/f/{row['uid']}")
    assert row["embed_js"] == f"{row['embed_url']}/index.js"


def test_null_and_blank_are_the_usual_text(alice: Caller, form: int) -> None:
    alice.put(f"/ext/v1/forms/{form}", {"heading": "Caves", "tag_ids": [factories.make_tag(alice.account).pk]})
    whole = alice.put(f"/ext/v1/forms/{form}", {"heading": "  ", "button": None, "tag_ids": None})[1]["form"]
    assert (whole["heading"], whole["button"], whole["tag_ids"]) == ("", "", [])


PAGE = "must be the address of a page, such as https://example.com/thanks"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": ""}, "name can't be blank"),
        ({"opt_in": "triple"}, "opt_in must be one of: single, double"),
        ({"status": "gone"}, "status must be one of: active, archived, trashed"),
        ({"heading": "x" * 256}, "heading is too long (maximum is 255 characters)"),
        ({"heading": "a\nb"}, "heading must be one line"),
        ({"description": "x" * 5001}, "description is too long (maximum is 5000 characters)"),
        ({"thanks_url": "javascript:alert(1)"}, f"thanks_url {PAGE}"),
        ({"thanks_url": "https://"}, f"thanks_url {PAGE}"),
        ({"thanks_url": "https://a b"}, f"thanks_url {PAGE}"),
        ({"confirmed_url": "https://a.example/\r\nX: y"}, f"confirmed_url {PAGE}"),
        ({"confirmed_url": "//a.example"}, f"confirmed_url {PAGE}"),
        ({"is_plain": 1}, "is_plain must be true or false"),
        ({"hourly_limit": 0}, "hourly_limit must be an integer between 1 and 100000"),
        ({"tag_ids": [2**62]}, f"tag_ids: tag {2**62} does not exist"),
        ({"sequence_ids": [2**62]}, f"sequence_ids: sequence {2**62} does not exist"),
        ({"field_ids": [2**62]}, f"field_ids: field {2**62} does not exist"),
        ({"field_ids": ["1"]}, "field_ids[0] must be an id"),
        ({"tag_ids": list(range(1, 22))}, "tag_ids can't have more than 20 entries"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(
    alice: Caller, form: int, given: dict[str, Any], sentence: str
) -> None:
    before = alice.get(f"/ext/v1/forms/{form}")
    assert alice.put(f"/ext/v1/forms/{form}", given) == (422, {"errors": [sentence]})
    assert alice.get(f"/ext/v1/forms/{form}") == before


def test_what_was_deleted_since_may_be_written_back(alice: Caller, form: int) -> None:
    tag = factories.make_tag(alice.account)
    alice.put(f"/ext/v1/forms/{form}", {"tag_ids": [tag.pk]})
    gone = tag.pk
    tag.delete()
    assert alice.put(f"/ext/v1/forms/{form}", {"tag_ids": [gone]})[0] == 200


def test_a_deleted_one_is_in_kits_trash_and_keeps_its_people(alice: Caller, form: int) -> None:
    person = factories.make_subscriber(alice.account)
    alice.post(f"/v4/forms/{form}/subscribers/{person.pk}", {})
    assert alice.delete(f"/ext/v1/forms/{form}")[0] == 204
    assert alice.get("/v4/forms")[1]["forms"] == []
    assert [row["id"] for row in alice.get("/v4/forms", status="trashed")[1]["forms"]] == [form]
    assert FormSubscription.objects.filter(subscriber=person).exists()
    assert alice.put(f"/ext/v1/forms/{form}", {"status": "active"})[1]["form"]["status"] == "active"


def test_kits_shape_of_a_form_stays_as_it_is(alice: Caller, form: int) -> None:
    kits = {"id", "name", "created_at", "type", "format", "embed_js", "embed_url", "archived", "uid"}
    assert set(alice.get("/v4/forms")[1]["forms"][0]) == kits
    assert Form.objects.get().opt_in == "double"


# --- Who complained ---------------------------------------------------------------------------------------------------


def test_an_owner_says_why_somebody_is_mailed_again(alice: Caller) -> None:
    person = factories.make_subscriber(alice.account, state="complained")
    path = f"/ext/v1/subscribers/{person.pk}/reinstatement"
    assert alice.post(path, {}) == (422, {"errors": ["Why can't be blank"]})
    assert alice.post(path, {"why": "She called"})[1]["subscriber"]["state"] == "active"


@pytest.mark.parametrize("state", ["active", "inactive", "cancelled", "bounced"])
def test_nobody_else_is_reinstated(alice: Caller, state: str) -> None:
    person = factories.make_subscriber(alice.account, state=state, canceled_at=MONDAY_9)
    status, answer = alice.post(f"/ext/v1/subscribers/{person.pk}/reinstatement", {"why": "because"})
    assert (status, answer["errors"]) == (
        422,
        ["This person did not report an email as spam, so there is nothing to take back"],
    )
    person.refresh_from_db()
    assert person.state == state


@pytest.mark.parametrize("state", ["cancelled", "bounced", "complained"])
def test_no_other_call_makes_them_active(alice: Caller, form: int, state: str) -> None:
    """R20: not the upsert, not a form, not the confirmation of the API."""
    person = factories.make_subscriber(alice.account, state=state, canceled_at=MONDAY_9)
    alice.post("/v4/subscribers", {"email_address": person.email_address, "state": "active"})
    alice.post(f"/v4/forms/{form}/subscribers/{person.pk}", {})
    alice.post(f"/ext/v1/subscribers/{person.pk}/confirmation", {})
    person.refresh_from_db()
    assert person.state == state
