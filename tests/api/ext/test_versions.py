"""What was published, over HTTP: versions of an email, and the message of a delivery."""

from typing import Any

import pytest

from dripstone.engine import life, process
from dripstone.engine.models import Delivery
from dripstone.sequences.models import EmailVersion, Sequence
from tests import factories
from tests.api.caller import Caller

EMAIL = {"subject": "One", "content": "<p>Dear {{ subscriber.first_name }}</p>", "delay_value": 0, "delay_unit": "days"}


@pytest.fixture
def emails(alice: Caller) -> str:
    return f"/v4/sequences/{factories.make_sequence(alice.account).pk}/emails"


def created(alice: Caller, emails: str) -> int:
    status, answer = alice.post(emails, {**EMAIL, "published": True})
    assert status == 201
    number: int = answer["email"]["id"]
    return number


def versions(alice: Caller, emails: str, email_id: int, **filters: Any) -> list[dict[str, Any]]:
    path = f"{emails.replace('v4', 'ext/v1')}/{email_id}/versions"
    status, answer = alice.get(path, **filters)
    assert status == 200
    found: list[dict[str, Any]] = answer["versions"]
    for one in found:
        whole = alice.get(f"{path}/{one['number']}")[1]["version"]
        assert one.items() <= whole.items()
        assert "content" in whole
    return found


def test_each_write_that_publishes_is_a_version(alice: Caller, emails: str) -> None:
    email_id = created(alice, emails)
    alice.put(f"{emails}/{email_id}", {"subject": "Two"})
    new, old = versions(alice, emails, email_id, include_content="true")
    assert (new["number"], new["subject"], old["number"], old["subject"]) == (2, "Two", 1, "One")
    assert new["content"] == EMAIL["content"]
    assert new["published_by"].startswith("API key")
    assert "content" not in versions(alice, emails, email_id)[0]


def test_what_was_published_without_a_version_is_listed(alice: Caller, emails: str) -> None:
    email_id = created(alice, emails)
    EmailVersion.objects.all().delete()
    [only] = versions(alice, emails, email_id)
    assert (only["number"], only["published_by"]) == (1, "")


def test_the_message_of_a_delivery_is_shown_as_it_was(alice: Caller, emails: str) -> None:
    email_id = created(alice, emails)
    bob = factories.make_subscriber(alice.account, first_name="Bob")
    place = factories.make_enrollment(Sequence.objects.get(), bob)
    life.until_idle()
    process.close()
    alice.put(f"{emails}/{email_id}", {"subject": "Two"})
    path = f"/ext/v1/deliveries/{place.deliveries.get().pk}/message"
    status, answer = alice.get(path)
    assert status == 200
    message = answer["message"]
    assert (message["subject"], message["email_version"], message["email_template_id"]) == ("One", 1, None)
    assert "Dear Bob" in message["html"]
    assert (message["snippet_versions"], message["headers"]["Subject"]) == ([], "One")
    assert not message["values_may_have_changed"]
    Delivery.objects.update(edition=None)
    assert alice.get(path) == (404, {"errors": ["It is not known what this email was made of"]})
