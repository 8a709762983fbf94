"""Bodies of calls: JSON that says what was done for whom, or what the owner wants said.

An owner's body is JSON whose texts may hold Liquid: what comes out of Liquid stays within its text, so that whatever a
person's name holds, the receiver gets JSON.

    {"email": "{{ subscriber.email_address }}", "plan": ["{{ subscriber.plan | default: 'free' }}", 7]}
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from dripstone import grammar
from dripstone.content import texts
from dripstone.content.compile import Person
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.given import Checked, unstorable
from dripstone.subscribers.models import Subscriber

LONGEST = 65_536  # characters of it as JSON
DEEPEST = 20


def read(one: Checked, name: str) -> dict[str, Any]:
    """As given, an object or its text; nothing where the usual body will do, or there is a problem."""
    given = one.given.get(name)
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    body = grammar.from_json(given)
    if not isinstance(body, dict | list) or _depth(body) > DEEPEST:
        one.wrong(name, "must be an object or array of JSON, with Liquid only inside its texts")
    elif len(given if isinstance(given, str) else json.dumps(given)) > LONGEST:
        one.wrong(name, f"is too long (maximum is {LONGEST} characters)")
    else:
        n_problems = len(one.problems)
        for sentence in dict.fromkeys(_problems(body, one.path(name))):
            one.refuse(name, sentence)
        return {name: given} if len(one.problems) == n_problems else {}
    return {}


def _depth(value: Any, so_far: int = 0) -> int:
    """Up to one more than DEEPEST: deeper is not looked at."""
    if not isinstance(value, dict | list) or so_far > DEEPEST:
        return so_far
    inside = value.values() if isinstance(value, dict) else value
    return max((_depth(one, so_far + 1) for one in inside), default=so_far + 1)


def _problems(value: Any, part: str) -> Iterator[str]:
    for text in _texts(value):
        if complaint := unstorable(text):
            yield f"{part} {complaint}"
        else:
            yield from texts.problems(text, part, LONGEST)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from (part for part in (key,) if unstorable(part))
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def of_owner(body: object, person: Person, now: datetime) -> bytes:
    """For one person. now: in the account's zone. Raises OverBudget."""
    return _json(_filled(grammar.from_json(body), person, now))


def _filled(value: Any, person: Person, now: datetime) -> Any:
    if isinstance(value, str):
        return texts.rendered(value, person, now, "body")
    if isinstance(value, dict):
        return {key: _filled(one, person, now) for key, one in value.items()}
    return [_filled(one, person, now) for one in value] if isinstance(value, list) else value


def usual(person: Subscriber, keys: Mapping[str, str], cause: Cause, now: datetime) -> bytes:
    """Where the owner says nothing: by what, when, why, and the person as Kit shows them."""
    kind, _, number = doer(cause).partition(" ")
    return _json(
        {
            "source": {"type": kind, "id": int(number) if number.isdigit() else None},
            "occurred_at": _instant(now),
            "cause": list(cause),
            "subscriber": {
                "id": person.pk,
                "first_name": person.first_name,
                "email_address": person.email_address,
                "state": person.state,
                "created_at": _instant(person.created_at),
                "fields": {key: person.fields.get(field_id) for field_id, key in keys.items()},
            },
        }
    )


def doer(cause: Cause) -> str:
    """Who acts: `rule 7`, the last in the chain."""
    return next((one for one in reversed(cause) if one != causes.QUIET), "")


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()[:19] + "Z"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
