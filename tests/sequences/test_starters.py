"""What a new sequence begins with: drafts that are fit to be published as they are, or after they were rewritten."""

from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.content import liquid
from dripstone.engine.acts import beginnings, previews
from dripstone.errors import Invalid
from dripstone.explain import health
from dripstone.given import FromText
from dripstone.sequences import starters, warnings
from dripstone.sequences.models import Sequence
from dripstone.sequences.starters import STARTERS, Starter
from dripstone.subscribers.models import Subscriber
from tests.factories import MONDAY_9, make_account

pytestmark = pytest.mark.django_db


def make(account: Account, starter: str, **given: str) -> Sequence:
    return beginnings.create_sequence(account, starter, FromText({"name": "Mine", **given}), MONDAY_9).sequence


@pytest.mark.parametrize("starter", STARTERS, ids=lambda one: one.key)
def test_it_makes_drafts_that_nobody_gets_in_which_only_the_owners_words_are_missing(starter: Starter) -> None:
    sequence = make(make_account(), starter.key)
    emails = list(sequence.emails.order_by("position"))
    assert [email.published for email in emails] == [False] * len(starter.letters)
    assert [warnings.of_email(email) for email in emails] == [[]] * len(emails)
    sequence.emails.update(published=True)
    row = Sequence.objects.select_related("account", "sending_address", "email_template").get(pk=sequence.pk)
    [found] = health.of([row], MONDAY_9, MONDAY_9)
    about_emails = {one.code for one in found.findings if one.email_id is not None}
    assert about_emails == ({"words_to_replace"} if emails else set())


@pytest.mark.parametrize("first_name", [None, "Ana"])
def test_letters_read_well_to_people_with_a_name_and_without_one(first_name: str | None) -> None:
    account = make_account()
    person = Subscriber.objects.create(
        account=account, email_address="a@example.org", first_name=first_name, created_at=MONDAY_9, updated_at=MONDAY_9
    )
    for starter in STARTERS:
        sequence = make(account, starter.key)
        for email in sequence.emails.all():
            made = previews.of(sequence, email.pk, {"subscriber_id": person.pk}, MONDAY_9)
            assert made.warnings == []
            assert "  " not in made.rendered.subject
            assert " ," not in made.rendered.text
            assert liquid.variables(email.content or "").unknown == set()


def test_the_evergreen_letter_keeps_its_people_and_goes_once_a_week() -> None:
    sequence = make(make_account(), "evergreen")
    assert (sequence.hold, sequence.send_days) == (True, [1])
    assert list(sequence.emails.order_by("position").values_list("delay_value", flat=True)) == [0, 7, 7, 7]


def test_what_is_given_goes_before_what_the_starter_says() -> None:
    assert make(make_account(), "evergreen", hold="false").hold is False


@pytest.mark.parametrize(("starter", "name", "member"), [("novel", "Mine", "starter"), ("course", " ", "name")])
def test_it_refuses_what_it_does_not_know_and_makes_nothing(starter: str, name: str, member: str) -> None:
    with pytest.raises(Invalid) as refused:
        make(make_account(), starter, name=name)
    assert [problem[0] for problem in refused.value.problems] == [member]
    assert not Sequence.objects.exists()


def test_a_letter_that_could_not_be_saved_leaves_no_sequence_behind(monkeypatch: Any) -> None:
    broken = starters.Letter("course-1-welcome", "{{ broken", "", 0)
    monkeypatch.setattr(starters, "STARTERS", (Starter("course", "A", "B", (broken,)),))
    with pytest.raises(Invalid):
        make(make_account(), "course")
    assert not Sequence.objects.exists()
