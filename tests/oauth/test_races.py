"""Two that come at the same instant, with real commits."""

import json
from typing import Any

import pytest

from dripstone.oauth import registration, tokens
from dripstone.oauth.models import AccessToken, Application, Consent, RefreshToken
from tests.factories import MONDAY_9
from tests.oauth.flow import App, is_open
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_many_who_bring_the_same_code_one_gets_tokens_and_loses_them(app: App, browser: Any) -> None:
    code = app.code(browser)
    answers = together(lambda: app.exchange(code))
    assert sorted(status for status, _ in answers) == [200, 400, 400, 400, 400, 400]
    (given,) = (answer for status, answer in answers if status == 200)
    assert not is_open(given["access_token"])
    assert Consent.objects.get().ended_why == tokens.CODE_AGAIN


def test_all_who_refresh_at_once_get_a_pair_of_their_own(app: App, browser: Any) -> None:
    """As the threads of one app do, none of which knows of the others."""
    first = app.tokens(browser)
    answers = together(lambda: app.refresh(first["refresh_token"]))
    assert {status for status, _ in answers} == {200}, answers
    assert all(is_open(given["access_token"]) for _, given in answers)
    assert (AccessToken.objects.count(), RefreshToken.objects.filter(revoked=None).count()) == (6, 6)


def test_nothing_is_given_out_after_a_consent_has_ended(app: App, browser: Any) -> None:
    first, consent = app.tokens(browser), Consent.objects.get()

    def refresh_or_end() -> Any:
        return tokens.end(consent.pk, tokens.REVOKED, MONDAY_9) or app.refresh(first["refresh_token"])

    answers = together(refresh_or_end)
    assert answers.count(True) == 1
    assert {answer[0] for answer in answers if answer is not True} == {400}
    assert RefreshToken.objects.count() == 1


def test_a_network_registers_no_more_apps_than_it_may(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST_OF_NETWORK", 3)
    given = {"redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"}
    answers = together(lambda: registration.register(given, "192.0.2.1", MONDAY_9))
    refused = [one for one in answers if isinstance(one, registration.TooManyRegistrations)]
    assert (len(refused), Application.objects.count()) == (3, 3), json.dumps([str(one) for one in answers])
