"""A new automation: empty, or from a template that asks what it needs."""

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import templates
from dripstone.automations.models import Automation
from dripstone.sequences.models import Sequence
from tests.factories import make_purchase, make_sequence
from tests.web.reading import text_of

URL = "/automations/new"


def test_it_begins_empty(alice: Client, account: Account) -> None:
    answer = alice.post(URL, {"name": "Mine"})
    made = Automation.objects.get(account=account)
    assert answer.status_code == 302
    assert str(answer["Location"]).startswith(f"/automations/{made.pk}")
    assert (made.name, made.status, made.entries, made.nodes.count()) == ("Mine", "inactive", [], 0)


def test_without_a_name_it_is_refused(alice: Client) -> None:
    answer = alice.post(URL, {"name": " "})
    assert answer.status_code == 422
    assert "Name can't be blank" in text_of(answer).replace("’", "'")
    assert not Automation.objects.exists()


def test_every_template_is_offered(alice: Client) -> None:
    page = alice.get(URL).content.decode()
    for one in templates.ALL:
        assert f'href="{URL}?template={one.key}"' in page


@pytest.mark.parametrize("template", templates.ALL, ids=lambda one: one.key)
def test_a_template_asks_only_what_it_needs(alice: Client, template: templates.Template) -> None:
    page = alice.get(f"{URL}?template={template.key}")
    text = text_of(page)
    for one in template.questions:
        assert one.label in text
    assert len(template.questions) <= 6
    values = page.context["form"].values
    asked = [one for one in template.questions if one.kind != "instant"]
    assert {one.name: values[one.name] for one in asked} == {one.name: one.usual for one in asked}
    assert all(values[one.name] for one in template.questions if one.kind == "instant")


def test_names_that_are_there_are_used_and_what_is_missing_is_made_and_said(alice: Client, account: Account) -> None:
    course = make_sequence(account, {}, name="Write better emails")
    make_purchase(account)
    given = {
        "name": "After it",
        "beginners": "Course",
        "course": "write better emails",
        "product": "",
        "reminder": "Last chance",
        "buyer": "Customer",
    }
    answer = alice.post(f"{URL}?template=after-a-course", given, follow=True)
    made = Automation.objects.get(account=account)
    assert made.nodes.get(key="course").settings["sequence_id"] == course.pk
    assert set(Sequence.objects.filter(account=account).values_list("name", flat=True)) == {course.name, "Last chance"}
    said = text_of(answer)
    assert "It is there, and switched off" in said
    assert "the sequence “Last chance”" in said
    assert "Write better emails" not in said.split("Made for it")[1].split(".")[0]


def test_what_is_wrong_stands_beside_its_question_with_what_was_typed(alice: Client, account: Account) -> None:
    once = make_sequence(account, {}, name="Once")
    given = {"birthday": " ", "days": "many", "letter": once.name, "gift": "Birthday week"}
    answer = alice.post(f"{URL}?template=birthday", given)
    assert answer.status_code == 422
    form = answer.context["form"]
    assert form.problem("birthday") == "Say which"
    assert "integer between 0 and 60" in form.problem("days")
    assert "let it repeat" in form.problem("letter")
    assert form.values["gift"] == "Birthday week"
    assert not Automation.objects.exists()


def test_there_is_no_other_template(alice: Client) -> None:
    assert alice.get(f"{URL}?template=novel").status_code == 404


def test_a_viewer_makes_none(viewer: Client) -> None:
    assert viewer.post(URL, {"name": "Mine"}).status_code == 403
    assert not Automation.objects.exists()
