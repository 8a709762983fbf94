"""The events of an account, as far as they are kept, by kind and by cause."""

from django.db.models import F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Concat

from dripstone.events.models import Event

TIME = "time"  # nobody: a wait, a date or the end of an email

_BETWEEN = "|"  # no cause has it


def matching(account_id: int, *, kind: str = "", cause: str = "") -> QuerySet[Event]:
    """Unordered. kind   of events/types.py
    cause   anywhere in the chain: "rule" for any rule, "rule 7" for that one, "time" for none at all; "" for all
    """
    rows = Event.objects.filter(account_id=account_id)
    if kind:
        rows = rows.filter(type=kind)
    if cause == TIME:
        return rows.filter(cause=[])
    if cause:
        joined = Func(F("cause"), Value(_BETWEEN), function="array_to_string", output_field=TextField())
        rows = rows.alias(chain=Concat(Value(_BETWEEN), joined, Value(_BETWEEN), output_field=TextField()))
        rows = rows.filter(Q(chain__contains=f"{_BETWEEN}{cause}{_BETWEEN}") | Q(chain__contains=f"{_BETWEEN}{cause} "))
    return rows


def edge(account_id: int, before: int | None, most: int) -> int | None:
    """The event behind the `most` newest, or behind the `most` before that one; None: there are not so many. By
    event_by_account alone."""
    rows = Event.objects.filter(account_id=account_id)
    older = rows if before is None else rows.filter(pk__lt=before)
    return older.order_by("-pk").values_list("pk", flat=True)[most : most + 1].first()
