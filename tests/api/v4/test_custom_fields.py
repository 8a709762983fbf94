from dripstone.subscribers.models import Subscriber
from tests.api.caller import Caller

BLANK = (422, {"errors": ["Label can't be blank"]})
TAKEN = (422, {"errors": ["Label has already been taken"]})


def test_it_creates_a_field_once_in_any_case(alice: Caller) -> None:
    status, answer = alice.post("/v4/custom_fields", {"label": " Último nombre "})
    made = answer["custom_field"]
    assert status == 201
    assert made == {
        "id": made["id"],
        "name": f"ck_field_{made['id']}_ultimo_nombre",
        "key": "ultimo_nombre",
        "label": "Último nombre",
    }
    assert alice.post("/v4/custom_fields", {"label": "Último NOMBRE"}) == (200, answer)
    assert alice.get("/v4/custom_fields")[1]["custom_fields"] == [made]
    assert alice.post("/v4/custom_fields", {}) == BLANK
    assert alice.post("/v4/custom_fields", {"label": "日本"})[1]["custom_field"]["key"] == "field"


def test_labels_that_give_one_key_get_two(alice: Caller) -> None:
    keys = [alice.post("/v4/custom_fields", {"label": label})[1]["custom_field"]["key"] for label in ("A b", "A-b")]
    assert keys == ["a_b", "a_b_2"]


def test_a_new_label_changes_the_key_and_never_the_name(alice: Caller) -> None:
    made = alice.post("/v4/custom_fields", {"label": "Company"})[1]["custom_field"]
    alice.post("/v4/custom_fields", {"label": "Taken"})
    body = {"email_address": "bea@example.org", "fields": {"company": "Acme"}}
    person = alice.post("/v4/subscribers", body)[1]["subscriber"]
    path = f"/v4/custom_fields/{made['id']}"
    answer = alice.put(path, {"label": "Employer"})[1]["custom_field"]
    assert (answer["key"], answer["name"]) == ("employer", made["name"])
    assert alice.get(f"/v4/subscribers/{person['id']}")[1]["subscriber"]["fields"]["employer"] == "Acme"
    assert alice.put(path, {"label": ""}) == BLANK
    assert alice.put(path, {"label": "TAKEN"}) == TAKEN


def test_deleting_a_field_deletes_its_values(alice: Caller) -> None:
    made = alice.post("/v4/custom_fields", {"label": "Company"})[1]["custom_field"]
    alice.post("/v4/subscribers", {"email_address": "bea@example.org", "fields": {"company": "Acme"}})
    assert alice.delete(f"/v4/custom_fields/{made['id']}") == (204, None)
    assert Subscriber.objects.get().fields == {}
    assert alice.delete(f"/v4/custom_fields/{made['id']}")[0] == 404
