"""What is said beside the editor about an email before it goes."""

from typing import TYPE_CHECKING, Any

import pytest

from dripstone.content.models import Snippet
from dripstone.engine.acts.previews import CLIPPED_AT
from dripstone.explain import proof
from dripstone.explain.findings import ERROR, NOTICE, WARNING
from dripstone.explain.proof import Check, Proof
from dripstone.subscribers.models import CustomField
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

pytestmark = pytest.mark.django_db


def read(account: "Account", content: str = "", size: int | None = 9_000, problems: Any = (), **parts: Any) -> Proof:
    email = make_sequence(account, {"content": content, **parts}).emails.get()
    return proof.read(email, problems, size)


def test_a_sound_email_has_passed_everything(alice: "Account") -> None:
    found = read(alice, '<p>Hello {{ subscriber.first_name | default: "you" }}</p>')
    assert found.checks == []
    assert found.passed == [
        *("Liquid", "fields and snippets", "pictures", "links", "unsubscribe link", "postal address", "9 KB of 100 KB"),
    ]


def test_it_counts_the_people_inside_whose_field_is_empty(alice: "Account") -> None:
    city = CustomField.objects.create(account=alice, key="city", label="City", created_at=MONDAY_9)
    sequence = make_sequence(alice, {"content": "In {{ subscriber.city }}, {{ subscriber.first_name }}"})
    for name, place in (("Ann", "Rome"), ("Bob", ""), (None, None)):
        person = make_subscriber(alice, first_name=name, fields={str(city.pk): place} if place is not None else {})
        make_enrollment(sequence, person, MONDAY_9)
    found = proof.read(sequence.emails.get(), (), None).checks
    sentence = "is empty for {} of 3 people inside, and has no fallback."
    assert found == [
        Check(WARNING, "city", sentence.format(2), "content", "{{ subscriber.city }}"),
        Check(WARNING, "first name", sentence.format(1), "content", "{{ subscriber.first_name }}"),
    ]


def test_words_that_came_with_a_starter_are_named_until_they_are_replaced(alice: "Account") -> None:
    found = read(alice, "<p>[Anne] is [your name]. [your name]</p>", size=None)
    assert found.checks == [
        Check(WARNING, "[your name]", "came with the starter, for you to replace.", "content", "[your name]")
    ]


def test_a_field_that_everybody_has_is_only_worth_knowing(alice: "Account") -> None:
    sequence = make_sequence(alice, {"subject": "{{ subscriber.first_name }}!", "content": ""})
    make_enrollment(sequence, make_subscriber(alice, first_name="Ann"), MONDAY_9)
    (check,) = proof.read(sequence.emails.get(), (), None).checks
    assert check.severity == NOTICE
    assert check.sentence == "has no fallback. The one person inside has one today."


def test_too_many_people_are_not_counted_and_it_says_so(alice: "Account", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "MOST_COUNTED", 0)
    sequence = make_sequence(alice, {"subject": "{{ subscriber.first_name }}!", "content": ""})
    make_enrollment(sequence, make_subscriber(alice, first_name="Ann"), MONDAY_9)
    (check,) = proof.read(sequence.emails.get(), (), None).checks
    assert check.sentence == "has no fallback. How many of 1 person lack it is not counted here."


def test_it_names_what_does_not_exist_and_where_it_stands(alice: "Account") -> None:
    Snippet.objects.create(
        account=alice, name="Foot", key="foot", snippet_type="inline", content="{{ subscriber.town }}",
        created_at=MONDAY_9, updated_at=MONDAY_9,
    )  # fmt: skip
    found = read(alice, "{{ snippet.foot }} {{ snippet.nothing }}").checks
    assert [(one.about, one.place, one.find) for one in found] == [
        ("nothing", "content", "{{ snippet.nothing }}"),
        ("town", "snippet foot", "{{ subscriber.town }}"),
    ]
    assert found[1].sentence == "is no field of yours; nothing stands in its place. It stands in the snippet foot."


def test_broken_liquid_comes_first_and_points_at_the_tag(alice: "Account") -> None:
    problem = ("content", "Invalid Liquid in content: unknown filter upcse, line 1")
    found = read(alice, '<img src="https://e.example/a.png">{{ x | upcse }}', problems=[problem]).checks
    assert [one.severity for one in found] == [ERROR, WARNING]
    assert found[0].find == "{{ x | upcse }}"
    assert found[0].sentence == "unknown filter upcse, line 1."


def test_it_warns_of_a_mail_that_gmail_would_cut(alice: "Account") -> None:
    assert read(alice, size=CLIPPED_AT + 1).checks[0].severity == WARNING
    assert read(alice, size=CLIPPED_AT - 1).checks[0].severity == NOTICE
    assert read(alice, size=1000).checks == []


def test_it_asks_for_a_postal_address(alice: "Account") -> None:
    alice.postal_address = " "
    alice.save()
    assert read(alice).checks[0].place == "account"
