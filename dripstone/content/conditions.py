"""`not (…)`, `(…) and (…)`, `(…) or (…)`: the conditions that @media and @supports have in common."""

from collections.abc import Callable, Sequence
from typing import Any

MAX_DEPTH = 30  # parentheses within parentheses

Ask = Callable[[list[Any]], bool | None]
"""What one pair of parentheses, or one function, says; None: it asks for something unknown, and then neither it nor its
opposite holds."""


def holds(tokens: Sequence[Any], ask: Ask, depth: int = 0) -> bool | None:
    """`tokens` have no white space and no comments among them, as `bare` leaves them."""
    if depth > MAX_DEPTH:
        return None
    if word(tokens[:1]) == "not":
        held = holds(tokens[1:], ask, depth + 1) if len(tokens) == 2 else None
        return None if held is None else not held
    parts, words = tokens[::2], {word([token]) for token in tokens[1::2]}
    if any(token.type not in ("() block", "function") for token in parts) or len(words) > 1 or len(tokens) % 2 == 0:
        return None
    held_each = [_part(token, ask, depth) for token in parts]
    if words == {"or"}:
        return True if True in held_each else None if None in held_each else False
    return all_of(held_each) if words <= {"and"} else None


def all_of(held_each: Sequence[bool | None]) -> bool | None:
    return False if False in held_each else None if None in held_each else True


def word(tokens: Sequence[Any]) -> str:
    """The first of them, if it is a word."""
    return str(tokens[0].lower_value) if tokens and tokens[0].type == "ident" else ""


def bare(tokens: Sequence[Any]) -> list[Any]:
    return [token for token in tokens if token.type not in ("whitespace", "comment")]


def _part(token: Any, ask: Ask, depth: int) -> bool | None:
    if token.type == "function":
        return ask([token])
    inside = bare(token.content)
    is_condition = any(one.type == "() block" for one in inside[:2])
    return holds(inside, ask, depth + 1) if is_condition else ask(inside)
