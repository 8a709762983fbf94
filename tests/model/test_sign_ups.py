"""Random stories of one address at three forms, compared with a second, simple implementation of the rules.

Posts, clicks in any mail, time that passes, what the owner and mail servers do: after each step person, sign-ups, mails
and what the forms have added are the same. docs/reference/life-of-a-sign-up.md has the states.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import notices, transitions
from dripstone.engine.acts import sign_ups as acts
from dripstone.engine.models import Enrollment, Notice
from dripstone.errors import Invalid
from dripstone.events import causes
from dripstone.subscribers import forms
from dripstone.subscribers.models import Form, FormSubscription, SignUp, Subscriber, Tagging
from dripstone.subscribers.sign_ups import Asked
from tests.factories import MONDAY_9, make_account, make_sequence, make_tag

pytestmark = pytest.mark.django_db

OPT_INS = ("single", "double", "double")
FIRST, OTHER = "ann@example.org", "ann@elsewhere.example"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

Step = tuple[Any, ...]


# --- The rules, once more ---------------------------------------------------------------------------------------------


@dataclass
class Mail:
    form: int | None  # None: the API asked
    at: datetime
    name: str
    address: str
    state: str = "waiting"


@dataclass
class Story:
    """All that may be known of the address."""

    now: datetime = MONDAY_9
    state: str | None = None
    address: str = FIRST
    name: str = ""
    mails: list[Mail] = field(default_factory=list)
    listed: dict[int, bool] = field(default_factory=dict)  # form → whether they have come in by it
    added: set[int] = field(default_factory=set)  # forms whose tag and sequence they have

    def post(self, form: int, name: str) -> None:
        if self.address != FIRST:
            return  # whoever posts is somebody else: not in this story
        is_single = OPT_INS[form] == "single"
        if self.state is None:
            self.state, self.name = ("active" if is_single else "inactive"), name
        if self.state == "complained":
            return
        if is_single and self.state == "active":
            self.name = self.name or name
            self.add(form)
        elif self.may_ask(form):
            self.ask(form, name)
            if self.state == "inactive":
                self.listed.setdefault(form, False)

    def may_ask(self, form: int) -> bool:
        today = [mail for mail in self.mails if self.now - mail.at < DAY]
        return len(today) < 5 and not any(mail.form == form and self.now - mail.at < 5 * MINUTE for mail in today)

    def ask(self, form: int | None, name: str) -> None:
        for mail in self.mails:
            if mail.form == form and mail.state == "waiting":
                mail.state = "replaced"
        self.mails.append(Mail(form, self.now, name, self.address))

    def add(self, form: int) -> None:
        self.listed[form] = True
        self.added.add(form)

    def click(self, number: int) -> None:
        mail = self.mails[number]
        is_good = mail.state == "waiting" and self.now - mail.at <= 30 * DAY and mail.address == self.address
        if not is_good or self.state == "complained":
            return
        mail.state = "confirmed"
        self.become_active()
        self.name = mail.name or self.name
        if mail.form is not None:
            self.add(mail.form)

    def become_active(self) -> None:
        if self.state != "active":
            self.state = "active"
            for mail in self.mails:
                if mail.form is None and mail.state == "waiting":
                    mail.state = "confirmed"

    def leave(self, state: str) -> None:
        if self.state is None:
            return
        if state != "bounced":
            for mail in self.mails:
                mail.state = "withdrawn" if mail.state == "waiting" else mail.state
        stronger = {"bounced": ("cancelled", "complained"), "cancelled": ("complained",), "complained": ()}
        if self.state not in stronger[state]:
            self.state = state

    def api(self, act: str) -> None:
        if (act == "confirm" and self.state == "inactive") or (act == "reinstate" and self.state == "complained"):
            self.become_active()
        elif act == "ask" and self.may_api_ask():
            self.ask(None, "")

    def may_api_ask(self) -> bool:
        is_waiting = any(mail.state == "waiting" for mail in self.mails)
        was_just_asked = any(self.now - mail.at < 5 * MINUTE for mail in self.mails)
        return (self.state == "inactive" or (is_waiting and self.state is not None)) and not was_just_asked


# --- The same by the code ---------------------------------------------------------------------------------------------


@dataclass
class Stage:
    account: Account
    forms: list[Form]

    @classmethod
    def build(cls) -> "Stage":
        account = make_account()
        made = []
        for opt_in in OPT_INS:
            sequence, tag = make_sequence(account, {"delay_value": 1}), make_tag(account)
            values = {"name": "F", "opt_in": opt_in, "tag_ids": [tag.pk], "sequence_ids": [sequence.pk]}
            made.append(forms.create(account.pk, values, MONDAY_9, sequence_ids={sequence.pk}))
        return cls(account, made)

    def person(self) -> Subscriber | None:
        return Subscriber.objects.filter(account=self.account).first()

    def do(self, step: Step, now: datetime) -> None:
        match step:
            case ("post", number, name):
                if (person := self.person()) is None or person.email_address == FIRST:
                    acts.ask(self.forms[number], Asked(FIRST, name or None), now)
            case ("click", number):
                acts.click(self.mails()[number].pk, now)
            case ("leave", state) if person := self.person():
                verb = {"cancelled": transitions.cancel, "bounced": transitions.bounce}
                verb.get(state, transitions.complain)(person.pk, now)
            case ("api", act) if person := self.person():
                self.api(act, person, now)
            case ("address", address) if self.person():
                Subscriber.objects.filter(account=self.account).update(email_address=address)

    def api(self, act: str, person: Subscriber, now: datetime) -> None:
        match act:
            case "confirm":
                transitions.confirm(person.pk, now, cause=causes.API)
            case "reinstate":
                transitions.reinstate(person.pk, "because", now)
            case "ask":
                try:
                    notices.confirmation(person.pk, now)
                except Invalid:
                    return

    def mails(self) -> list[SignUp]:
        return list(SignUp.objects.filter(subscriber__account=self.account).order_by("pk"))

    def told(self) -> dict[str, Any]:
        person = self.person()
        listed = FormSubscription.objects.filter(form__in=self.forms)
        places = Enrollment.objects.filter(account=self.account).values_list("sequence_id", flat=True)
        tags = Tagging.objects.filter(tag__account=self.account).values_list("tag_id", flat=True)
        return {
            "state": person.state if person else None,
            "name": (person.first_name or "") if person else "",
            "mails": [row.status for row in self.mails()],
            "sent": Notice.objects.filter(account=self.account).count(),
            "listed": {self.number(row.form_id): not row.is_unconfirmed for row in listed},
            "tagged": {number for number, form in enumerate(self.forms) if form.tag_ids[0] in tags},
            "placed": {number for number, form in enumerate(self.forms) if form.sequence_ids[0] in places},
        }

    def number(self, form_id: int) -> int:
        return next(number for number, form in enumerate(self.forms) if form.pk == form_id)


def expected(story: Story) -> dict[str, Any]:
    return {
        "state": story.state,
        "name": story.name,
        "mails": [mail.state for mail in story.mails],
        "sent": len(story.mails),
        "listed": story.listed,
        "tagged": story.added,
        "placed": story.added,
    }


def tell(story: Story, step: Step) -> None:
    match step:
        case ("wait", minutes):
            story.now += minutes * MINUTE
        case ("post", form, name):
            story.post(form, name)
        case ("click", number):
            story.click(number)
        case ("leave", state):
            story.leave(state)
        case ("api", act):
            story.api(act)
        case ("address", address) if story.state is not None:
            story.address = address


steps = st.one_of(
    st.tuples(st.just("post"), st.integers(0, 2), st.sampled_from(["", "Ann", "Rude"])),
    st.tuples(st.just("post"), st.integers(0, 2), st.sampled_from(["", "Ann", "Rude"])),
    st.tuples(st.just("click"), st.integers(0, 9)),
    st.tuples(st.just("click"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 4, 5, 60, 24 * 60 - 1, 24 * 60, 29 * 24 * 60, 31 * 24 * 60])),
    st.tuples(st.just("leave"), st.sampled_from(["cancelled", "bounced", "complained"])),
    st.tuples(st.just("api"), st.sampled_from(["confirm", "ask", "reinstate"])),
    st.tuples(st.just("address"), st.sampled_from([FIRST, OTHER])),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(
    [("post", 1, "Ann"), ("leave", "bounced"), ("click", 0), ("post", 2, ""), ("leave", "cancelled"), ("click", 1)]
)
@example([*[("post", 1, ""), ("wait", 5)] * 7, ("click", 4), ("click", 0), ("post", 0, "Ann")])
@example([("post", 0, ""), ("leave", "cancelled"), ("post", 0, "Ann"), ("click", 0), ("post", 0, "Rude")])
@given(st.lists(steps, max_size=25))
def test_a_story_goes_as_the_rules_say(story_steps: list[Step]) -> None:
    with transaction.atomic():
        stage, story = Stage.build(), Story()
        for step in story_steps:
            if step[0] == "click":
                if not story.mails:
                    continue
                step = ("click", step[1] % len(story.mails))
            tell(story, step)
            stage.do(step, story.now)
            assert stage.told() == expected(story), step
        transaction.set_rollback(True)
