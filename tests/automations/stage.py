"""What a story is played on: an account in the database with the virtual clock, and the model of model.py beside it.

Everything is done to both; `check` says that both tell the same of everybody.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import graph, people, publishing, reasons, removal, steps, switching, verbs
from dripstone.automations.models import Automation as Row
from dripstone.automations.models import Step
from dripstone.automations.models import Walk as WalkRow
from dripstone.engine import enroll, transitions
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.purchases.models import Product
from dripstone.rules import verbs as rule_verbs
from dripstone.sequences.models import Sequence as SequenceRow
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import Form, Subscriber, Tag
from tests.automations.model import Automation, Course, Line, Passed, Walk, World, somebody
from tests.conftest import VirtualClock
from tests.factories import make_account, make_purchase, make_sequence, make_subscriber, make_tag
from tests.rules.model import OneRule

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
_numbers = itertools.count(1)


class Stage:
    def __init__(self, clock: VirtualClock, zone: str = "UTC", now: datetime = NOW) -> None:
        self.clock = clock
        clock.set(now)
        self.account: Account = make_account(time_zone=zone)
        self.city = fields.create(self.account.pk, {"label": "City"}, now, cause=causes.OWNER)[0].pk
        self.day = fields.create(self.account.pk, {"label": "Day"}, now, cause=causes.OWNER)[0].pk
        self.world = World(now, self.city, zone=zone)
        self.tags: dict[str, int] = {}
        self.is_hasty = False  # acts pile up: nothing is worked off in between
        self.pace: timedelta | None = None  # the engine's clock is moved by so much at a time, the model's leaps (A9)
        self.settle()

    @property
    def now(self) -> datetime:
        return self.world.now

    # --- What there is -----------------------------------------------------------------------------------------------

    def person(self, state: str = "active") -> int:
        row = make_subscriber(self.account, state=state)
        self.world.people[row.pk] = somebody(state)
        return row.pk

    def row(self, person: int) -> Subscriber:
        return Subscriber.objects.get(pk=person)

    def tag(self, name: str) -> int:
        if name not in self.tags:
            self.tags[name] = make_tag(self.account).pk
            self.world.tags.add(self.tags[name])
        return self.tags[name]

    def form(self) -> int:
        form = forms.create(self.account.pk, {"name": "News", "opt_in": "single"}, self.now)
        self.world.forms.add(form.pk)
        return form.pk

    def product(self, pid: str = "course") -> int:
        """Somebody else has bought it before."""
        make_purchase(self.account, products=[_line(pid)], email_address="else@example.org")
        self.settle()
        return Product.objects.get(account=self.account, pid=pid).pk

    def course(self, *hours: int, repeat: bool = False, hold: bool = False) -> int:
        """A sequence with so many hours before each email, 0 for a first one that goes at once."""
        emails = [{"delay_value": n, "delay_unit": "hours" if n else "days"} for n in hours]
        row = make_sequence(self.account, *emails, repeat=repeat, hold=hold)
        self.world.courses[row.pk] = Course(row.pk, list(hours), repeat, hold)
        return row.pk

    def automation(
        self, *nodes: dict[str, Any], on: dict[str, Any] | Sequence[dict[str, Any]] = (), status: str = "active",
        **members: Any,
    ) -> int:  # fmt: skip
        """on   its entry, or several. It starts at the first node, unless told otherwise."""
        entries = [{"id": f"e{n}", **one} for n, one in enumerate([on] if isinstance(on, dict) else on)]
        start = nodes[0]["id"] if nodes else None
        given = {"entries": entries, "start": start, "nodes": list(nodes), **members}
        made = verbs.create(self.account, {"name": f"A{next(_numbers)}", "reenter": "always", **given}, self.now)
        self.world.make(made.pk, as_kept(made))
        if status != "inactive":
            self.activate(made.pk)
        if status == "paused":
            self.stop(made.pk, "paused")
        return made.pk

    def of(self, automation: int) -> tuple[Row, Automation]:
        return Row.objects.get(pk=automation), self.world.automations[automation]

    def rule(self, trigger: dict[str, Any], *actions: dict[str, Any]) -> int:
        given = {"name": "R", "triggers": [trigger], "actions": list(actions), "active": True}
        made = rule_verbs.create(self.account, given, self.now)
        self.world.rules[made.pk] = OneRule(made.pk, made.triggers, None, made.actions, True, self.world.serial)
        return made.pk

    # --- What happens to people --------------------------------------------------------------------------------------

    def put_tag(self, person: int, name: str, cause: Cause = causes.API, *, quiet: bool = False) -> None:
        cause = causes.quietly(cause) if quiet else cause
        tags.add(Tag.objects.get(pk=self.tag(name)), self.row(person), self.now, cause=cause)
        self.world.put_tag(person, self.tag(name), cause, is_quiet=quiet)
        self.after()

    def take_tag(self, person: int, name: str, cause: Cause = causes.API) -> None:
        tags.remove(Tag.objects.get(pk=self.tag(name)), self.row(person), self.now, cause=cause)
        self.world.take_tag(person, self.tag(name), cause)
        self.after()

    def fill(self, person: int, field_id: int, value: str, cause: Cause = causes.API) -> None:
        key = fields.keys_of(self.account.pk)[str(field_id)]
        subscribe.update(person, {"fields": {key: value}}, self.now, cause=cause)
        self.world.fill(person, field_id, value, cause)
        self.after()

    def join(self, person: int, form: int, cause: Cause = causes.API) -> None:
        forms.add(Form.objects.get(pk=form), self.row(person), {}, self.now, cause=cause)
        self.world.join(person, form, cause)
        self.after()

    def buy(self, person: int, product: int) -> None:
        bought = Product.objects.get(pk=product)
        make_purchase(self.account, products=[_line(bought.pid)], email_address=self.row(person).email_address)
        self.world.buy(person, product, causes.API)
        self.after()

    def enroll(self, person: int, course: int, source: enroll.Source = "api") -> None:
        enroll.add(SequenceRow.objects.get(pk=course), [person], source, self.now)
        self.world.enter(person, course, (source,), may_restart=source in enroll.RESTARTING)
        self.after()

    def take_out(self, person: int, course: int) -> None:
        row = Enrollment.objects.filter(sequence=course, subscriber=person).exclude(status="removed").first()
        if row is not None and row.status != "completed":
            places.remove(row.pk, "owner", "", self.now)
            self.world.take_out(person, course, causes.OWNER)
            self.after()

    def cancel(self, person: int) -> None:
        transitions.cancel(person, self.now, cause=causes.SUBSCRIBER)
        self.world.leave(person, causes.SUBSCRIBER)
        self.after()

    def bounce(self, person: int) -> None:
        transitions.bounce(person, self.now)
        self.world.ends(person, "bounced", ())
        self.after()

    def confirm(self, person: int) -> None:
        transitions.confirm(person, self.now, cause=causes.SUBSCRIBER)
        self.world.confirm(person, causes.SUBSCRIBER)
        self.after()

    def come_back(self, person: int) -> None:
        transitions.come_back(person, self.now, cause=causes.SUBSCRIBER)
        self.world.come_back(person, causes.SUBSCRIBER)
        self.after()

    def delete_tag(self, name: str) -> None:
        tag = self.tags.pop(name)
        tags.delete(Tag.objects.get(pk=tag), self.now, cause=causes.OWNER)
        self.world.delete_tag(tag)
        self.after()

    # --- What owners do with automations -----------------------------------------------------------------------------

    def activate(
        self, automation: int, *, overdue: switching.Overdue = "walk", older_than: timedelta | None = None
    ) -> None:
        row, model = self.of(automation)
        said: dict[str, Any] = {"overdue": overdue, "older_than": older_than}
        switching.activate(row, self.now, token=switching.token_of(row, "active"), **said)
        self.world.activate(model, overdue=overdue, older_than=older_than)
        self.after()

    def stop(self, automation: int, status: str) -> None:
        row, model = self.of(automation)
        (switching.pause if status == "paused" else switching.deactivate)(row, self.now)
        self.world.stop(model, status)
        self.after()

    def publish(self, automation: int, *nodes: dict[str, Any], choices: Any = None, **members: Any) -> None:
        """With other nodes; the rest as it was, but for `members`."""
        row, model = self.of(automation)
        start = nodes[0]["id"] if nodes else None
        given = {"entries": model.graph.entries, "start": start, "nodes": list(nodes), **members}
        row = verbs.save_draft(row, given, self.now)
        chosen = {"nodes": choices or {}}
        token = publishing.plan(row, choices=chosen).token()
        row = publishing.publish(row, self.now, token=token, choices=chosen)
        self.world.publish(model, as_kept(row), choices or {})
        self.after()

    def add(self, automation: int, person: int, *, again: bool = False) -> None:
        row, model = self.of(automation)
        people.add(row, [person], self.now, cause=causes.OWNER, again=again)
        self.world.add(model, person, causes.OWNER, again=again)
        self.after()

    def move(self, automation: int, person: int, key: str, *, keep_place: bool = False) -> None:
        row, model = self.of(automation)
        people.move(row, person, key, self.now, cause=causes.OWNER, keep_place=keep_place)
        self.world.put(model, person, key, keep_place=keep_place)
        self.after()

    def remove(self, automation: int, person: int) -> None:
        row, model = self.of(automation)
        people.remove(row, person, self.now, cause=causes.OWNER)
        self.world.remove(model, person)
        self.after()

    def delete(self, automation: int, sequences: steps.Sequences = "end") -> None:
        row, model = self.of(automation)
        removal.delete(row, self.now, sequences=sequences, token=removal.token_of(row, sequences))
        self.world.delete(model, sequences=sequences)
        self.after()

    # --- Time --------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        leap.to(self.now, self.account.pk)
        self.world.settle()

    def after(self) -> None:
        if not self.is_hasty:
            self.settle()
            self.check()

    def passes(self, **duration: float) -> None:
        self.until(self.now + timedelta(**duration))

    def until(self, target: datetime | str) -> None:
        target = datetime.fromisoformat(target) if isinstance(target, str) else target
        self.is_hasty = False
        while self.pace and self.clock.now() + self.pace < target:
            leap.to(self.clock.now() + self.pace, self.account.pk)
        leap.to(target, self.account.pk)
        self.world.let_pass(target)
        self.check()

    # --- What both tell ----------------------------------------------------------------------------------------------

    def stands(self, automation: int, person: int) -> str | None:
        """At which node; "" at the entry, None outside."""
        walk = self.world.one(person).inside(automation)
        return None if walk is None else walk.node

    def log(self, automation: int, person: int) -> list[tuple[str, str, str]]:
        """(what, where, why)"""
        return [(what, at, why) for one, _, what, at, why, _ in self.world.one(person).steps if one == automation]

    def mails(self, person: int, course: int) -> int:
        return sum(one == course for one, _, _ in self.world.one(person).got)

    def has(self, person: int, name: str) -> bool:
        return self.tag(name) in self.world.one(person).tags

    def check(self) -> None:
        for pk, person in self.world.everybody():
            row = self.row(pk)
            values = {self.city: person.city, **person.fields}
            there = self.world.automations
            walks = WalkRow.objects.filter(subscriber_id=pk).order_by("pk")
            engine = [
                row.state,
                {int(key): value for key, value in row.fields.items() if value},
                set(Tag.objects.filter(taggings__subscriber=row).values_list("pk", flat=True)),
                self.places_of(pk),
                self.mail_of(pk),
                self.steps_of(pk),
                [self.as_told(walk) for walk in walks if walk.automation_id in there],
            ]
            model = [
                person.state,
                {key: value for key, value in values.items() if value},
                person.tags,
                {course: (place.status, place.run, place.next) for course, place in person.places.items()},
                sorted(person.got),
                person.steps,
                [self.told(walk) for walk in person.walks if walk.automation in there],
            ]
            for by_engine, by_model in zip(engine, model, strict=True):
                assert by_engine == by_model, f"of {pk}\nengine {by_engine}\nmodel  {by_model}"

    def told(self, walk: Walk) -> tuple[Any, ...]:
        is_to_come = walk.is_inside and walk.over is None and walk.due is not None and walk.due > self.now
        due = walk.due if is_to_come else None
        return walk.automation, walk.run, walk.is_inside, walk.node if walk.is_inside else "", due, walk.left_because

    def as_told(self, row: WalkRow) -> tuple[Any, ...]:
        is_inside = row.left_at is None
        due = row.ends_at if row.ends_at is not None and row.ends_at > self.now else None
        return row.automation_id, row.run, is_inside, row.node if is_inside else "", due, row.left_because or None

    def places_of(self, pk: int) -> dict[int, tuple[str, int, int]]:
        found = {}
        for row in Enrollment.objects.filter(subscriber=pk):
            n_sent = Delivery.objects.filter(enrollment=row, run=row.run, status="sent").count()
            found[row.sequence_id] = (row.status, row.run, n_sent)
        return found

    def mail_of(self, pk: int) -> list[tuple[int, int, datetime]]:
        rows = Delivery.objects.filter(subscriber=pk, status="sent", email__isnull=False)
        columns = rows.values_list("email__sequence_id", "email__position", "sent_at")
        return sorted((course, position, at) for course, position, at in columns if at is not None)

    def steps_of(self, pk: int) -> list[Line]:
        """Without where they stood before, and that they left, which the line says itself."""
        rows = Step.objects.filter(subscriber_id=pk).order_by("pk")
        return [
            (
                row.automation_id,
                row.run,
                row.what,
                row.node,
                row.reason,
                [_passed(one) for one in row.path if _is_on_the_way(one)],
            )
            for row in rows
        ]


def as_kept(row: Row) -> dict[str, Any]:
    """The graph with what was not said filled in."""
    return {**graph.as_json(verbs.published(row)), "reenter": row.reenter}


def _line(pid: str) -> dict[str, Any]:
    return {"name": pid, "pid": pid, "lid": str(next(_numbers)), "quantity": 1, "unit_price": 5}


def _is_on_the_way(one: dict[str, str]) -> bool:
    return one["what"] not in (reasons.OVER, reasons.LEFT_BEHIND, reasons.LEAVES)


def _passed(one: dict[str, str]) -> Passed:
    return one["node"], one["what"], one["exit"] if one["what"] == reasons.WENT else one["reason"]
