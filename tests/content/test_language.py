"""The language and direction of emails, as the account says them."""

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import letters
from tests.content.test_compile import rendered
from tests.factories import MONDAY_9, make_account, make_sequence

DOCUMENT = "<html><head></head><body>{{ message_content }}</body></html>"


@pytest.mark.parametrize("template", [None, DOCUMENT, "<p>{{ message_content }}</p>"])
def test_an_email_says_its_language_and_direction(template: str | None) -> None:
    page = rendered(content="<p>سلام</p>", template_html=template, language="fa", direction="rtl").html
    root = page[page.index("<html") :].partition(">")[0]
    assert 'lang="fa"' in root
    assert 'dir="rtl"' in root
    assert page.count("<html") == 1


def test_what_an_email_says_itself_stands() -> None:
    template = DOCUMENT.replace("<html>", '<html lang="de">')
    page = rendered(content="<p>Hallo</p>", template_html=template, language="fa", direction="rtl").html
    assert 'lang="de"' in page
    assert 'lang="fa"' not in page
    assert 'dir="rtl"' in page


def test_without_either_nothing_is_added() -> None:
    page = rendered(content="<p>Hi</p>").html
    assert "lang=" not in page
    assert "dir=" not in page


def test_the_built_in_layout_is_mirrored() -> None:
    page = rendered(content="<ul><li>یک</li></ul>", direction="rtl").html
    assert "text-align: right" in page
    assert "text-align: left" not in page
    assert "padding-left" not in page


def test_liquid_in_the_template_stays_liquid() -> None:
    template = '{% if subscriber.first_name %}<html><body dir="ltr">{{ message_content }}</body></html>{% endif %}'
    page = rendered(content="<p>{{ subscriber.first_name }}</p>", template_html=template, language="fa").html
    assert "<p>Bob</p>" in page
    assert '<html lang="fa">' in page


@pytest.mark.django_db
def test_an_accounts_emails_are_written_in_its_language() -> None:
    account: Account = make_account(language="fa", direction="rtl")
    email = make_sequence(account, {}).emails.get()
    letter = letters.of_email(email, MONDAY_9)
    assert letter is not None
    assert (letter.compiled.source.language, letter.compiled.source.direction) == ("fa", "rtl")
