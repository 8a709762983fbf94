"""The page behind the link of a confirmation."""

from datetime import timedelta
from string import Formatter
from typing import Any

import pytest
from django.test import Client

from dripstone import clock, signing
from dripstone.accounts.models import Account
from dripstone.engine import identity, notices, transitions
from dripstone.engine.acts import forget
from dripstone.engine.acts import sign_ups as acts
from dripstone.engine.models import Enrollment
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, SignUp, Subscriber
from dripstone.subscribers.sign_ups import Asked
from dripstone.web.public import sayings
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber

DAY = timedelta(days=1)


@pytest.fixture
def bob(account: Account) -> Subscriber:
    """He is asked to confirm, by the API."""
    person = make_subscriber(account, email_address="bob@example.org", state="inactive")
    make_enrollment(make_sequence(account, {"delay_value": 2}), person)
    notices.confirmation(person.pk, clock.now())
    return person


@pytest.fixture
def form(account: Account) -> Form:
    return forms.create(account.pk, {"name": "Footer", "confirmed_text": "Willkommen <b>"}, MONDAY_9)


def path(row: SignUp | None = None) -> str:
    return f"/c/{signing.make('sign-up', (row or SignUp.objects.latest('pk')).pk)}"


def sign_up(form: Form) -> str:
    """Bob does, now. The path of the link in his mail."""
    acts.ask(form, Asked("bob@example.org"), clock.now())
    return path()


def state() -> str:
    return Subscriber.objects.get().state


def test_it_asks_first_and_changes_nothing(client: Client, bob: Subscriber) -> None:
    for ask in (client.get, client.head):
        page = ask(path()).content.decode()
        assert state() == "inactive"
    page = client.get(path()).content.decode()
    assert "b•••@example.org" in page and "One click to go" in page


@pytest.mark.parametrize(("language", "words"), [("de-AT", "Nur noch ein Klick"), ("fr", "Plus qu’un clic")])
def test_it_speaks_the_language_of_the_accounts_emails(
    client: Client, bob: Subscriber, account: Account, language: str, words: str
) -> None:
    Account.objects.update(language=language)
    page = client.get(path()).content.decode()
    assert words in page
    assert f'<html lang="{language[:2]}"' in page


def test_words_without_a_translation_are_english_and_the_owners_keep_their_language(
    client: Client, form: Form, account: Account
) -> None:
    Account.objects.update(language="fa")
    link = sign_up(form)
    page = client.post(link, follow=True).content.decode()
    assert '<html lang="en"' in page and "You are subscribed" in page
    assert '<div lang="fa"><p>Willkommen' in page


@pytest.mark.parametrize("language", sayings.CONFIRM)
def test_each_language_has_every_sentence(language: str) -> None:
    english = sayings.CONFIRM["en"]
    assert sayings.CONFIRM[language].keys() == english.keys()
    for name, text in sayings.CONFIRM[language].items():
        assert [part[1] for part in Formatter().parse(text) if part[1]] == sorted_as(text, english[name])


def sorted_as(text: str, english: str) -> list[str]:
    """The blanks of the English sentence, in the order of this one."""
    names = [part[1] for part in Formatter().parse(english) if part[1]]
    return sorted(names, key=lambda name: text.index(f"{{{name}}}"))


def test_it_confirms_on_a_post_without_cookies_and_starts_their_sequences(bob: Subscriber) -> None:
    answer = Client(enforce_csrf_checks=True).post(path(), follow=True)
    assert "You are subscribed" in answer.content.decode()
    assert state() == "active"
    place = Enrollment.objects.get(subscriber=bob)
    assert place.status == "active"
    assert place.due_at is not None


def test_it_may_be_pressed_twice(client: Client, bob: Subscriber) -> None:
    client.post(path())
    assert "You are subscribed" in client.post(path(), follow=True).content.decode()
    assert "You are subscribed" in client.get(path()).content.decode()


@pytest.mark.parametrize("leave", [transitions.cancel, transitions.complain])
def test_it_does_not_bring_back_who_left(client: Client, bob: Subscriber, leave: Any) -> None:
    leave(bob.pk, clock.now())
    assert "Not subscribed" in client.post(path(), follow=True).content.decode()
    assert state() in ("cancelled", "complained")


