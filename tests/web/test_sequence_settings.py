"""How a sequence sends, changed on its page: the members that the API takes, asked about first."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account, SendingAddress
from dripstone.sequences.models import Sequence
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members


@pytest.fixture
def sequence(account: Account, clock: VirtualClock) -> Sequence:
    return make_sequence(account, {"delay_value": 1}, {"delay_value": 2}, name="Caves")


def form_of(sequence: Sequence, **other: Any) -> dict[str, Any]:
    return {
        "name": sequence.name,
        "active": "true",
        "send_days": ["", "monday", "friday"],
        "send_hour": "7",
        "time_zone": "Europe/Paris",
        "email_address": sequence.sending_address.email_address,
        "email_template_id": "",
        "repeat": "true",
        "hold": "true",
        "exclude_tag": [""],
        "exclude_form": [""],
        "exclude_sequence": [""],
        "exclude_segment": [""],
        **other,
    }


def save(browser: Client, sequence: Sequence, **other: Any) -> Any:
    return browser.post(f"/sequences/{sequence.pk}/settings", form_of(sequence, **other))


def test_it_saves_every_setting(alice: Client, account: Account, sequence: Sequence) -> None:
    other = SendingAddress.objects.create(account=account, email_address="b@example.com", created_at=MONDAY_9)
    tags = [make_tag(account), make_tag(account)]
    left_out = {"exclude_tag": ["", *(str(tag.pk) for tag in tags)]}
    answer = save(alice, sequence, name="Deeper", email_address="b@example.com", **left_out)
    assert answer.status_code == 302
    sequence.refresh_from_db()
    assert (sequence.name, sequence.send_days, sequence.send_hour) == ("Deeper", [0, 4], 7)
    assert (sequence.time_zone, sequence.repeat, sequence.hold) == ("Europe/Paris", True, True)
    assert sequence.sending_address_id == other.pk
    assert sequence.exclude_subscriber_sources == [{"type": "tag", "ids": [tag.pk for tag in tags]}]


def test_it_shows_what_is_set(alice: Client, account: Account, sequence: Sequence) -> None:
    tag = make_tag(account, name="Team")
    sequence.exclude_subscriber_sources = [{"type": "tag", "ids": [tag.pk, 999_999]}]
    sequence.hold = True
    sequence.save()
    page = alice.get(f"/sequences/{sequence.pk}/settings").content.decode()
    assert f'name="exclude_tag" value="{tag.pk}" checked> <span>Team' in page
    assert "number 999999, which is gone" in page
    assert 'name="hold" value="true" checked' in page
    assert page.count('name="send_days" value="') == 8  # a hidden empty one, and seven days
    assert 'name="exclude_sequence" value=""' in page
    assert f'name="exclude_sequence" value="{sequence.pk}"' not in page  # itself is not to choose


def test_what_is_unticked_is_left_out_no_more(alice: Client, account: Account, sequence: Sequence) -> None:
    tag = make_tag(account)
    save(alice, sequence, exclude_tag=["", str(tag.pk)])
    save(alice, sequence)
    sequence.refresh_from_db()
    assert sequence.exclude_subscriber_sources == []


@pytest.mark.parametrize(
    ("members", "field", "sentence"),
    [
        ({"name": ""}, "name", "Name can’t be blank"),
        ({"send_days": [""]}, "send_days", "Choose at least one day"),
        ({"time_zone": "Mars/Base"}, "time_zone", "must be an IANA time zone"),
        ({"email_address": "who@example.com"}, "email_address", "sending address"),
        ({"exclude_tag": ["", "123456"]}, "exclude_subscriber_sources", "tag 123456 does not exist"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_saved(
    alice: Client, sequence: Sequence, members: dict[str, Any], field: str, sentence: str
) -> None:
    answer = save(alice, sequence, hold="false", **members)
    assert answer.status_code == 422
    page = answer.content.decode().replace("&#x27;", "’")
    assert f'<a href="#f-{field}">' in page
    assert sentence in page
    assert f'id="f-{field}"' in page
    assert 'name="hold" value="false" checked' in page
    sequence.refresh_from_db()
    assert (sequence.name, sequence.send_hour) == ("Caves", 9)


def test_a_refusal_by_htmx_takes_the_place_of_the_form_and_not_of_the_dialog(alice: Client, sequence: Sequence) -> None:
    headers = {"HX-Request": "true", "HX-Target": "ask"}
    answer = alice.post(f"/sequences/{sequence.pk}/settings", form_of(sequence, name=""), headers=headers)
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (422, "#settings")
    assert answer.content.decode().lstrip().startswith("<form")


def test_an_act_that_touches_people_asks_first_and_keeps_what_was_typed(
    alice: Client, account: Account, sequence: Sequence, now: datetime
) -> None:
    make_enrollment(sequence, make_subscriber(account, first_name="Bob"), now)
    tag = make_tag(account)
    page = save(alice, sequence, active="false", exclude_tag=["", str(tag.pk)])
    assert "Change how “Caves” sends?" in page.content.decode()
    sequence.refresh_from_db()
    assert sequence.active
    assert alice.post(f"/sequences/{sequence.pk}/settings", hidden_members(page)).status_code == 302
    sequence.refresh_from_db()
    assert (sequence.active, sequence.send_days) == (False, [0, 4])
    assert sequence.exclude_subscriber_sources == [{"type": "tag", "ids": [tag.pk]}]


def test_somebody_elses_tag_cannot_be_left_out(alice: Client, sequence: Sequence) -> None:
    from tests.factories import make_account

    tag = make_tag(make_account("Other"))
    assert save(alice, sequence, exclude_tag=["", str(tag.pk)]).status_code == 422


def test_an_address_that_is_not_verified_is_offered_only_where_it_is_used(
    alice: Client, account: Account, sequence: Sequence
) -> None:
    SendingAddress.objects.create(
        account=account, email_address="new@example.com", is_verified=False, created_at=MONDAY_9
    )
    assert "new@example.com" not in alice.get(f"/sequences/{sequence.pk}/settings").content.decode()
    SendingAddress.objects.filter(pk=sequence.sending_address_id).update(is_verified=False)
    assert "not verified" in alice.get(f"/sequences/{sequence.pk}/settings").content.decode()


def test_hundreds_of_tags_cost_the_same_queries(
    alice: Client, account: Account, sequence: Sequence, django_assert_max_num_queries: Any
) -> None:
    for _ in range(300):
        make_tag(account)
    with django_assert_max_num_queries(20):
        page = alice.get(f"/sequences/{sequence.pk}/settings")
    assert page.content.count(b'name="exclude_tag"') == 301
