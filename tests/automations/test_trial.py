"""A test run: an imagined person walks through as anybody would, and nothing of it stays."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model

from dripstone.accounts.models import Account
from dripstone.automations import beginnings, graph, kinds, run, switching, templates, trial, verbs
from dripstone.automations.graph import Graph
from dripstone.automations.imagining import CONFIRMS, UNSUBSCRIBES, Imagined
from dripstone.automations.models import Automation, Node, Step, Walk
from dripstone.automations.trial import Called, Did, Happened, Life, Mailed, Planned, Told, Walked
from dripstone.calls.models import Call
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.purchases.models import Product, Purchase
from dripstone.rules import verbs as rules
from dripstone.rules.models import Firing, Rule
from dripstone.sequences.models import Sequence
from dripstone.subscribers import tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag, Tagging
from tests import factories
from tests.factories import MONDAY_9, make_purchase, make_sequence, make_tag

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def account() -> Account:
    return factories.make_account(time_zone="UTC")


def make(account: Account, *nodes: dict[str, Any], entries: Iterable[dict[str, Any]] = ()) -> Automation:
    """Each leads to the next, unless it says where."""
    linked = []
    for place, node in enumerate(nodes):
        following = nodes[place + 1]["id"] if place + 1 < len(nodes) else None
        has_exits = node["kind"] in (kinds.CONDITION, kinds.SPLIT, kinds.UNSUBSCRIBE)
        linked.append(node if has_exits else {"next": following, **node})
    start = nodes[0]["id"] if nodes else None
    return verbs.create(account, {"name": "Try", "entries": list(entries), "start": start, "nodes": linked}, MONDAY_9)


def live(automation: Automation, person: Imagined | None = None, **more: Any) -> Life:
    """As it was: its rows are gone."""
    at: dict[str, Any] = {"begins_at": MONDAY_9, **more}
    with trial.lived(automation, verbs.published(automation), person or Imagined(), **at) as life:
        return life


def of(kind: type[Happened], life: Life) -> list[Any]:
    return [one for one in life.happened if isinstance(one, kind)]


def way(life: Life) -> list[tuple[str, str]]:
    """Node and what became of it."""
    return [(one["node"], one["what"]) for walked in of(Walked, life) for one in walked.step.path]


def mails(life: Life) -> list[tuple[str, datetime, str]]:
    return [(one.email.subject, one.at, one.why_not) for one in of(Mailed, life)]


TABLES: tuple[type[Model], ...] = (
    Automation, Node, Walk, Step, Subscriber, Tagging, Enrollment, Delivery, Event, Call, Purchase, Firing,
)  # fmt: skip


def everything() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in TABLES}


def test_waits_and_emails_come_at_their_instants_and_nothing_stays(account: Account) -> None:
    sequence = make_sequence(account, {"subject": "one", "delay_value": 0}, {"subject": "two", "delay_value": 2,
                             "delay_unit": "hours"})  # fmt: skip
    tag = make_tag(account)
    automation = make(
        account,
        {"id": "course", "kind": "sequence", "sequence_id": sequence.pk},
        {"id": "pause", "kind": "wait", "for": {"days": 3}},
        {"id": "done", "kind": "tag", "tag_id": tag.pk},
    )
    before = everything()
    life = live(automation)
    assert mails(life) == [("one", MONDAY_9, ""), ("two", MONDAY_9 + timedelta(hours=2), "")]
    done = MONDAY_9 + timedelta(days=3, hours=2)
    assert [one.at for one in of(Walked, life)][-1] == done
    assert ("done", "acted") in way(life)
    assert (life.stands, life.cut) == (None, "")
    assert everything() == before
    automation.refresh_from_db()
    assert (automation.status, automation.n_entered) == ("inactive", 0)


def test_a_draft_is_tried_while_another_graph_is_published(account: Account) -> None:
    tag = make_tag(account)
    automation = make(account, {"id": "pause", "kind": "wait", "for": {"days": 1}})
    draft = {"entries": [], "start": "mark", "nodes": [{"id": "mark", "kind": "tag", "tag_id": tag.pk, "next": None}]}
    automation = verbs.save_draft(automation, draft, MONDAY_9)
    found = verbs.draft_of(automation)
    assert found is not None
    with trial.lived(automation, found, Imagined(), begins_at=MONDAY_9) as life:
        assert way(life)[0] == ("mark", "acted")
    assert way(live(automation))[0] == ("pause", "waits")


def test_an_entry_is_brought_about_and_lets_them_in(account: Account) -> None:
    tag, other = make_tag(account), make_tag(account, name="Other")
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": tag.pk}]
    automation = make(account, {"id": "mark", "kind": "tag", "tag_id": other.pk}, entries=entries)
    life = live(automation, entry="a")
    assert [one.what["trigger"] for one in of(Did, life)] == ["tag_added"]
    [entered, *_] = of(Walked, life)
    assert (entered.step.what, entered.step.cause) == (Step.What.ENTERED, ["owner"])


def test_who_has_what_the_entry_brings_gets_it_all_the_same(account: Account) -> None:
    tag = make_tag(account)
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": tag.pk}]
    automation = make(account, {"id": "pause", "kind": "wait", "for": {"days": 1}}, entries=entries)
    assert len(way(live(automation, Imagined(tag_ids=frozenset({tag.pk})), entry="a"))) > 1


def bought(account: Account) -> tuple[Automation, Product]:
    make_purchase(account)
    product = Product.objects.get(account=account)
    tag = make_tag(account, name="Buyer")
    course = make_sequence(account, {"subject": "one", "delay_value": 1}, {"subject": "two", "delay_value": 5})
    automation = make(
        account,
        {"id": "course", "kind": "sequence", "sequence_id": course.pk},
        {"id": "buys", "kind": "event", "trigger": "purchased", "product_id": product.pk, "within": {"days": 2},
         "otherwise": None},
        {"id": "mark", "kind": "tag", "tag_id": tag.pk},
    )  # fmt: skip
    return automation, product


def test_what_happens_when_it_was_said_pulls_them_forward(account: Account) -> None:
    automation, product = bought(account)
    what = {"trigger": "purchased", "product_id": product.pk}
    life = live(automation, planned=(Planned(3 * DAY, what),))
    assert [subject for subject, _, _ in mails(life)] == ["one"]
    pulled = next(one for one in of(Walked, life) if one.step.path[0]["what"] == "left_behind")
    assert pulled.at == MONDAY_9 + 3 * DAY
    assert ("mark", "acted") in way(life)
    assert Purchase.objects.count() == 1


def test_what_does_not_happen_is_waited_for_to_the_end(account: Account) -> None:
    automation, _ = bought(account)
    life = live(automation)
    assert [subject for subject, _, _ in mails(life)] == ["one", "two"]
    assert ("mark", "acted") not in way(life)
    last = of(Walked, life)[-1]
    assert (last.step.what, last.at) == (Step.What.LEFT, mails(life)[-1][1] + 2 * DAY)


def test_who_has_bought_before_passes(account: Account) -> None:
    automation, product = bought(account)
    life = live(automation, Imagined(product_ids=frozenset({product.pk})))
    assert ("mark", "acted") in way(life)


def fork(account: Account) -> tuple[Automation, Tag]:
    tag = make_tag(account, name="Customer")
    yes, no = make_tag(account, name="Yes"), make_tag(account, name="No")
    condition = {"type": "tags", "ids": [tag.pk]}
    automation = make(
        account,
        {"id": "ask", "kind": "condition", "if": condition, "within": {"days": 2}, "yes": "yes", "no": "no"},
        {"id": "yes", "kind": "tag", "tag_id": yes.pk, "next": None},
        {"id": "no", "kind": "tag", "tag_id": no.pk, "next": None},
    )
    return automation, tag


def test_a_fork_goes_by_what_is_true_of_them(account: Account) -> None:
    automation, tag = fork(account)
    assert ("yes", "acted") in way(live(automation, Imagined(tag_ids=frozenset({tag.pk}))))
    life = live(automation)
    assert ("no", "acted") in way(life)
    assert of(Walked, life)[-1].at == MONDAY_9 + 2 * DAY


@pytest.mark.parametrize("chosen", ["yes", "no"])
def test_a_fork_goes_as_it_was_told(account: Account, chosen: str) -> None:
    automation, tag = fork(account)
    has = Imagined(tag_ids=frozenset({tag.pk})) if chosen == "no" else Imagined()
    assert (chosen, "acted") in way(live(automation, has, ways={"ask": chosen}))


@pytest.mark.parametrize("branches", [
    [{"percent": 50, "next": "a"}, {"percent": 50, "next": "b"}],
    [{"if": {"type": "subscriber_state", "states": ["active"]}, "next": "a"},
     {"if": {"type": "subscriber_state", "states": ["cancelled"]}, "next": "b"}],
])  # fmt: skip
def test_a_split_goes_as_it_was_told(account: Account, branches: list[dict[str, Any]]) -> None:
    a, b = make_tag(account, name="A"), make_tag(account, name="B")
    rest = {"otherwise": None} if "if" in branches[0] else {}
    automation = make(
        account,
        {"id": "ab", "kind": "split", "branches": branches, **rest},
        {"id": "a", "kind": "tag", "tag_id": a.pk, "next": None},
        {"id": "b", "kind": "tag", "tag_id": b.pk, "next": None},
    )
    for exit, key in (("0", "a"), ("1", "b")):
        acted = {node for node, what in way(live(automation, ways={"ab": exit})) if what == "acted"}
        assert acted == {key}


def test_calls_and_mail_to_the_owners_are_listed_and_not_made(account: Account) -> None:
    automation = make(
        account,
        {"id": "call", "kind": "call", "url": "https://example.com/hook",
         "body": {"who": "{{ subscriber.first_name }}"}},
        {"id": "tell", "kind": "mail_owner", "text": "{{ subscriber.first_name }} is here"},
    )  # fmt: skip
    life = live(automation, Imagined("Noor"))
    [called] = of(Called, life)
    assert (called.url, called.body) == ("https://example.com/hook", b'{"who":"Noor"}')
    assert [one.text for one in of(Told, life)] == ["Noor is here"]
    assert not Call.objects.exists()


def test_rules_fire_on_what_it_does(account: Account) -> None:
    tag, then = make_tag(account, name="A"), make_tag(account, name="B")
    given = {
        "name": "Rule",
        "active": True,
        "triggers": [{"trigger": "tag_added", "tag_id": tag.pk}],
        "actions": [{"kind": "tag", "tag_id": then.pk}],
    }
    rule = rules.create(account, given, MONDAY_9)
    automation = make(
        account,
        {"id": "mark", "kind": "tag", "tag_id": tag.pk},
        {"id": "pause", "kind": "wait", "for": {"minutes": 1}},
        {"id": "ask", "kind": "condition", "if": {"type": "tags", "ids": [then.pk]}, "yes": "end", "no": None},
        {"id": "end", "kind": "tag", "tag_id": tag.pk, "next": None},
    )
    assert ("end", "passed") in way(live(automation))
    assert Rule.objects.get(pk=rule.pk).n_fired == 0


def test_the_automation_itself_does_not_take_them_in_beside_its_copy(account: Account) -> None:
    tag = make_tag(account)
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": tag.pk}]
    automation = make(account, {"id": "pause", "kind": "wait", "for": {"days": 1}}, entries=entries)
    switching.activate(automation, MONDAY_9)
    life = live(automation, entry="a")
    assert {one.step.automation_id for one in of(Walked, life)} == {life.automation.pk}
    assert len([one for one in of(Walked, life) if one.step.what == Step.What.ENTERED]) == 1


def test_unconfirmed_they_wait_until_they_confirm(account: Account) -> None:
    sequence = make_sequence(account, {"subject": "one", "delay_value": 0})
    automation = make(account, {"id": "course", "kind": "sequence", "sequence_id": sequence.pk})
    person = Imagined(is_confirmed=False)
    assert mails(live(automation, person)) == []
    life = live(automation, person, planned=(Planned(DAY, CONFIRMS),))
    assert mails(life) == [("one", MONDAY_9 + DAY, "")]


def test_who_unsubscribes_leaves_and_is_sent_no_more(account: Account) -> None:
    automation, _ = bought(account)
    life = live(automation, planned=(Planned(2 * DAY, UNSUBSCRIBES),))
    assert [subject for subject, _, _ in mails(life)] == ["one"]
    assert of(Walked, life)[-1].step.reason == "state_cancelled"


def test_exclusions_and_filters_skip_emails_with_their_reason(account: Account) -> None:
    tag = make_tag(account)
    sources = [{"type": "tag", "ids": [tag.pk]}]
    sequence = make_sequence(account, {"subject": "one", "delay_value": 0}, exclude_subscriber_sources=sources)
    automation = make(account, {"id": "course", "kind": "sequence", "sequence_id": sequence.pk})
    life = live(automation, Imagined(tag_ids=frozenset({tag.pk})))
    assert mails(life) == [("one", MONDAY_9, f"excluded:tag:{tag.pk}")]


def test_a_paused_sequence_is_told_and_ends_it(account: Account) -> None:
    sequence = make_sequence(account, {"subject": "one", "delay_value": 0}, active=False)
    automation = make(account, {"id": "course", "kind": "sequence", "sequence_id": sequence.pk})
    life = live(automation)
    assert mails(life) == []
    assert [one.pk for one in life.paused] == [sequence.pk]
    assert life.stands is not None and life.stands.node == "course"


def test_a_date_on_an_event_pulls_them_at_its_instant(account: Account) -> None:
    sequence = make_sequence(account, {"subject": "one", "delay_value": 1}, {"subject": "two", "delay_value": 9})
    tag = make_tag(account)
    at = MONDAY_9 + 4 * DAY
    automation = make(
        account,
        {"id": "before", "kind": "sequence", "sequence_id": sequence.pk},
        {"id": "day", "kind": "event", "trigger": "date", "at": at.isoformat()},
        {"id": "mark", "kind": "tag", "tag_id": tag.pk},
    )
    life = live(automation)
    assert [subject for subject, _, _ in mails(life)] == ["one"]
    assert [(one.at, one.step.what) for one in of(Walked, life)][-1] == (at, Step.What.LEFT)
    assert ("mark", "acted") in way(life)


def test_a_date_in_their_field_lets_them_in_every_year(account: Account) -> None:
    made = beginnings.create(account, "birthday", {"birthday": "Birthday", "days": 0, "letter": "Happy"}, MONDAY_9)
    field = CustomField.objects.get(account=account, label="Birthday")
    sequence = Sequence.objects.get(account=account, name="Happy")
    factories.make_email(sequence, subject="Happy birthday", delay_value=0, position=0)
    born = (MONDAY_9 + 10 * DAY).date().replace(year=1990)
    life = live(made.automation, Imagined(fields={field.pk: born.isoformat()}), entry="a")
    years = [at.year for _, at, _ in mails(life)]
    assert years == list(range(MONDAY_9.year, MONDAY_9.year + len(years)))
    assert len(years) >= 4
    assert life.cut == trial.TOO_LONG


def test_who_waits_without_end_stands_there(account: Account) -> None:
    tag, mark = make_tag(account, name="A"), make_tag(account, name="B")
    automation = make(
        account,
        {"id": "gets", "kind": "event", "trigger": "tag_added", "tag_id": tag.pk},
        {"id": "mark", "kind": "tag", "tag_id": mark.pk},
    )
    life = live(automation)
    assert life.stands is not None and life.stands.node == "gets"


def test_so_much_is_ended(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOST_INSTANTS", 5)
    never = {"type": "subscribed", "within_days": 1}
    automation = make(
        account,
        {"id": "ask", "kind": "condition", "if": {"not": never}, "within": {"weeks": 4}, "yes": None, "no": None},
    )
    assert live(automation).cut == trial.TOO_MUCH


@pytest.mark.parametrize("template", templates.ALL, ids=lambda one: one.key)
def test_every_template_can_be_walked_through(account: Account, template: templates.Template) -> None:
    given: dict[str, Any] = {one.name: one.usual for one in template.questions}
    given |= {one.name: int(one.usual) for one in template.questions if one.kind == "days"}
    given |= {"day": (MONDAY_9 + 5 * DAY).date().isoformat(), "day_hour": 10} if "day" in given else {}
    made = beginnings.create(account, template.key, given, MONDAY_9)
    for sequence in Sequence.objects.filter(account=account):
        factories.make_email(sequence, subject=sequence.name, delay_value=0, position=0)
    entry = made.automation.entries[0]["id"]
    life = live(made.automation, entry=entry)
    assert not any(one.step.reason == "our_mistake" for one in of(Walked, life))
    assert life.stands is None or life.cut
    assert any(one.step.what == Step.What.ENTERED for one in of(Walked, life))


def test_only_the_forks_named_are_decided(account: Account) -> None:
    automation, _ = fork(account)
    found = verbs.published(automation)
    assert trial.with_ways(found, {}) == found
    assert trial.with_ways(found, {"ask": "maybe", "yes": "next", "gone": "yes"}) == found
    decided: Graph = trial.with_ways(found, {"ask": "yes"})
    assert graph.as_json(decided)["nodes"][1:] == graph.as_json(found)["nodes"][1:]
    assert decided.nodes["ask"].settings["if"] == {"all": []}


def test_nobody_on_file_has_the_address_or_is_touched(account: Account) -> None:
    taken = factories.make_subscriber(account, email_address="imagined@dripstone.example", first_name="Real")
    automation = make(account, {"id": "pause", "kind": "wait", "for": {"days": 1}})
    life = live(automation)
    assert life.person.pk != taken.pk
    assert life.person.email_address == "imagined2@dripstone.example"
    assert not Step.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_while_it_goes_on_real_people_enter_and_walk(account: Account) -> None:
    sequence = make_sequence(account, {"subject": "one", "delay_value": 0})
    tag = make_tag(account)
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": tag.pk}]
    automation = make(
        account, {"id": "course", "kind": "sequence", "sequence_id": sequence.pk}, entries=entries
    )  # fmt: skip
    switching.activate(automation, MONDAY_9)
    real = factories.make_subscriber(account)

    def enter() -> set[str]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '3s'")
            tags.add(tag, real, MONDAY_9, cause=causes.API)
            run.until_idle(lambda: MONDAY_9)
            return set(Walk.objects.filter(subscriber_id=real.pk).values_list("node", flat=True))
        finally:
            connection.close()

    with (
        ThreadPoolExecutor(1) as others,
        trial.lived(automation, verbs.published(automation), Imagined(), begins_at=MONDAY_9, entry="a") as life,
    ):
        assert mails(life)
        assert others.submit(enter).result(timeout=30) == {"course"}
    assert Walk.objects.count() == 1
    assert Subscriber.objects.get().pk == real.pk