def test_who_left_after_the_click_is_told_so(client: Client, bob: Subscriber) -> None:
    client.post(path())
    transitions.cancel(bob.pk, clock.now())
    assert "Not subscribed" in client.post(path(), follow=True).content.decode()
    assert state() == "cancelled"


def test_the_owner_says_what_is_read_afterwards(client: Client, form: Form) -> None:
    link = sign_up(form)
    page = client.post(link, follow=True).content.decode()
    assert "You are subscribed" in page and "Willkommen &lt;b&gt;" in page


def test_it_may_lead_to_a_page_of_the_owner(client: Client, form: Form) -> None:
    forms.update(form, {"confirmed_url": "https://caves.example/in"}, sequence_ids=())
    link = sign_up(form)
    assert "form-action 'self' https: http:" in client.get(link)["Content-Security-Policy"]
    for _ in range(2):
        answer = client.post(link)
        assert (answer.status_code, answer["Location"]) == (302, "https://caves.example/in")
        assert answer["Referrer-Policy"] == "no-referrer"


def test_a_link_that_lapsed_says_what_to_do(client: Client, form: Form) -> None:
    link = sign_up(form)
    SignUp.objects.update(asked_at=clock.now() - 31 * DAY)
    assert "This link has lapsed" in client.post(link, follow=True).content.decode()
    assert state() == "inactive"


def test_a_link_to_an_address_they_had_says_what_to_do(client: Client, form: Form) -> None:
    link = sign_up(form)
    Subscriber.objects.update(email_address="new@example.org")
    page = client.post(link, follow=True).content.decode()
    assert "This link has lapsed" in page and "new@" not in page and "n•••" not in page
    assert state() == "inactive"


def test_an_older_link_points_to_the_newer_mail(client: Client, form: Form) -> None:
    older = sign_up(form)
    SignUp.objects.update(asked_at=clock.now() - DAY)
    newer = sign_up(form)
    assert "There is a newer mail" in client.post(older, follow=True).content.decode()
    assert state() == "inactive"
    client.post(newer)
    assert "You are subscribed" in client.get(older).content.decode()


def test_it_is_kind_about_a_broken_link(client: Client, bob: Subscriber) -> None:
    row = SignUp.objects.get()
    for token in ("abc", signing.make("unsubscribe", row.pk)):
        answer = client.post(f"/c/{token}")
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_it_is_kind_to_somebody_who_was_deleted(client: Client, account: Account, bob: Subscriber, method: str) -> None:
    links = [path(), old_path(bob)]
    forget.forget(account, bob.pk, "owner", MONDAY_9)
    for link in links:
        answer = getattr(client, method)(link)
        assert answer.status_code == 404
        assert "You are not on this list" in answer.content.decode()


def test_a_link_of_an_example_confirms_nothing(client: Client, db: None) -> None:
    page = client.post(f"/c/{identity.EXAMPLE}").content.decode()
    assert "Nothing is confirmed" in page


# --- Links of the version before, which name the person ---------------------------------------------------------------


def old_path(person: Subscriber) -> str:
    return f"/c/{signing.make('confirm', person.pk)}"


def test_an_old_link_goes_on_working(client: Client, bob: Subscriber) -> None:
    assert "One click to go" in client.get(old_path(bob)).content.decode()
    assert state() == "inactive"
    assert "You are subscribed" in client.post(old_path(bob), follow=True).content.decode()
    assert state() == "active"


def test_an_old_link_to_an_address_they_had_confirms_nothing(client: Client, bob: Subscriber) -> None:
    Subscriber.objects.update(email_address="new@example.org")
    assert client.post(old_path(bob)).status_code == 404
    notices.confirmation(bob.pk, clock.now() + DAY)
    assert client.post(old_path(bob)).status_code == 404
    assert state() == "inactive"


def test_an_old_link_brings_nobody_back(client: Client, bob: Subscriber) -> None:
    transitions.cancel(bob.pk, clock.now())
    assert "Not subscribed" in client.post(old_path(bob), follow=True).content.decode()
    assert state() == "cancelled"
