"""The list of people: whom it shows, in what order, with what beside them."""

import json
from urllib.parse import quote

from django.test import Client

from dripstone.accounts.models import Account
from tests.factories import make_subscriber
from tests.web.reading import text_of


def shown(client: Client, query: str = "") -> str:
    response = client.get(f"/people{query}")
    assert response.status_code == 200
    return text_of(response)


def filtered(condition: dict[str, object]) -> str:
    return f"?filter={quote(json.dumps(condition))}"


def test_the_newest_come_first_by_name_with_their_address_below(alice: Client, account: Account) -> None:
    make_subscriber(account, first_name="Ann", email_address="ann@example.org")
    make_subscriber(account, first_name="", email_address="bob@example.org")
    page = shown(alice)
    assert page.index("bob@example.org") < page.index("Ann")
    assert "ann@example.org" in page
