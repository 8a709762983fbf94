"""Templates on pages: made from the built-in one, the default, asked about, deleted with another in their place."""

from datetime import datetime

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.content import templates
from dripstone.content.models import EmailTemplate
from tests.factories import make_email, make_enrollment, make_sequence, make_subscriber
from tests.web.reading import hidden_members

HTML = "<p>{{ message_content }}</p>{{ address }}"


def make_template(account: Account, now: datetime, name: str = "Letterhead", **given: object) -> EmailTemplate:
    return templates.create(account.pk, {"name": name, "html": HTML} | given, now)


@pytest.fixture
def template(account: Account, now: datetime) -> EmailTemplate:
    return make_template(account, now)


def typed(template: EmailTemplate, html: str, **more: str) -> dict[str, str]:
    return {"name": template.name, "html": html, "version": str(template.version)} | more


def waiting(account: Account, **values: object) -> None:
    make_enrollment(make_sequence(account, {"subject": "Caves"}, name="Course", **values), make_subscriber(account))


def test_one_is_made_from_the_built_in_one(alice: Client, account: Account) -> None:
    page = alice.get("/templates/new").content.decode()
    assert "{{ message_content }}" in page
    alice.post("/templates/new", {"name": "Mine", "html": HTML})
    assert account.email_templates.get().html == HTML
    answer = alice.post("/templates/new", {"name": "Mine", "html": "<p>nothing</p>"})
    assert answer.status_code == 422 and "must contain {{ message_content }}" in answer.content.decode()


def test_one_without_an_address_says_where_it_will_stand(alice: Client) -> None:
    page = alice.post("/templates/new", {"name": "Mine", "html": "{{ message_content }}"}, follow=True)
    assert "the postal address will stand at the end" in page.content.decode()


def test_a_change_that_reaches_people_is_asked_about(alice: Client, account: Account, template: EmailTemplate) -> None:
    waiting(account, email_template=template)
    question = alice.post(f"/templates/{template.pk}", typed(template, HTML + "!"))
    assert "Change “Letterhead” in 1 published email?" in question.content.decode()
    seen = hidden_members(question)["seen"][0]
    alice.post(f"/templates/{template.pk}", typed(template, HTML + "!", seen=seen))
    template.refresh_from_db()
    assert (template.html, template.version) == (HTML + "!", 2)


def test_of_two_who_write_nobody_loses_words(alice: Client, template: EmailTemplate) -> None:
    mine = typed(template, HTML + "mine")
    alice.post(f"/templates/{template.pk}", typed(template, HTML + "theirs"))
    answer = alice.post(f"/templates/{template.pk}", mine)
    assert answer.status_code == 409 and "theirs</textarea>" in answer.content.decode()


def test_the_default_is_for_emails_without_one(alice: Client, account: Account, template: EmailTemplate) -> None:
    assert "built-in template: 1 email at present" not in alice.get("/templates").content.decode()
    waiting(account)
    assert "built-in template: 1 email at present" in alice.get("/templates").content.decode()
    question = alice.post(f"/templates/{template.pk}/default", {"is_default": "true"})
    assert "Make “Letterhead” the default?" in question.content.decode()
    seen = hidden_members(question)["seen"][0]
    alice.post(f"/templates/{template.pk}/default", {"is_default": "true", "seen": seen})
    template.refresh_from_db()
    assert template.is_default
    page = alice.get(f"/templates/{template.pk}").content.decode()
    assert "1 published email has it; 1 person is still to get it." in page and "Go without a default" in page


def test_it_is_the_default_at_once_when_that_reaches_nobody(alice: Client, template: EmailTemplate) -> None:
    for value in ("true", "false"):
        alice.post(f"/templates/{template.pk}/default", {"is_default": value})
        template.refresh_from_db()
        assert template.is_default == (value == "true")


def test_it_is_deleted_with_another_in_its_place(
    alice: Client, account: Account, template: EmailTemplate, now: datetime
) -> None:
    other = make_template(account, now, "Other")
    sequence = make_sequence(account, email_template=template, name="Course")
    email = make_email(sequence, position=0, email_template=template, subject="Caves")
    question = alice.get(f"/templates/{template.pk}/deletion")
    page = question.content.decode()
    assert "In 1 sequence and 1 email that have chosen it" in page and "Course" in page and "Other" in page
    given = {"seen": hidden_members(question)["seen"][0], "replacement_id": str(other.pk)}
    alice.post(f"/templates/{template.pk}/deletion", given)
    sequence.refresh_from_db()
    email.refresh_from_db()
    assert sequence.email_template_id == email.email_template_id == other.pk
    assert not EmailTemplate.objects.filter(pk=template.pk).exists()


def test_a_replacement_that_is_gone_is_said(alice: Client, account: Account, template: EmailTemplate) -> None:
    make_sequence(account, email_template=template)
    seen = hidden_members(alice.get(f"/templates/{template.pk}/deletion"))["seen"][0]
    for wrong in ("999999", str(template.pk), "x"):
        answer = alice.post(f"/templates/{template.pk}/deletion", {"seen": seen, "replacement_id": wrong})
        assert answer.status_code == 409 and EmailTemplate.objects.filter(pk=template.pk).exists()


def test_every_text_is_kept_and_can_come_back(alice: Client, template: EmailTemplate) -> None:
    alice.post(f"/templates/{template.pk}", typed(template, HTML + "<hr>"))
    page = alice.get(f"/templates/{template.pk}/versions").content.decode()
    assert "Version 2" in page and "<ins>" in page
    assert "<hr>" not in alice.get(f"/templates/{template.pk}/preview?version=1").content.decode()
    alice.post(f"/templates/{template.pk}/versions/1/restoration")
    template.refresh_from_db()
    assert template.html == HTML


def test_a_letter_is_shown_in_what_is_typed(alice: Client, template: EmailTemplate) -> None:
    answer = alice.post(f"/templates/{template.pk}/preview", {"html": "<h6>Top</h6>{{ message_content }}"})
    page = answer.content.decode()
    assert "Top" in page and "Three things about limestone" in page and "sandbox" in answer["Content-Security-Policy"]
    assert "must contain" in alice.post(f"/templates/{template.pk}/preview", {"html": "x"}).content.decode()
    assert "Three things" in alice.get(f"/templates/{template.pk}/preview").content.decode()
