"""Every operation that a `POST` calls is carried out once for an `Idempotency-Key`; test_repeats.py has the rules."""

import pytest

from dripstone.accounts.models import KeptAnswer
from tests.api.caller import Settled
from tests.api.routes import Route, chosen
from tests.api.test_isolation import everything, required
from tests.api.test_repeats import send


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("route", chosen(lambda route: route.method == "POST"), ids=str)
def test_every_post_is_carried_out_once(route: Route, settled_alice: Settled) -> None:
    key, of = settled_alice.key, settled_alice.ids
    path, body = route.with_ids(of[noun] for noun in route.nouns), required(route, of)
    first = send(key, path, body)
    before = everything()
    again = send(key, path, body)
    assert everything() == before
    if first.status < 400:
        assert again == (first.status, first.document, True)
        assert KeptAnswer.objects.get().key == "a"
    else:
        assert again == first
        assert not KeptAnswer.objects.exists()
