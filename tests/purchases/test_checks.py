"""What a shop may tell, and what is said of the rest."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.errors import Invalid
from dripstone.purchases import checks
from tests.factories import a_purchase

LINE: dict[str, Any] = a_purchase()["purchase"]["products"][0]
QUANTITY = "products[0].quantity must be an integer between 0 and 1000000000"


def problems_of(body: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        checks.check(body)
    return refused.value.messages


@given(st.decimals(-checks.MAX_AMOUNT, checks.MAX_AMOUNT, places=4))
def test_an_amount_is_kept_exactly_as_it_was_written(amount: Decimal) -> None:
    """Although JSON is read into floats, and written from them."""
    told = json.loads(json.dumps(a_purchase()).replace("54.5", f"{amount:f}"))
    kept = checks.check(told)["total"]
    assert kept == amount
    assert Decimal(json.dumps(float(kept))) == amount


@given(st.floats(-1e6, 1e6))
def test_what_arithmetic_with_floats_left_over_is_rounded(amount: float) -> None:
    kept = checks.check(a_purchase(total=amount))["total"]
    assert abs(kept - Decimal(amount)) <= Decimal("0.00005")
    assert kept == round(kept, 4)


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"transaction_id": ""}, ["Transaction cannot be blank"]),
        ({"transaction_id": None}, ["Transaction cannot be blank"]),
        ({"email_address": "nobody"}, ["Email address is invalid"]),
        ({"email_address": None}, ["Email address is invalid"]),
        ({"currency": "usd dollars"}, ["currency must be a currency’s three letters (ISO 4217), such as USD"]),
        ({"currency": "XXY"}, ["currency must be a currency’s three letters (ISO 4217), such as USD"]),
        ({"currency": None}, ["currency can't be blank"]),
        ({"total": None}, ["total can't be blank"]),
        ({"total": "54.5"}, ["total must be a number"]),
        ({"tax": True}, ["tax must be a number"]),
        ({"total": 1e11}, ["total must be between -10,000,000,000 and 10,000,000,000"]),
        ({"transaction_time": "soon"}, ["transaction_time must be a date (yyyy-mm-dd) or an ISO 8601 timestamp"]),
        ({"status": 3}, ["status must be a string"]),
        ({"products": []}, ["products can't be blank"]),
        ({"products": None}, ["products can't be blank"]),
        ({"products": {}}, ["products must be an array"]),
        ({"products": [3]}, ["products[0] must be an object"]),
        ({"products": [LINE] * 1001}, ["products can't have more than 1,000 entries"]),
        ({"products": [LINE, LINE]}, ["products[1].lid is that of products[0]: each line has its own"]),
        ({"products": [LINE | {"quantity": -1}]}, ["products[0].quantity must be an integer between 0 and 1000000000"]),
        (
            {"products": [LINE | {"quantity": 1.5}]},
            ["products[0].quantity must be an integer between 0 and 1000000000"],
        ),
        ({"products": [LINE | {"sku": []}]}, ["products[0].sku must be a string"]),
        (
            {"products": [{}]},
            [
                "products[0].name can't be blank",
                "products[0].pid can't be blank",
                "products[0].lid can't be blank",
                QUANTITY,
                "products[0].unit_price can't be blank",
            ],
        ),
    ],
)
def test_each_problem_has_its_sentence(values: dict[str, Any], problems: list[str]) -> None:
    assert problems_of(a_purchase(**values)) == problems


def test_all_problems_are_told_at_once() -> None:
    assert problems_of({}) == [
        "Email address is invalid",
        "Transaction cannot be blank",
        "subtotal can't be blank",
        "tax can't be blank",
        "shipping can't be blank",
        "discount can't be blank",
        "total can't be blank",
        "currency can't be blank",
        "products can't be blank",
    ]
    assert problems_of({"purchase": None}) == ["purchase must be an object"]
    assert problems_of({"purchase": "x"}) == ["purchase must be an object"]


def test_what_kits_client_for_php_sends_is_taken() -> None:
    """Its members stand beside no `purchase`, its ids are numbers, its currency small, its time has no T; what its
    caller did not say is left out."""
    line = {"name": "Floppy Disk (512k)", "sku": "7890-ijkl", "pid": 9999, "lid": 7777, "quantity": 2, "unit_price": 5}
    told = {
        "email_address": "Tim@Example.org ",
        "transaction_id": "str-1",
        "products": [line],
        "currency": "usd",
        "first_name": "Tim",
        "subtotal": 10,
        "tax": 0,
        "shipping": 2.0,
        "discount": 0,
        "total": 12.0,
        "transaction_time": "2026-11-20 10:00:00",
    }
    values = checks.check(told)
    assert (values["email_address"], values["currency"], values["shipping"]) == ("tim@example.org", "USD", 2)
    assert values["transaction_time"].isoformat() == "2026-11-20T10:00:00+00:00"
    assert (values["products"][0]["pid"], values["products"][0]["lid"]) == ("9999", "7777")
    assert "status" not in values
    assert "status" not in checks.check(told | {"status": None})


@pytest.mark.parametrize(
    ("status", "is_paid"),
    [("paid", True), ("completed", True), ("Refunded", False), ("pending", False), (" CANCELED ", False)],
)
def test_a_status_says_whether_something_was_bought(status: str, is_paid: bool) -> None:
    assert checks.is_paid(status) is is_paid
