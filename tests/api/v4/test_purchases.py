"""Purchases by the API, as Kit answers."""

from dripstone.accounts.models import ApiKey
from dripstone.purchases.models import Purchase
from tests.api.caller import NOT_FULL_ACCESS, Caller
from tests.factories import a_purchase, make_key, make_purchase


def test_it_is_answered_as_it_was_told(alice: Caller) -> None:
    ApiKey.objects.update(name="Fancy shop")
    body = a_purchase(
        email_address="pru@example.org", transaction_id="796", subtotal=78.66, tax=7.87, discount=5.0, total=81.53
    )
    status, answer = alice.post("/v4/purchases", body)
    assert status == 201
    purchase = answer["purchase"]
    assert {name: purchase[name] for name in ("subtotal", "tax", "discount", "total", "currency", "status")} == {
        "subtotal": 78.66,
        "tax": 7.87,
        "discount": 5.0,
        "total": 81.53,
        "currency": "USD",
        "status": "paid",
    }
    assert purchase["products"] == [
        {"quantity": 1, "lid": "1", "unit_price": 50.0, "sku": "C-1", "name": "Course", "pid": "course"}
    ]
    assert (purchase["source"], purchase["transaction_time"]) == ("Fancy shop", "2026-11-20T10:00:00Z")
    assert alice.get(f"/v4/subscribers/{purchase['subscriber_id']}")[1]["subscriber"]["state"] == "active"
    assert alice.get(f"/v4/purchases/{purchase['id']}") == (200, {"purchase": purchase})


def test_the_newest_is_listed_first_and_pages_lead_on(alice: Caller) -> None:
    made = [make_purchase(alice.account).pk for _ in range(3)]
    answer = alice.get("/v4/purchases", per_page=2, include_total_count="true")[1]
    assert [one["id"] for one in answer["purchases"]] == made[:0:-1]
    assert answer["pagination"]["total_count"] == 3
    answer = alice.get("/v4/purchases", after=answer["pagination"]["end_cursor"])[1]
    assert [one["id"] for one in answer["purchases"]] == made[:1]
    assert answer["purchases"][0]["products"][0]["pid"] == "course"


def test_lines_stand_in_the_order_in_which_they_were_told_each_with_its_purchase(alice: Caller) -> None:
    line = {"name": "Variant", "quantity": 2, "unit_price": 1.5, "sku": None}
    lids = ("z", "a", "m")
    told = [{**line, "lid": lid, "pid": f"p-{lid}"} for lid in lids]
    first = alice.post("/v4/purchases", a_purchase(transaction_id="1", products=told))[1]["purchase"]
    second = alice.post("/v4/purchases", a_purchase(transaction_id="2", products=told[:1]))[1]["purchase"]
    assert [one["lid"] for one in first["products"]] == [*lids]
    assert first["products"][1] == {**line, "lid": "a", "pid": "p-a"}
    assert alice.get("/v4/purchases")[1]["purchases"] == [second, first]
    assert alice.get(f"/v4/purchases/{first['id']}")[1]["purchase"] == first


def test_a_list_takes_as_many_queries_for_many_as_for_one(alice: Caller, django_assert_max_num_queries: object) -> None:
    for _ in range(5):
        make_purchase(alice.account)
    with django_assert_max_num_queries(7):  # type: ignore[operator]
        assert len(alice.get("/v4/purchases")[1]["purchases"]) == 5


def test_a_key_without_full_access_is_refused_as_kit_does(alice: Caller) -> None:
    make_purchase(alice.account)
    other = Caller(alice.account, make_key(alice.account, has_full_access=False)[1])
    assert other.get("/v4/purchases") == NOT_FULL_ACCESS
    assert other.get(f"/v4/purchases/{Purchase.objects.get().pk}") == NOT_FULL_ACCESS
    assert other.post("/v4/purchases", a_purchase()) == NOT_FULL_ACCESS
    assert Purchase.objects.count() == 1


def test_a_blank_transaction_is_refused_in_kits_words(alice: Caller) -> None:
    status, answer = alice.post("/v4/purchases", a_purchase(transaction_id=""))
    assert (status, answer) == (422, {"errors": ["Transaction cannot be blank"]})
    assert alice.post("/v4/purchases")[0] == 422
    assert alice.post("/v4/purchases", [])[0] == 422


def test_its_members_may_stand_alone(alice: Caller) -> None:
    status, answer = alice.post("/v4/purchases", a_purchase(transaction_id="t-9")["purchase"])
    assert (status, answer["purchase"]["transaction_id"]) == (201, "t-9")
