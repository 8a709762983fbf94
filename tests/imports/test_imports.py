"""What a file of people does, and what it leaves alone."""

import pytest

from dripstone.accounts.models import Account
from dripstone.events.models import Event
from dripstone.imports.models import Import
from dripstone.subscribers.models import CustomField, Subscriber
from dripstone.tallies import verbs as tallies
from tests.factories import make_account, make_tag
from tests.imports.files import imported

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    return make_account()


def person(account: Account, address: str) -> Subscriber:
    return Subscriber.objects.get(account=account, email_address=address)


def tags_of(one: Subscriber) -> list[str]:
    return list(one.taggings.order_by("pk").values_list("tag__name", flat=True))


def test_new_people_come_in_with_their_values_and_tags(alice: Account) -> None:
    tag = make_tag(alice, name="All")
    done = imported(
        alice, 'Email,First Name,Town,Tags\r\nRita@Example.org,Rita,"Bath, UK","VIP, Course"\r\n', tag_ids=[tag.pk]
    )
    assert (done.state, done.n_made, done.n_rows) == (Import.State.DONE, 1, 1)
    rita = person(alice, "rita@example.org")
    town = CustomField.objects.get(label="Town")
    assert (rita.first_name, rita.fields, rita.state) == ("Rita", {str(town.pk): "Bath, UK"}, "active")
    assert tags_of(rita) == ["All", "VIP", "Course"]
    events = Event.objects.filter(subscriber_id=rita.pk).order_by("pk")
    assert [one.type.removeprefix("subscriber.") for one in events] == [
        *("created", "activated", "custom_field_value_updated", "tag_added", "tag_added", "tag_added")
    ]
    assert {tuple(one.cause) for one in events} == {(f"import {done.pk}", "quiet")}
    assert tallies.differences() == []
