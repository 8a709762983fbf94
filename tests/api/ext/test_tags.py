"""Deleting a tag over HTTP, which Kit does in bulk alone."""

from dripstone.events.models import Event
from dripstone.subscribers.models import Segment, Tag, Tagging
from dripstone.tallies import verbs as tallies
from tests import factories
from tests.api.caller import Caller
from tests.automations.drawing import automation, tagging
from tests.factories import MONDAY_9


def test_a_tag_goes_from_everybody(alice: Caller) -> None:
    people = [factories.make_subscriber(alice.account) for _ in range(3)]
    tag, other = factories.make_tag(alice.account, *people), factories.make_tag(alice.account, *people)
    assert alice.delete(f"/ext/v1/tags/{tag.pk}")[0] == 204
    assert list(Tag.objects.all()) == [other]
    assert Tagging.objects.count() == 3
    assert [(one.type, one.cause, one.subject_id) for one in Event.objects.all()] == [("tag.deleted", ["api"], tag.pk)]
    assert tallies.differences() == []
    assert alice.delete(f"/ext/v1/tags/{tag.pk}")[0] == 404


def test_one_that_is_used_goes_only_when_that_was_said(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    filter = {"type": "tags", "ids": [tag.pk]}
    Segment.objects.create(account=alice.account, name="Our best", filter=filter, created_at=MONDAY_9)
    sources = [{"type": "tag", "ids": [tag.pk]}]
    factories.make_sequence(alice.account, name="Course", exclude_subscriber_sources=sources)
    status, answer = alice.delete(f"/ext/v1/tags/{tag.pk}")
    assert status == 422
    assert answer["errors"] == [
        "The tag is used in the segment “Our best” and the exclusions of the sequence “Course”; "
        "with anyway=true it is deleted all the same, and nobody meets them any more"
    ]
    assert alice.delete(f"/ext/v1/tags/{tag.pk}?anyway=true")[0] == 204


def test_one_that_a_step_of_an_automation_names_is_used(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    automation(alice.account, tagging("t", tag), is_on=False)
    status, answer = alice.delete(f"/ext/v1/tags/{tag.pk}")
    assert status == 422
    assert answer["errors"][0].startswith("The tag is used in the automation “After the course”; with anyway=true")
    assert alice.delete(f"/ext/v1/tags/{tag.pk}?anyway=true")[0] == 204
