"""Subjects in lists, which are about no single person: fields are shown by their names."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from liquid.exceptions import LiquidError

from dripstone.content import liquid, liquid_render, mime


class Names(Mapping[str, object]):
    """Every field, filled with its own name: `subscriber.first_name` → "[first name]"."""

    def __getitem__(self, key: str) -> object:
        return f"[{str(key).replace('_', ' ')}]"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


def readable(source: str, now: datetime) -> str:
    """ "Hello {{ subscriber.first_name }}" → "Hello [first name]". Broken Liquid is shown unchanged."""
    if "{" not in source:
        return source
    try:
        template = liquid.parse(liquid.TEXT, source)
    except LiquidError:
        return source
    values = {"subscriber": Names(), "snippet": Names()}
    return mime.one_line(liquid_render.render(template, values, liquid_render.State(now))) or source
