"""What rules and automations are called by those who have only their kind and number, as chains of causes have them."""

from collections.abc import Collection

from dripstone import words
from dripstone.automations.models import Automation
from dripstone.rules.models import Rule


def names(doers: Collection[str]) -> dict[str, str]:
    """{"rule 7": "the rule “Course page”"}; who is gone is not there. Two queries."""
    found = {}
    for kind, rows in (("rule", Rule.objects), ("automation", Automation.objects)):
        ids = [one.removeprefix(f"{kind} ") for one in doers if one.startswith(f"{kind} ")]
        for pk, name in rows.filter(pk__in=ids).values_list("pk", "name") if ids else ():
            found[f"{kind} {pk}"] = f"the {kind} {words.title(name)}"
    return found
