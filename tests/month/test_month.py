"""A month of a newsletter business through every door, with the clock advanced, against an independent calculation."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dripstone import clock as clocks
from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import switching
from dripstone.automations import verbs as automations
from dripstone.automations.models import Step, Walk
from dripstone.automations.reasons import INSIDE_ALREADY
from dripstone.bulk import actions
from dripstone.engine import transitions
from dripstone.engine.acts import entries
from dripstone.engine.acts import sign_ups as signing_up
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event
from dripstone.imports import files, verbs, work
from dripstone.rules import verbs as rules
from dripstone.rules.models import Firing, Rule
from dripstone.rules.reasons import CONDITION
from dripstone.sequences.models import Sequence
from dripstone.stats import doors
from dripstone.subscribers import forms, sign_ups, tags
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import Form, SignUp, Subscriber, Tag
from dripstone.tallies import verbs as tallies
from tests.api.caller import Caller
from tests.automations import nodes
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import make_account, make_key, make_sequence
from tests.month.expected import AFTER, COURSES, FIVE_DAYS, LAST_EMAIL, TWO_DAYS, Chain, Month

pytestmark = pytest.mark.django_db

BEGINS = datetime(2026, 10, 12, 7, 0, tzinfo=UTC)  # a Monday; two weeks later the clocks go back in Berlin
DAYS = 30
TAGS = ("newsletter", "course", "buyer", "vip", "done", "alumni", "imported", "fan", "late", "cold")
TOLD = {types.TAG_ADDED: "tag", types.TAG_REMOVED: "untag", types.ADDED_TO_SEQUENCE: "enter"}


@dataclass
class Business:
    """Does everything twice: for real, and in the calculation."""

    account: Account
    caller: Caller
    expected: Month = field(default_factory=Month)
    called: dict[str, str] = field(default_factory=dict)  # "rule 7" → "rule Course page"
    unconfirmed: list[str] = field(default_factory=list)
    n_people: int = 0

    def __post_init__(self) -> None:
        self.tags = {name: tags.create(self.account.pk, {"name": name}, BEGINS, cause=causes.OWNER)[0] for name in TAGS}
        self.sequences = {name: self._sequence(name) for name in COURSES}
        self.form = self._form()
        self._rules()
        self._automation()

    def _sequence(self, name: str) -> Sequence:
        asked = COURSES[name]
        mails = [
            {
                "subject": one.subject,
                "content": "<p>Hello</p>",
                "delay_value": one.hours or one.days,
                "delay_unit": "hours" if one.hours else "days",
            }
            for one in asked.mails
        ]
        schedule = {"send_days": list(asked.weekdays), "send_hour": asked.hour, "time_zone": "Europe/Berlin"}
        return make_sequence(self.account, *mails, name=name, repeat=asked.repeat, **schedule)

    def _form(self) -> Form:
        adds = {"tag_ids": [self.tags["newsletter"].pk], "sequence_ids": [self.sequences["Welcome"].pk]}
        given = {"name": "Newsletter", "opt_in": "double", **adds}
        made = forms.create(self.account.pk, given, BEGINS, sequence_ids={self.sequences["Welcome"].pk})
        self.called[f"form {made.pk}"] = "form Newsletter"
        return made

    def _rules(self) -> None:
        lessons = self.sequences["Lessons"].pk
        self._rule("Course page", self._got("course"), {"kind": "enter_sequence", "sequence_id": lessons})
        finished = {"trigger": "sequence_completed", "sequence_id": lessons}
        self._rule("Finished", finished, self._tag("done"), {"not": self._has("buyer")})
        self._rule("Alumni", self._got("done"), self._tag("alumni"))
        self._rule("Upsell", self._got("buyer"), self._tag("vip"), self._has("course"))
        untag = {"kind": "untag", "tag_id": self.tags["newsletter"].pk}
        self._rule("Goodbye", {"trigger": "cancelled"}, untag)

    def _rule(self, name: str, trigger: Any, action: Any, condition: Any = None) -> None:
        given = {"name": name, "triggers": [trigger], "condition": condition, "actions": [action], "active": True}
        self.called[f"rule {rules.create(self.account, given, BEGINS).pk}"] = f"rule {name}"

    def _automation(self) -> None:
        """After the lessons: two days later a fan, or up to five days to buy, or a last email."""
        finished = {"id": "a", "trigger": "sequence_completed", "sequence_id": self.sequences["Lessons"].pk}
        graph = [
            nodes.wait(TWO_DAYS, "asked", days=2),
            nodes.ask("asked", self._has("buyer"), "fan", FIVE_DAYS),
            nodes.tag("fan", self.tags["fan"].pk),
            nodes.event(FIVE_DAYS, self._got("buyer"), "late", already=False, otherwise=LAST_EMAIL, days=5),
            nodes.tag("late", self.tags["late"].pk),
            nodes.sequence(LAST_EMAIL, self.sequences["Win back"].pk, "cold"),
            nodes.tag("cold", self.tags["cold"].pk),
        ]
        given = {"name": AFTER, "reenter": "always", "entries": [finished], "start": TWO_DAYS, "nodes": graph}
        self.automation = switching.activate(automations.create(self.account, given, BEGINS), BEGINS)
        self.called[f"automation {self.automation.pk}"] = f"automation {AFTER}"

    def _got(self, tag: str) -> dict[str, Any]:
        return {"trigger": "tag_added", "tag_id": self.tags[tag].pk}

    def _tag(self, tag: str) -> dict[str, Any]:
        return {"kind": "tag", "tag_id": self.tags[tag].pk}

    def _has(self, tag: str) -> dict[str, Any]:
        return {"type": "tags", "ids": [self.tags[tag].pk]}

    # --- Time -------------------------------------------------------------------------------------------------------

    def travel(self, to: datetime) -> None:
        leap.to(to, self.account.pk)
        self.expected.let_pass(to)

    def settle(self) -> None:
        work.until_idle(clocks.now)
        self.travel(clocks.now())

    # --- Doors ------------------------------------------------------------------------------------------------------

    def new_address(self) -> str:
        self.n_people += 1
        return f"p{self.n_people}@example.org"

    def person(self, address: str) -> Subscriber:
        return Subscriber.objects.get(account=self.account, email_address=address)

    def by_api(self, dice: random.Random) -> None:
        address = self.new_address()
        status, made = self.caller.post("/v4/subscribers", {"email_address": address})
        assert status == 201
        path = f"/v4/sequences/{self.sequences['Welcome'].pk}/subscribers/{made['subscriber']['id']}"
        assert self.caller.post(path, {})[0] == 201
        self.expected.come(address)
        self.expected.enter(address, "Welcome", ("api",), clocks.now(), may_restart=False)

    def tagged_by_api(self, dice: random.Random) -> None:
        address, tag = self._somebody(dice), dice.choice(["course", "course", "buyer"])
        path = f"/v4/tags/{self.tags[tag].pk}/subscribers/{self.person(address).pk}"
        assert self.caller.post(path, {})[0] in (200, 201)
        self.expected.tag(address, tag, ("api",), clocks.now())

    def added_by_api(self, dice: random.Random) -> None:
        """Lessons may be taken again, but nobody under way starts over by API."""
        address = self._somebody(dice, active=True)
        path = f"/v4/sequences/{self.sequences['Lessons'].pk}/subscribers/{self.person(address).pk}"
        assert self.caller.post(path, {})[0] in (200, 201)
        self.expected.enter(address, "Lessons", ("api",), clocks.now(), may_restart=False)

    def fill_in_form(self, dice: random.Random) -> None:
        address = self.new_address()
        asked = sign_ups.read(self.form, {"email_address": address}, Origin.of_page(None))
        signing_up.ask(self.form, asked, clocks.now())
        self.unconfirmed.append(address)

    def confirm(self, dice: random.Random) -> None:
        if not self.unconfirmed:
            return
        address = self.unconfirmed.pop(dice.randrange(len(self.unconfirmed)))
        waiting = SignUp.objects.get(subscriber__email_address=address)
        assert signing_up.click(waiting.pk, clocks.now())
        self.expected.come(address)
        self.expected.tag(address, "newsletter", ("form Newsletter",), clocks.now())
        self.expected.enter(address, "Welcome", ("form Newsletter",), clocks.now(), may_restart=False)

    def by_hand(self, dice: random.Random) -> None:
        address = self.new_address()
        given = {"email_address": address}
        entries.add(self.sequences["Welcome"], given, clocks.now(), cause=causes.OWNER)
        self.expected.come(address)
        self.expected.enter(address, "Welcome", ("owner",), clocks.now(), may_restart=False)

    def unsubscribe(self, dice: random.Random) -> None:
        address = self._somebody(dice, active=True)
        transitions.cancel(self.person(address).pk, clocks.now(), cause=causes.SUBSCRIBER)
        self.expected.unsubscribe(address)

    def act_on_many(self, dice: random.Random) -> None:
        """Those with a tag into the lessons, or a tag for them: rules are told, or they are not."""
        having, fires = dice.choice(["newsletter", "imported", "course"]), dice.random() < 0.5
        tag = dice.choice([None, "course", "buyer"])
        lessons = {"kind": "enter_sequence", "sequence_id": self.sequences["Lessons"].pk}
        action = self._tag(tag) if tag else lessons
        whom = {"filter": self._has(having)}
        begun = actions.begin(self.account, whom, [action], "owner", clocks.now(), fire_rules=fires)
        name = f"bulk {begun.pk}"
        chain: Chain = (name,) if fires else (name, "quiet")
        for address, one in list(self.expected.people.items()):
            if having in one.tags and tag:
                self.expected.tag(address, tag, chain, clocks.now())
            elif having in one.tags:
                self.expected.enter(address, "Lessons", chain, clocks.now(), may_restart=True)

    def bring_in_file(self, dice: random.Random) -> None:
        """Some new, some on file; twice in the file; rules are told, or they are not."""
        addresses = [self.new_address() for _ in range(3)] + [self._somebody(dice) for _ in range(2)]
        addresses, fires = list(dict.fromkeys(addresses)), dice.random() < 0.5
        content = "Email;First name\n" + "".join(f"{one.upper()};Ann\n" for one in [*addresses, addresses[0]])
        row = files.begin(self.account, "people.csv", "owner", clocks.now())
        files.add(row, 0, content.encode("utf-16"))
        files.finish(row, clocks.now())
        ids = {"tag_ids": [self.tags["imported"].pk, self.tags["course"].pk]}
        ids["sequence_ids"] = [self.sequences["Welcome"].pk]
        verbs.choose(row, {"consent": True, "fire_rules": fires, **ids}, clocks.now())
        work.until_idle(clocks.now)
        verbs.run(row, clocks.now())
        work.until_idle(clocks.now)
        chain: Chain = (f"import {row.pk}",) if fires else (f"import {row.pk}", "quiet")
        for address in addresses:
            one = self.expected.come(address)
            self.expected.tag(address, "imported", chain, clocks.now())
            self.expected.tag(address, "course", chain, clocks.now())
            if one.is_active:
                self.expected.enter(address, "Welcome", chain, clocks.now(), may_restart=True)

    def _somebody(self, dice: random.Random, *, active: bool = False) -> str:
        people = [address for address, one in self.expected.people.items() if one.is_active or not active]
        return dice.choice(people)

    # --- What has become of it ----------------------------------------------------------------------------------------

    def chain(self, cause: list[str]) -> Chain:
        return tuple(self.called.get(one, one) for one in cause)


@pytest.fixture
def business(clock: VirtualClock, engine: Engine, settings: Any) -> Business:
    settings.DRIPSTONE_RATE_LIMITS = None
    clock.set(BEGINS)
    account = make_account("Caves", time_zone="Europe/Berlin")
    return Business(account, Caller(account, make_key(account)[1]))


def acts(business: Business) -> list[Callable[[random.Random], None]]:
    """Of an ordinary day, as often as they come."""
    return [
        *[business.by_api, business.fill_in_form, business.fill_in_form, business.confirm, business.confirm],
        *[business.tagged_by_api, business.tagged_by_api, business.added_by_api, business.by_hand],
        business.unsubscribe,
    ]


def test_a_month_goes_as_it_was_worked_out(business: Business) -> None:
    dice = random.Random(15)
    for _ in range(4):
        business.by_api(dice)
    business.settle()
    for day in range(DAYS):
        for hour in (1, 6, 10):
            business.travel(BEGINS + timedelta(days=day, hours=hour, minutes=dice.randrange(59)))
            act = dice.choice(acts(business))
            if hour == 6 and day % 4 == 1:
                act = business.bring_in_file
            if hour == 10 and day % 3 == 2:
                act = business.act_on_many
            act(dice)
            business.settle()
    business.travel(BEGINS + timedelta(days=DAYS + 10))
    _everybody_got_what_they_were_to_get(business)
    _tags_and_causes_are_those(business)
    _people_came_by_those_doors(business)
    _the_log_says_so(business)
    _they_walked_as_it_was_worked_out(business)
    assert tallies.differences() == []


def _everybody_got_what_they_were_to_get(business: Business) -> None:
    rows = Delivery.objects.filter(account=business.account, status="sent", email__isnull=False)
    columns = rows.order_by("sent_at", "pk").values_list("subscriber__email_address", "email__subject", "sent_at")
    got: dict[str, list[tuple[str, datetime]]] = {address: [] for address in business.expected.people}
    for address, subject, at in columns:
        if at is not None:
            got[address].append((subject, at))
    expected = {address: sorted(one.got, key=lambda mail: mail[1]) for address, one in business.expected.people.items()}
    assert {address: sorted(mails) for address, mails in got.items()} == {
        address: sorted(mails) for address, mails in expected.items()
    }
    assert sum(map(len, got.values())) > 150, "it was a busy month"
    stands = Enrollment.objects.filter(account=business.account)
    assert {
        (address, name): (status, run)
        for address, name, status, run in stands.values_list(
            "subscriber__email_address", "sequence__name", "status", "run"
        )
    } == {
        (address, name): (place.status, place.run)
        for address, one in business.expected.people.items()
        for name, place in one.places.items()
    }


def _tags_and_causes_are_those(business: Business) -> None:
    names = {tag.pk: name for name, tag in business.tags.items()}
    courses = {row.pk: name for name, row in business.sequences.items()}
    for address, one in business.expected.people.items():
        person = business.person(address)
        has = Tag.objects.filter(taggings__subscriber=person).values_list("name", flat=True)
        assert set(has) == one.tags, address
        events = Event.objects.filter(subscriber_id=person.pk, type__in=TOLD).order_by("pk")
        told = [
            (
                TOLD[row.type],
                (courses if TOLD[row.type] == "enter" else names)[row.subject_id or 0],
                business.chain(row.cause),
            )
            for row in events
        ]
        assert Counter(told) == Counter(one.told), address


def _people_came_by_those_doors(business: Business) -> None:
    used = set()
    for name, sequence in business.sequences.items():
        rows = doors.of_sequence(sequence.pk, clocks.now()).rows
        assert {business.called.get(row.door, row.door): row.n for row in rows} == business.expected.doors(name), name
        used |= {row.kind for row in rows}
    assert used == {"api", "form", "rule", "automation", "bulk", "import", "owner"}, "every door was used"


def _the_log_says_so(business: Business) -> None:
    expected, by_rule = business.expected, {rule.pk: rule for rule in Rule.objects.filter(account=business.account)}
    log = Counter(
        (by_rule[row.rule_id].name, row.reason) for row in Firing.objects.filter(account_id=business.account.pk)
    )
    assert {name: n for (name, reason), n in log.items() if not reason} == +expected.fired
    assert {name: n for (name, reason), n in log.items() if reason == CONDITION} == +expected.not_fired
    assert {rule.name: rule.n_fired for rule in by_rule.values()} == expected.fired
    assert set(expected.fired) == {rule.name for rule in by_rule.values()}, "every rule fired"
    assert set(expected.not_fired) == {"Finished", "Upsell"}, "and those that ask did not"


def _they_walked_as_it_was_worked_out(business: Business) -> None:
    expected, pk = business.expected, business.automation.pk
    walks, steps = Walk.objects.filter(automation=pk), Step.objects.filter(automation_id=pk)
    for address, one in expected.people.items():
        person = business.person(address)
        inside = walks.filter(subscriber_id=person.pk, left_at=None).values_list("node", "ends_at")
        assert list(inside) == ([(one.walk.node, one.walk.due)] if one.walk else []), address
        assert walks.filter(subscriber_id=person.pk).count() == one.n_walks, address
        refused = steps.filter(subscriber_id=person.pk, what="not_entered", reason=INSIDE_ALREADY)
        assert refused.count() == one.not_entered, address
    business.automation.refresh_from_db()
    told = business.automation.n_entered, business.automation.n_left, business.automation.n_not_entered
    everybody = expected.people.values()
    left = sum((one.left for one in everybody), Counter[str]())
    entered, not_entered = sum(one.n_walks for one in everybody), sum(one.not_entered for one in everybody)
    assert told == (entered, left.total(), not_entered)
    assert set(left) == {TWO_DAYS, FIVE_DAYS, LAST_EMAIL}, "people went every way"
