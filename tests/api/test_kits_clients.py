"""What Kit's own clients send when their caller gave nothing, and what clients in other languages write."""

import pytest

from dripstone.content.models import EmailTemplate
from tests import factories
from tests.api.caller import Caller

INVALID = (422, {"errors": ["Email address is invalid"]})


@pytest.fixture
def template(alice: Caller) -> EmailTemplate:
    return EmailTemplate.objects.create(
        account=alice.account, name="T", html="{{ message_content }}", created_at="2026-11-23T09:00:00Z",
        updated_at="2026-11-23T09:00:00Z",
    )  # fmt: skip


def test_template_0_is_none(alice: Caller, template: EmailTemplate) -> None:
    status, made = alice.post("/v4/sequences", {"name": "A", "email_template_id": 0})
    assert (status, made["sequence"]["email_template_id"]) == (201, None)
    path = f"/v4/sequences/{made['sequence']['id']}"
    assert alice.put(path, {"email_template_id": template.pk})[1]["sequence"]["email_template_id"] == template.pk
    assert alice.put(path, {"email_template_id": 0})[1]["sequence"]["email_template_id"] is None
    email = {"subject": "S", "delay_value": 0, "delay_unit": "days", "email_template_id": 0}
    status, made = alice.post(f"{path}/emails", email)
    assert (status, made["email"]["email_template_id"]) == (201, None)


@pytest.mark.parametrize("value", [False, 0.0, "0", -1, [], {}])
def test_what_only_looks_like_0_is_no_template(alice: Caller, value: object) -> None:
    assert alice.post("/v4/sequences", {"name": "A", "email_template_id": value})[0] == 422


def test_no_send_days_in_an_update_change_none(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, {"delay_value": 0}, {"delay_value": 1, "send_days": [0, 2]})
    path = f"/v4/sequences/{sequence.pk}"
    alice.put(path, {"send_days": ["monday", "friday"]})
    status, changed = alice.put(path, {"name": "B", "send_days": []})
    assert (status, changed["sequence"]["send_days"]) == (200, ["monday", "friday"])
    email = sequence.emails.get(position=1)
    status, changed = alice.put(f"{path}/emails/{email.pk}", {"subject": "New", "send_days": []})
    assert (status, changed["email"]["send_days"]) == (200, ["monday", "wednesday"])


def test_a_new_sequence_needs_a_day(alice: Caller) -> None:
    refused = (422, {"errors": ["send_days must contain at least one day"]})
    assert alice.post("/v4/sequences", {"name": "A", "send_days": []}) == refused


@pytest.mark.parametrize("path", ["/v4/sequences/{}", "/v4/subscribers/{person}"])
def test_an_empty_array_is_an_empty_change(alice: Caller, path: str) -> None:
    sequence, person = factories.make_sequence(alice.account), factories.make_subscriber(alice.account)
    status, answer = alice.put(path.format(sequence.pk, person=person.pk), [])
    assert status == 200, answer


@pytest.mark.parametrize(("word", "is_counted"), [("True", True), ("TRUE", True), ("1", True), ("False", False)])
def test_booleans_may_be_written_in_any_case(alice: Caller, word: str, is_counted: bool) -> None:
    status, answer = alice.get(f"/v4/tags?include_total_count={word}")
    assert (status, "total_count" in answer["pagination"]) == (200, is_counted)


@pytest.mark.parametrize("word", ["yes", "TRUTH", "2", "t"])
def test_other_words_are_no_booleans(alice: Caller, word: str) -> None:
    assert alice.get(f"/v4/tags?include_total_count={word}")[0] == 422


@pytest.mark.parametrize("given", ["", "%20", ",", "bea", "bea@", "bea@example.org,", "@example.org", "a@b@c.org"])
def test_an_address_that_is_none_is_nobody_and_never_everybody(alice: Caller, given: str) -> None:
    factories.make_subscriber(alice.account, email_address="bea@example.org")
    assert alice.get(f"/v4/subscribers?email_address={given}") == INVALID


@pytest.mark.parametrize("given", ["bea@example.org", "BEA@Example.org", "x@example.org,%20bea@example.org%20"])
def test_addresses_find_people_in_any_case(alice: Caller, given: str) -> None:
    person = factories.make_subscriber(alice.account, email_address="bea@example.org")
    found = alice.get(f"/v4/subscribers?email_address={given}")[1]["subscribers"]
    assert [one["id"] for one in found] == [person.pk]


# --- Members that Kit's SDK for PHP always sends, empty or not --------------------------------------------------------


def test_a_webhook_may_name_what_its_event_does_not_need(alice: Caller) -> None:
    """Kit's own document requires all of them, null where they mean nothing."""
    about = dict.fromkeys(("form_id", "tag_id", "sequence_id", "product_id", "initiator_value", "custom_field_id"))
    event = {"name": "subscriber.subscriber_activate", **about}
    status, made = alice.post("/v4/webhooks", {"target_url": "https://hooks.example.com/in", "event": event})
    assert status == 201, made


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_a_purchase_is_told_as_kit_documents_it_or_as_its_client_sends_it(alice: Caller, is_wrapped: bool) -> None:
    product = {"name": "Book", "pid": "1", "lid": "1", "sku": "", "quantity": 1, "unit_price": 5.0}
    purchase = {
        "email_address": "bea@example.org",
        "transaction_id": "t1",
        "currency": "usd",
        "status": "paid",
        "transaction_time": "2026-11-20T10:00:00Z",
        "subtotal": 5.0,
        "tax": 0,
        "shipping": 0,
        "discount": 0,
        "total": 5.0,
        "products": [product],
    }
    status, made = alice.post("/v4/purchases", {"purchase": purchase} if is_wrapped else purchase)
    assert (status, made["purchase"]["transaction_id"]) == (201, "t1")


def test_a_filter_without_conditions_is_everybody(alice: Caller) -> None:
    factories.make_subscriber(alice.account)
    status, found = alice.post("/v4/subscribers/filter", {"all": []})
    assert (status, len(found["subscribers"])) == (200, 1)
