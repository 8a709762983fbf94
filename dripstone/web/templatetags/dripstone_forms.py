from collections.abc import Iterable
from typing import Any

from django import template

from dripstone.given import as_yes_no
from dripstone.web.forms import Form

register = template.Library()

Choice = tuple[Any, str]
Group = tuple[str, Iterable[Choice]]

ATTRIBUTES = ("autocomplete", "inputmode", "placeholder", "min", "max", "rows", "maxlength", "list", "spellcheck")
FLAGS = ("required", "autofocus", "readonly", "disabled")


@register.inclusion_tag("_problems.html")
def problems(form: Form) -> dict[str, Any]:
    """All that is wrong, at the head of a form that was refused; each sentence leads to its field."""
    return {"problems": [(member.split(".")[0] if member else "", sentence) for member, sentence in form.problems]}


@register.inclusion_tag("_field.html")
def field(
    form: Form,
    name: str,
    label: str,
    kind: str = "text",
    hint: str = "",
    choices: Iterable[Choice] = (),
    groups: Iterable[Group] = (),
    **other: Any,
) -> dict[str, Any]:
    """A member of a form with its label, hint and problem.

    kind     text, email, password, number, search, time, date, textarea, select, checkbox, checkboxes, radios
    choices  (value, label) of a select, checkboxes or radios
    groups   of many checkboxes in place of choices: (heading, choices). Beside each label stands its value
    other    attributes of the control: required=True, autocomplete="off" …
    """
    unknown = set(other).difference(ATTRIBUTES, FLAGS)
    if unknown:
        raise template.TemplateSyntaxError(f"a field has no {', '.join(sorted(unknown))}")
    value, problem = form.values.get(name), form.problem(name)
    chosen = {str(one) for one in value} if isinstance(value, (list, tuple, set)) else {_text(value)}
    ids = [f"f-{name}-{what}" for what, is_there in (("hint", hint), ("problem", problem)) if is_there]

    def marked(some: Iterable[Choice]) -> list[tuple[str, str, bool]]:
        return [(_text(one), text, _text(one) in chosen) for one, text in some]

    return {
        "name": name,
        "label": label,
        "kind": kind,
        "hint": hint,
        "problem": problem,
        "value": _text(value),
        "is_on": as_yes_no(value) is True,
        "choices": marked(choices),
        "groups": [(heading, marked(some)) for heading, some in groups],
        "described_by": " ".join(ids),
        "attributes": [(key, other[key]) for key in ATTRIBUTES if other.get(key) not in (None, "")],
        "flags": [key for key in FLAGS if other.get(key)],
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value)
