"""Edits of a condition: something else at a place, something beside it, or nothing. Pure; all else of it stays.

A place is the way down from the top: `all.1.any.0` is the first alternative of the second thing; `top` is the top.
"""

import re
from collections.abc import Mapping
from typing import Any

Condition = dict[str, Any]
Path = tuple[str | int, ...]

JOINERS = {"and": "all", "or": "any"}
GROUPS = ("all", "any")

TOP = "top"
_PATH = re.compile(r"(?:(?:all|any)\.\d{1,3}|not)(?:\.(?:(?:all|any)\.\d{1,3}|not))*")


def path_of(text: str) -> Path | None:
    """None for no place."""
    if text == TOP:
        return ()
    if not _PATH.fullmatch(text):
        return None
    return tuple(int(step) if step.isdigit() else step for step in text.split("."))


def text_of(path: Path) -> str:
    return ".".join(map(str, path)) or TOP


def name_of(path: Path, top: str) -> str:
    """As the grammar names it in problems: `filter.all[1].any[0]`."""
    return top + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def way_to(here: Any, wanted: Condition) -> Path:
    """Where this very object stands; () if nowhere."""
    inside = enumerate(here) if isinstance(here, list) else here.items() if isinstance(here, Mapping) else ()
    for step, one in inside:
        if one is wanted:
            return (step,)
        if way := way_to(one, wanted):
            return (step, *way)
    return ()


def at(condition: Condition | None, path: Path) -> Condition | None:
    """What stands there; None for nothing."""
    here: Any = condition
    for step in path:
        if isinstance(step, int):
            here = here[step] if isinstance(here, list) and step < len(here) else None
        else:
            here = here.get(step) if isinstance(here, Mapping) and "type" not in here else None
    return here if isinstance(here, dict) else None


def group_of(condition: Condition) -> str | None:
    """`all` or `any`; None for anything else. A leaf may have a member `any`."""
    return None if "type" in condition else next((key for key in GROUPS if key in condition), None)


def put(condition: Condition | None, path: Path, new: Condition) -> Condition:
    """`new` in place of what stands there."""
    replaced = _put(condition, path, new)
    assert isinstance(replaced, dict)
    return replaced


def _put(here: Any, path: Path, new: Condition) -> Any:
    if not path:
        return new
    step, *rest = path
    if isinstance(step, int):
        return [_put(one, tuple(rest), new) if place == step else one for place, one in enumerate(here)]
    return {**here, step: _put(here[step], tuple(rest), new)}


def beside(condition: Condition | None, path: Path, joiner: str, new: Condition) -> Condition:
    """`new` joined to what stands there by `and` or `or`: in the group of that kind which is there or around it, else
    in one that is made."""
    here, key = at(condition, path), JOINERS[joiner]
    if here is None:
        return new
    if group_of(here) == key:
        return put(condition, path, {key: [*here[key], new]})
    *around, last = path or ("",)
    if around and around[-1] == key and isinstance(last, int):
        group = at(condition, tuple(around[:-1]))
        assert group is not None
        return put(condition, tuple(around[:-1]), {key: [*group[key][: last + 1], new, *group[key][last + 1 :]]})
    return put(condition, path, {key: [here, new]})


def removed(condition: Condition | None, path: Path) -> Condition | None:
    """Without what stands there. A group that has one thing left becomes that thing; an empty one goes."""
    if not path:
        return None
    *around, last = path
    if last == "not":
        return removed(condition, tuple(around))
    assert isinstance(last, int)
    parent, key = tuple(around[:-1]), str(around[-1])
    group = at(condition, parent)
    assert group is not None
    left = [one for place, one in enumerate(group[key]) if place != last]
    if not left:
        return removed(condition, parent)
    return put(condition, parent, left[0] if len(left) == 1 else {key: left})


def plain(condition: Condition) -> tuple[Condition, bool, Path]:
    """Without the `not`s around it: what is said, whether it is denied, and the way down to it."""
    is_denied, way = False, 0
    while "not" in condition:
        condition, is_denied, way = condition["not"], not is_denied, way + 1
    return condition, is_denied, ("not",) * way


def signed(condition: Condition, *, is_denied: bool) -> Condition:
    return {"not": condition} if is_denied else condition
