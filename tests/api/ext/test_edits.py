"""What Kit has no call for: an email on hold, a wait that is skipped, copies."""

from typing import Any

import pytest

from dripstone.engine import virtual
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Tag
from tests import factories
from tests.api.caller import Caller
from tests.api.ext.test_impact import CHANGED, act, ask


@pytest.fixture
def sequence(alice: Caller, clock: Any, settings: Any) -> Sequence:
    """welcome at once, Day 1, Day 3; two people who have had the welcome."""
    settings.DRIPSTONE_MAIL_URL = "memory://edits"
    row = factories.make_sequence(
        alice.account,
        {"subject": "welcome", "delay_value": 0},
        {"subject": "Day 1"},
        {"subject": "Day 3"},
        time_zone="UTC",
    )
    for _ in range(2):
        factories.make_enrollment(row, factories.make_subscriber(alice.account), clock.now())
    virtual.advance_to(clock.now(), alice.account.pk)
    return row


@pytest.fixture
def email(sequence: Sequence) -> SequenceEmail:
    return sequence.emails.get(subject="Day 1")


@pytest.fixture
def path(email: SequenceEmail) -> str:
    return f"/ext/v1/sequences/{email.sequence_id}/emails/{email.pk}"


def test_an_email_is_put_on_hold_and_released(alice: Caller, path: str, clock: Any) -> None:
    now = clock.now()
    for _ in range(2):
        status, answer = alice.post(f"{path}/hold")
        assert status == 200
        assert answer["email"]["held_at"] == "2026-11-23T09:00:00Z"
        assert answer["email"]["held_by"].startswith("API key")
        clock.advance(hours=1)
    virtual.advance_to(clock.now(), 0)
    assert set(Enrollment.objects.values_list("due_at", flat=True)) == {None}
    status, answer = alice.post(f"{path}/release")
    assert (status, answer["email"]["held_at"], answer["email"]["held_by"]) == (200, None, None)
    virtual.advance_to(clock.now(), 0)
    assert {at and (at - now).days for at in Enrollment.objects.values_list("due_at", flat=True)} == {1}


def test_kits_shape_does_not_show_it(alice: Caller, path: str, email: SequenceEmail) -> None:
    alice.post(f"{path}/hold")
    _, answer = alice.get(f"/v4/sequences/{email.sequence_id}/emails/{email.pk}")
    assert answer["email"].keys().isdisjoint({"held_at", "held_by", "released_at"})
    place = Enrollment.objects.earliest("pk")
    _, answer = alice.get(f"/ext/v1/enrollments/{place.pk}/journey")
    assert [step["held_at"] for step in answer["journey"]["emails"]] == [None, "2026-11-23T09:00:00Z", None]


def test_the_wait_is_skipped(alice: Caller, path: str, clock: Any) -> None:
    assert alice.post(f"{path}/skip_wait") == (202, {})
    virtual.advance_to(clock.now(), 0)
    assert set(Enrollment.objects.values_list("next_email__subject", flat=True)) == {"Day 3"}
    alice.post(f"{path}/hold")
    assert alice.post(f"{path}/skip_wait") == (422, {"errors": ["This email is on hold: release it first"]})


@pytest.mark.parametrize(
    ("verb", "summary"),
    [("hold", "2 people wait without a date."), ("skip_wait", "2 people get “Day 1” right away.")],
)
def test_what_it_would_do_is_told_and_holds_for_that_world_alone(
    alice: Caller, sequence: Sequence, path: str, verb: str, summary: str
) -> None:
    status, answer = ask(alice, sequence, "POST", f"{path}/{verb}")
    assert (status, answer["impact"]["summary"]) == (200, summary)
    token = answer["impact"]["token"]
    sequence.emails.filter(subject="Day 3").update(delay_value=4)
    assert act(alice, "POST", f"{path}/{verb}", None, token) == CHANGED
    _, answer = ask(alice, sequence, "POST", f"{path}/{verb}")
    assert act(alice, "POST", f"{path}/{verb}", None, answer["impact"]["token"])[0] in (200, 202)


def test_what_a_release_would_do_is_told(alice: Caller, sequence: Sequence, path: str, clock: Any) -> None:
    alice.post(f"{path}/hold")
    virtual.advance_to(clock.now(), 0)
    _, answer = ask(alice, sequence, "POST", f"{path}/hold")
    assert answer["impact"]["unchanged"] == 2  # it is on hold already
    clock.advance(hours=25)
    _, answer = ask(alice, sequence, "POST", f"{path}/release")
    assert answer["impact"]["moved"]["after"] == [{"date": "2026-11-25", "people": 2}]
    assert answer["impact"]["examples"][0]["why"] == ("“Day 1” was on hold; now it goes on 2026-11-25 at 09:00 (UTC).")


