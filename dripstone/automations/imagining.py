"""An imagined person for a test run (trial.py), and what happens to them: by the verbs that do it for everybody.

Only in a transaction that is rolled back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from dripstone.accounts.models import Account
from dripstone.engine import enroll, transitions
from dripstone.engine.acts import sign_ups
from dripstone.events import causes, types
from dripstone.events.record import event, record
from dripstone.given import MAX_NAME
from dripstone.purchases import verbs as purchases
from dripstone.purchases.models import Product
from dripstone.sequences import known
from dripstone.subscribers import fields, forms, subscribe, tags
from dripstone.subscribers.models import CustomField, Form, SignUp, State, Subscriber, Tag, locked, locked_all
from dripstone.subscribers.sign_ups import Asked
from dripstone.triggers import when
from dripstone.triggers.when import Trigger

ADDRESS: Final = "imagined{}@dripstone.example"

NAME: Final = "Ann"

CONFIRMS: Final = "confirms"
UNSUBSCRIBES: Final = "unsubscribes"

Happening = Trigger | str
"""A trigger, CONFIRMS or UNSUBSCRIBES."""


@dataclass(frozen=True, slots=True)
class Imagined:
    """fields        values by id
    product_ids   bought before
    """

    first_name: str = NAME
    is_confirmed: bool = True
    tag_ids: frozenset[int] = frozenset()
    form_ids: frozenset[int] = frozenset()
    product_ids: frozenset[int] = frozenset()
    fields: Mapping[int, str] = field(default_factory=dict)


def make(account: Account, one: Imagined, now: datetime) -> Subscriber:
    """What is not of the account is left out. Raises Invalid."""
    keys = fields.keys_of(account.pk)
    given = {
        "email_address": _free_address(account),
        "first_name": one.first_name or None,
        "state": State.ACTIVE if one.is_confirmed else State.INACTIVE,
        "fields": {keys[str(pk)]: value for pk, value in one.fields.items() if value and str(pk) in keys},
    }
    person = subscribe.upsert(account.pk, given, now, cause=causes.OWNER).subscriber
    for tag in Tag.objects.filter(account=account, pk__in=one.tag_ids):
        tags.add(tag, person, now, cause=causes.OWNER)
    for form in Form.objects.filter(account=account, pk__in=one.form_ids):
        forms.add(form, person, {}, now, cause=causes.OWNER)
    for product in Product.objects.filter(account=account, pk__in=one.product_ids):
        _buy(account, person, product.name, product.pid, now)
    return person


def _free_address(account: Account) -> str:
    numbers = ["", *range(2, 100)]
    all_of_them = [ADDRESS.format(number) for number in numbers]
    taken = set(account.subscribers.filter(email_address__in=all_of_them).values_list("email_address", flat=True))
    return next(one for one in all_of_them if one not in taken)


def before(what: Trigger | None, one: Imagined) -> Imagined:
    """The same person as they have to be for that to happen to them."""
    match what:
        case {"trigger": when.TAG_ADDED, "tag_id": int(tag_id)}:
            return replace(one, tag_ids=one.tag_ids - {tag_id})
        case {"trigger": when.TAG_REMOVED, "tag_id": int(tag_id)}:
            return replace(one, tag_ids=one.tag_ids | {tag_id})
    return one


def may_happen(trigger: Trigger) -> bool:
    """Whether `happen` can bring it about. A date comes by itself."""
    return trigger["trigger"] in _HAPPEN


def happen(account: Account, person: Subscriber, what: Happening, now: datetime) -> None:
    """What is so already changes nothing, as in life: who has the tag does not get it."""
    if what == CONFIRMS:
        transitions.confirm(person.pk, now, cause=causes.SUBSCRIBER)
    elif what == UNSUBSCRIBES:
        transitions.cancel(person.pk, now, cause=causes.SUBSCRIBER)
    elif isinstance(what, dict):
        _HAPPEN[what["trigger"]](_One(account, person, what, now))


@dataclass(frozen=True, slots=True)
class _One:
    account: Account
    person: Subscriber
    trigger: Trigger
    now: datetime

    def thing(self, kind: str, member: str) -> Any:
        """Any of the kind where none is named; None: there is none."""
        rows = known.rows(self.account.pk)[kind]
        pk = self.trigger.get(member)
        return (rows if pk is None else rows.filter(pk=pk)).order_by("pk").first()


def _tag_added(one: _One) -> None:
    if (tag := one.thing("tag", "tag_id")) is not None:
        tags.add(tag, one.person, one.now, cause=causes.OWNER)


def _tag_removed(one: _One) -> None:
    if (tag := one.thing("tag", "tag_id")) is not None:
        tags.remove(tag, one.person, one.now, cause=causes.OWNER)


def _form_joined(one: _One) -> None:
    """As visitors do. Whoever has confirmed their address before clicks at once in the mail that may follow."""
    form = one.thing("form", "form_id")
    if form is None:
        return
    sign_ups.ask(form, Asked(one.person.email_address), one.now)
    waiting = SignUp.objects.filter(subscriber=one.person, form=form, status=SignUp.Status.WAITING).last()
    if waiting is not None and locked(one.person.pk).state == State.ACTIVE:
        sign_ups.click(waiting.pk, one.now)


def _purchased(one: _One) -> None:
    """Anything may be something that nobody has bought yet."""
    product = one.thing("product", "product_id")
    if product is not None:
        _buy(one.account, one.person, product.name, product.pid, one.now)
    elif "product_id" not in one.trigger:
        _buy(one.account, one.person, "Something", "imagined", one.now)


def _buy(account: Account, person: Subscriber, name: str, pid: str, now: datetime) -> None:
    line = {"name": name, "pid": pid, "lid": "1", "quantity": 1, "unit_price": 0}
    purchase = {
        "email_address": person.email_address,
        "transaction_id": f"imagined {person.pk} {pid} {now.isoformat()}"[:MAX_NAME],
        "status": "paid",
        "currency": "USD",
        "transaction_time": now.isoformat(),
        "products": [line],
        **dict.fromkeys(("subtotal", "tax", "shipping", "discount", "total"), 0),
    }
    purchases.upsert(account.pk, {"purchase": purchase}, now, source="test run", cause=causes.API)


def _field_changed(one: _One) -> None:
    field_id = one.trigger["custom_field_id"]
    if not CustomField.objects.filter(account=one.account, pk=field_id).exists():
        return
    people = locked_all(one.account.pk, [one.person.pk])
    before = people[one.person.pk].fields.get(str(field_id), "")
    value = one.trigger.get("value", f"{before} (changed)".strip())
    if value != before:
        subscribe.write_values(people, [(one.person.pk, field_id, value or None)], one.now, cause=causes.OWNER)


def _sequence_entered(one: _One) -> None:
    sequence = one.thing("sequence", "sequence_id")
    if sequence is not None:
        enroll.add(sequence, [one.person.pk], "owner", one.now)


def _became_active(one: _One) -> None:
    if not transitions.confirm(one.person.pk, one.now, cause=causes.SUBSCRIBER):
        _told(types.SUBSCRIBER_ACTIVATED, one)


def _told(kind: str, one: _One, subject_id: int | None = None) -> None:
    about = {"subscriber_id": one.person.pk, "subject_id": subject_id}
    record([event(kind, one.account.pk, one.now, cause=causes.NONE, **about)])


def _only_told(kind: str) -> Callable[[_One], None]:
    """What cannot be brought about at a stroke: it is said to have happened."""
    return lambda one: _told(kind, one, one.trigger["sequence_id"])


_HAPPEN: Mapping[str, Callable[[_One], None]] = {
    when.TAG_ADDED: _tag_added,
    when.TAG_REMOVED: _tag_removed,
    when.FORM_JOINED: _form_joined,
    when.PURCHASED: _purchased,
    when.FIELD_CHANGED: _field_changed,
    when.SEQUENCE_ENTERED: _sequence_entered,
    when.SEQUENCE_COMPLETED: _only_told(types.SEQUENCE_COMPLETED),
    when.SEQUENCE_LEFT: _only_told(types.REMOVED_FROM_SEQUENCE),
    when.BECAME_ACTIVE: _became_active,
}
