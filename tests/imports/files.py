"""Files of people for tests, and imports of them."""

import csv
import io
from typing import Any

from dripstone.accounts.models import Account
from dripstone.events.models import Event
from dripstone.imports import files, verbs, work
from dripstone.imports.models import Import, Piece, Rejected, Row, Touched
from dripstone.subscribers.models import Tagging
from tests.factories import MONDAY_9


def now() -> Any:
    return MONDAY_9


def uploaded(account: Account, content: bytes | str, *, piece: int = 1_000_000) -> Import:
    data = content.encode() if isinstance(content, str) else content
    import_ = files.begin(account, "people.csv", "owner@example.com", MONDAY_9)
    for number, start in enumerate(range(0, len(data), piece)):
        files.add(import_, number, data[start : start + piece])
    return files.finish(import_, MONDAY_9)


def chosen(account: Account, content: bytes | str, **given: Any) -> Import:
    """Read and counted, and not run."""
    import_ = uploaded(account, content)
    verbs.choose(import_, {"consent": True, **given}, MONDAY_9)
    work.until_idle(now)
    import_.refresh_from_db()
    return import_


def imported(account: Account, content: bytes | str, **given: Any) -> Import:
    import_ = chosen(account, content, **given)
    verbs.run(import_, MONDAY_9)
    work.until_idle(now)
    import_.refresh_from_db()
    return import_


def undone(import_: Import) -> Import:
    verbs.undo(import_, MONDAY_9)
    work.until_idle(now)
    import_.refresh_from_db()
    return import_


def reasons(import_: Import) -> list[str]:
    """Why rows were not taken, in their order."""
    text = b"".join(verbs.rejected(import_)).decode("utf-8-sig")
    return [cells[-1] for cells in csv.reader(io.StringIO(text, newline=""))][1:]


def left(account: Account) -> list[Any]:
    """All that the import of the account may leave, without ids."""
    import_, of_account = Import.objects.get(account=account), {"of_import__account": account}
    people = account.subscribers.order_by("email_address")
    return [
        [(one.email_address, one.first_name, sorted(one.fields.values()), one.state) for one in people],
        sorted(Tagging.objects.filter(tag__account=account).values_list("subscriber__email_address", "tag__name")),
        sorted(Event.objects.filter(account_id=account.pk).values_list("type", flat=True)),
        [import_.state, import_.n_rows, import_.n_rejected, import_.n_twice, import_.n_new, import_.n_existing],
        [import_.n_done, import_.n_made, import_.n_changed, import_.n_entered, import_.n_undone, import_.n_left_alone],
        [model.objects.filter(**of_account).count() for model in (Piece, Row, Rejected, Touched)],
    ]