def test_an_email_is_duplicated(alice: Caller, path: str, email: SequenceEmail) -> None:
    status, answer = alice.post(f"{path}/duplicate")
    assert status == 201
    copy = answer["email"]
    assert (copy["subject"], copy["position"], copy["published"]) == ("Day 1", 2, False)
    assert copy["id"] != email.pk


def test_a_sequence_is_duplicated(alice: Caller, sequence: Sequence) -> None:
    status, answer = alice.post(f"/ext/v1/sequences/{sequence.pk}/duplicate")
    assert status == 201
    copy = answer["sequence"]
    assert (copy["name"], copy["email_count"], copy["subscriber_count"]) == ("Course (copy)", 3, 0)
    _, answer = alice.get(f"/v4/sequences/{copy['id']}/emails")
    assert [email["published"] for email in answer["emails"]] == [False, False, False]


# Only to some people (R21)


def tagged(*tags: Tag) -> dict[str, Any]:
    return {"type": "tags", "ids": [tag.pk for tag in tags]}


def test_an_email_goes_only_to_some_people(alice: Caller, path: str, email: SequenceEmail, clock: Any) -> None:
    customer = factories.make_tag(alice.account, Enrollment.objects.earliest("pk").subscriber)
    condition = {"all": [tagged(customer), {"not": {"type": "subscriber_state", "states": ["bounced"]}}]}
    status, answer = alice.put(f"{path}/filter", {"filter": condition})
    assert (status, answer["email"]["filter"]) == (200, condition)
    assert alice.get(path) == (200, answer)
    clock.advance(days=1)
    virtual.advance_to(clock.now(), 0)
    _, found = alice.get(f"/ext/v1/deliveries?email_id={email.pk}&status=skipped")
    [skipped] = found["deliveries"]
    assert skipped["reason"] == "filtered"
    assert skipped["reason_text"] == "It goes only to some people, and they are not among them."
    _, found = alice.get(f"/ext/v1/enrollments/{Enrollment.objects.latest('pk').pk}/journey")
    assert "It goes only to people who " in found["journey"]["emails"][1]["reason_text"]
    status, answer = alice.put(f"{path}/filter", {"filter": None})
    assert (status, answer["email"]["filter"]) == (200, None)


def test_kits_calls_neither_show_a_filter_nor_touch_it(alice: Caller, path: str, email: SequenceEmail) -> None:
    condition = tagged(factories.make_tag(alice.account))
    alice.put(f"{path}/filter", {"filter": condition})
    kits = f"/v4/sequences/{email.sequence_id}/emails/{email.pk}"
    given = {"subject": "Day one", "delay_value": 3, "filter": None}
    for _, answer in (alice.get(kits), alice.put(kits, given)):
        assert "filter" not in answer["email"]
    assert SequenceEmail.objects.get(pk=email.pk).filter == condition


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "filter can't be left out: give a condition, or null for everybody"),
        ({"filter": "VIP"}, "filter must be an object"),
        ({"filter": {"all": [{"type": "tags"}]}}, "filter.all[0].ids can't be blank"),
        ({"filter": {"match": "all", "conditions": []}}, "filter must have one of: all, any, not, type"),
    ],
)
def test_a_filter_that_cannot_be_asked_is_refused(
    alice: Caller, path: str, email: SequenceEmail, given: dict[str, Any], sentence: str
) -> None:
    assert alice.put(f"{path}/filter", given) == (422, {"errors": [sentence]})
    assert SequenceEmail.objects.get(pk=email.pk).filter is None


def test_a_filter_names_what_the_account_has(alice: Caller, mallory: Caller, path: str) -> None:
    theirs = factories.make_tag(mallory.account)
    status, answer = alice.put(f"{path}/filter", {"filter": {"not": tagged(theirs)}})
    assert (status, answer) == (422, {"errors": [f"filter.not.ids contains the unknown tag {theirs.pk}"]})


def test_who_will_skip_it_is_told_and_holds_for_that_world_and_that_filter(
    alice: Caller, sequence: Sequence, path: str
) -> None:
    first, second = (factories.make_tag(alice.account) for _ in range(2))
    given = {"filter": tagged(first)}
    status, answer = ask(alice, sequence, "PUT", f"{path}/filter", given)
    told = answer["impact"]
    assert (status, told["kept_from"], told["let_through"], told["moved"]["people"]) == (200, 2, 0, 0)
    assert told["summary"].startswith("2 people skip “Day 1” when its turn comes (it goes only to people who have ")
    assert act(alice, "PUT", f"{path}/filter", {"filter": tagged(second)}, told["token"])[0] == 412
    assert act(alice, "PUT", f"{path}/filter", given, told["token"])[0] == 200
    assert act(alice, "PUT", f"{path}/filter", {"filter": None}, told["token"]) == CHANGED
