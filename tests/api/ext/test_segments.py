from dripstone.conditions import segments
from dripstone.grammar import Condition
from dripstone.subscribers.models import Segment
from tests.api.caller import Caller
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag


def test_a_segment_is_read_changed_and_deleted(alice: Caller) -> None:
    tag = make_tag(alice.account, name="VIP")
    filter = {"not": {"type": "tags", "ids": [tag.pk]}}
    made = alice.post("/ext/v1/segments", {"name": "Others", "filter": filter})[1]["segment"]
    url = f"/ext/v1/segments/{made['id']}"
    said = {"filter": filter, "sentence": "People who do not have the tag “VIP”.", "problem": None}
    assert alice.get(url) == (200, {"segment": {**made, **said}})
    status, answer = alice.put(url, {"name": "The others"})
    assert (status, answer["segment"]["name"], answer["segment"]["filter"]) == (200, "The others", filter)
    assert alice.put(url, {"filter": None}) == (422, {"errors": ["filter can't be blank"]})
    problem = f"The tag number {tag.pk} is gone, so nobody is found by it."
    tag.delete()
    assert alice.get(url)[1]["segment"]["problem"] == problem
    assert alice.delete(url) == (204, None)
    assert alice.get(url)[0] == 404


def test_the_old_form_is_given_back_as_it_was_given(alice: Caller) -> None:
    field = alice.post("/v4/custom_fields", {"label": "Company"})[1]["custom_field"]
    conditions = [{"type": "field", "operator": "equals", "key": "company", "value": "Acme"}]
    filter = {"match": "any", "conditions": conditions}
    made = alice.post("/ext/v1/segments", {"name": "Acme", "filter": filter})[1]["segment"]
    url = f"/ext/v1/segments/{made['id']}"
    assert alice.get(url)[1]["segment"]["filter"] == filter
    alice.put(f"/v4/custom_fields/{field['id']}", {"label": "Firm"})
    conditions[0]["key"] = "firm"
    assert alice.get(url)[1]["segment"]["filter"] == filter
    assert alice.put(url, {"filter": filter})[0] == 200


def test_one_that_is_used_is_not_deleted_by_mistake(alice: Caller) -> None:
    everybody: Condition = {"all": []}
    segment = segments.create(alice.account.pk, {"name": "S", "filter": everybody}, MONDAY_9)
    sources = [{"type": "segment", "ids": [segment.pk]}]
    make_sequence(alice.account, name="Course", exclude_subscriber_sources=sources)
    url = f"/ext/v1/segments/{segment.pk}"
    refused = (
        "The segment is used in the exclusions of the sequence “Course”; with anyway=true it is deleted all the same"
    )
    status, answer = alice.delete(url)
    assert (status, answer["errors"][0].startswith(refused)) == (422, True)
    assert Segment.objects.exists()
    assert alice.delete(f"{url}?anyway=true") == (204, None)


def test_people_are_counted_without_saving_anything(alice: Caller) -> None:
    tag = make_tag(alice.account, make_subscriber(alice.account), name="VIP")
    make_subscriber(alice.account, state="bounced")
    url, filter = "/ext/v1/subscribers/count", {"type": "tags", "ids": [tag.pk]}
    counted = {"count": 1, "sentence": "People who have the tag “VIP”.", "problem": None}
    assert alice.post(url, {"filter": filter}) == (200, counted)
    assert alice.post(url, {"filter": {"not": filter}})[1]["count"] == 1
    assert alice.post(url, {"filter": None})[1]["count"] == alice.post(url, {})[1]["count"] == 2
    assert alice.post(url, {"filter": {"type": "tags"}}) == (422, {"errors": ["filter.ids can't be blank"]})
    opened = alice.post(url, {"filter": {"type": "opens"}})[1]
    assert (opened["count"], opened["problem"]) == (
        0,
        "Nothing is recorded yet about who opened an email, so nobody is found by it.",
    )
    assert not Segment.objects.exists()
