from typing import Any

from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.subscribers import forms
from tests import factories
from tests.api.caller import Caller

REFERRER = "https://a.example/?utm_source=facebook&utm_medium=cpc&utm_campaign=b&utm_term=t&utm_content=c"


def test_it_adds_people_to_a_form_once(alice: Caller, now: Any) -> None:
    form, person = forms.create(alice.account.pk, {"name": "Sign up"}, now), factories.make_subscriber(alice.account)
    path = f"/v4/forms/{form.pk}/subscribers"
    status, answer = alice.post(f"{path}/{person.pk}", {"referrer": REFERRER})
    assert status == 201
    assert answer["subscriber"]["added_at"] == "2026-11-23T09:00:00Z"
    assert answer["subscriber"]["referrer"] == REFERRER
    assert answer["subscriber"]["referrer_utm_parameters"] == {
        "source": "facebook",
        "medium": "cpc",
        "campaign": "b",
        "term": "t",
        "content": "c",
    }
    assert alice.post(f"{path}/{person.pk}") == (200, answer)
    assert alice.post(path, {"email_address": person.email_address, "referrer": None}) == (200, answer)
    assert Event.objects.filter(type="subscriber.subscribed_to_form").count() == 1
    assert alice.get(path)[1]["subscribers"] == [answer["subscriber"]]
    assert alice.get(path, added_before="2026-11-23")[1]["subscribers"] == []


def test_without_a_referrer_the_strings_are_empty(alice: Caller, now: Any) -> None:
    form, person = forms.create(alice.account.pk, {"name": "Sign up"}, now), factories.make_subscriber(alice.account)
    answer = alice.post(f"/v4/forms/{form.pk}/subscribers", {"email_address": person.email_address})[1]
    assert answer["subscriber"]["referrer"] == ""
    assert set(answer["subscriber"]["referrer_utm_parameters"].values()) == {""}
    broken = alice.post(f"/v4/forms/{form.pk}/subscribers/{person.pk}", {"referrer": "http://[broken"})
    assert broken[0] == 200


def test_it_says_that_an_address_is_missing(alice: Caller, now: Any) -> None:
    form = forms.create(alice.account.pk, {"name": "Sign up"}, now)
    sentence = "Either subscriber id or email address is required to add subscriber to form"
    assert alice.post(f"/v4/forms/{form.pk}/subscribers", {}) == (422, {"errors": [sentence]})


def test_it_lists_forms(alice: Caller, now: Any) -> None:
    embed = forms.create(alice.account.pk, {"name": "Sign up"}, now)
    hosted = forms.create(alice.account.pk, {"name": "Lead gen", "type": "hosted"}, now)
    embed.status = "archived"
    embed.save()
    forms.add(hosted, factories.make_subscriber(alice.account), {}, now, cause=causes.API)
    found = alice.get("/v4/forms", include="subscriber_count")[1]["forms"]
    assert [(form["id"], form["subscriber_count"], form["archived"]) for form in found] == [(hosted.pk, 1, False)]
    assert [form["id"] for form in alice.get("/v4/forms", status="all")[1]["forms"]] == [hosted.pk, embed.pk]
    assert alice.get("/v4/forms", status="all", type="embed")[1]["forms"][0]["archived"] is True
    assert alice.get("/v4/forms", type="popup") == (422, {"errors": ["type must be one of: embed, hosted"]})
