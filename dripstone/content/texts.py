"""Short plain texts with Liquid that are no email: values of fields, what is told to an owner, bodies of calls.

They know `subscriber`, `now` and `today`, and no more: no snippet, no link that belongs to a mail. Like an email, one
cannot fail when its time has come; it can only take too much work.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from liquid.exceptions import LiquidError
from liquid.template import BoundTemplate

from dripstone.content import liquid, liquid_render, trial
from dripstone.content.compile import Person
from dripstone.content.liquid_cost import OverBudget

KNOWN = frozenset(("subscriber", "now", "today"))


def problems(source: str, part: str, most: int) -> Iterator[str]:
    """What is wrong with one that is about to be saved, as sentences. part: what it is, in the creator's words"""
    found = liquid.check_new(source, part, most=most)
    yield from found
    if not found and is_liquid(source):
        unknown = sorted(liquid.variables(source).names - KNOWN)
        for name in unknown:
            yield f"{part} can't use {name}: it knows subscriber, now and today"
        if not unknown and (over := _too_much(source, part)):
            yield over


def _too_much(source: str, part: str) -> str:
    for person in trial.people(liquid.variables(source).fields):
        try:
            rendered(source, person, trial.DATE, part)
        except OverBudget as over:
            return trial.sentence(over)
    return ""


@lru_cache(maxsize=512)
def is_liquid(source: str) -> bool:
    """Whether it may come out differently for different people."""
    return any(piece.is_liquid for piece in liquid.pieces(source))


def rendered(source: str, person: Person, now: datetime, part: str = "") -> str:
    """As it comes out for somebody. now: aware, in the zone that people should see. Raises OverBudget."""
    if not is_liquid(source):
        return source
    state = liquid_render.State(now)
    state.part = part
    fields = {key: liquid.clean(value) if value else value for key, value in person.fields.items()}
    names = {
        "first_name": liquid.clean(person.first_name or "") or None,
        "email_address": liquid.clean(person.email_address),
        "id": person.subscriber_id,
    }
    values: dict[str, object] = {"subscriber": fields | names, "now": now, "today": now.date()}
    return liquid.clean(liquid_render.render(_template(source), values, state))


@lru_cache(maxsize=512)  # parsing costs a millisecond
def _template(source: str) -> BoundTemplate:
    try:
        return liquid.parse(liquid.TEXT, source)
    except LiquidError:  # it was refused when it was saved; a later version of ours may understand less
        return liquid.parse(liquid.TEXT, "".join(one.text for one in liquid.pieces(source) if not one.is_liquid))
