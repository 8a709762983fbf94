"""Templates make sound graphs of any answers, and what they name is used or made with them."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.automations import beginnings, graph, reading, templates, verbs
from dripstone.automations.models import Automation
from dripstone.automations.templates import Question, Template
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields
from dripstone.subscribers.models import CustomField, Tag
from tests import factories
from tests.factories import MONDAY_9, make_sequence, make_tag

pytestmark = pytest.mark.django_db

EACH = pytest.mark.parametrize("template", templates.ALL, ids=lambda one: one.key)


@pytest.fixture
def account() -> Account:
    return factories.make_account(time_zone="Europe/Berlin")


@pytest.fixture
def product(account: Account) -> Product:
    factories.make_purchase(account)
    return Product.objects.get(account=account)


def usual(template: Template, **more: Any) -> dict[str, Any]:
    """What somebody answers who presses the button at once."""
    given = {one.name: one.usual for one in template.questions}
    return {**given, **({"day": "2026-12-01", "day_hour": 10} if "day" in given else {}), **_numbers(template), **more}


def _numbers(template: Template) -> dict[str, int]:
    return {one.name: int(one.usual) for one in template.questions if one.kind == "days"}


def answers(question: Question) -> st.SearchStrategy[Any]:
    """Any that its graph may be asked for."""
    match question.kind:
        case "days":
            found: st.SearchStrategy[Any] = st.integers(question.least, question.most)
        case "instant":
            found = st.just("2026-12-01T10:00:00+01:00")
        case _:
            found = st.integers(1, 9)
    return found | st.none() if question.is_optional else found


@EACH
@hypothesis.given(st.data())
def test_of_any_answers_a_template_makes_a_graph_without_circles_whose_nodes_are_all_reached(
    template: Template, data: st.DataObject
) -> None:
    found = template.graph({one.name: data.draw(answers(one), one.name) for one in template.questions})
    made = graph.from_json(found)
    assert graph.circle(made.nodes) == []
    assert made.ahead(graph.AT_ENTRY) == made.nodes.keys()
    targets = {to for node in made.living for _, to in node.ways}
    assert targets - {None} <= made.nodes.keys()


@EACH
def test_whoever_changes_no_answer_gets_an_automation_that_is_off_and_all_that_it_names(
    account: Account, template: Template
) -> None:
    made = beginnings.create(account, template.key, usual(template), MONDAY_9)
    row = made.automation
    assert (row.name, row.status, row.account_id) == (template.name, Automation.Status.INACTIVE, account.pk)
    published = verbs.published(row)
    assert {node.key for node in published.living}
    there = [one for one in template.questions if one.kind in templates.MADE and one.usual]
    assert made.things == [(one.kind, one.usual) for one in there]
    assert {kind for kind, _ in reading.all_things(published)} == {one.kind for one in there}


@EACH
def test_all_that_is_named_and_there_is_used(account: Account, template: Template, product: Product) -> None:
    for one in template.questions:
        match one.kind:
            case "tag":
                make_tag(account, name=f"My {one.name}")
            case "sequence":
                make_sequence(account, name=f"My {one.name}", repeat=True)
            case "custom_field":
                fields.create(account.pk, {"label": f"My {one.name}"}, MONDAY_9, cause=causes.OWNER)
    given = {one.name: f"my {one.name.upper()}" for one in template.questions if one.kind in templates.MADE}
    products = {one.name: product.pk for one in template.questions if one.kind == "product"}
    made = beginnings.create(account, template.key, usual(template, **given, **products, name="Mine"), MONDAY_9)
    assert (made.automation.name, made.things) == ("Mine", [])
    named = reading.all_things(verbs.published(made.automation))
    if any(one.kind == "product" for one in template.questions):
        assert ("product", product.pk) in named
    assert Sequence.objects.filter(account=account).count() == sum(one.kind == "sequence" for one in template.questions)


@EACH
def test_what_is_not_answered_is_said_and_nothing_is_made(account: Account, template: Template) -> None:
    with pytest.raises(Invalid) as refused:
        beginnings.create(account, template.key, {}, MONDAY_9)
    missing = {member for member, _ in refused.value.problems}
    assert missing == {one.name for one in template.questions if not one.is_optional}
    for model in (Automation, Tag, CustomField, Sequence):
        assert not model._default_manager.filter(account=account).exists()


def test_a_day_and_an_hour_are_of_the_accounts_zone(account: Account) -> None:
    made = beginnings.create(account, "launch", usual(templates.LAUNCH, day="2026-07-01", day_hour=18), MONDAY_9)
    assert made.automation.nodes.get(key="day").settings["at"] == "2026-07-01T18:00:00+02:00"


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "1500-01-01"])
def test_a_day_that_is_none_is_refused(account: Account, day: str) -> None:
    with pytest.raises(Invalid) as refused:
        beginnings.create(account, "launch", usual(templates.LAUNCH, day=day), MONDAY_9)
    assert {member for member, _ in refused.value.problems} == {"day"}


@pytest.mark.parametrize("key", ["win-back", "birthday"])
def test_what_comes_every_year_needs_a_sequence_that_repeats(account: Account, key: str) -> None:
    template = templates.BY_KEY[key]
    question = next(one for one in template.questions if one.repeats)
    make_sequence(account, name="Once")
    with pytest.raises(Invalid) as refused:
        beginnings.create(account, key, usual(template, **{question.name: "once"}), MONDAY_9)
    [(member, sentence)] = refused.value.problems
    assert (member, "let it repeat" in sentence) == (question.name, True)
    assert not Tag.objects.filter(account=account).exists()
    beginnings.create(account, key, usual(template), MONDAY_9)
    assert Sequence.objects.get(account=account, name=question.usual).repeat


def test_things_of_another_account_are_not_used(account: Account, product: Product) -> None:
    mallory = factories.make_account("Mallory")
    tag = make_tag(mallory, name="Course")
    with pytest.raises(Invalid) as refused:
        beginnings.create(mallory, "after-a-course", usual(templates.AFTER_A_COURSE, product=product.pk), MONDAY_9)
    assert refused.value.problems == [("product", f"product: product {product.pk} does not exist")]
    made = beginnings.create(account, "after-a-course", usual(templates.AFTER_A_COURSE), MONDAY_9)
    assert made.automation.entries[0]["tag_id"] not in (None, tag.pk)


def test_there_is_no_other_template(account: Account) -> None:
    with pytest.raises(Invalid):
        beginnings.create(account, "world-domination", {}, MONDAY_9)
