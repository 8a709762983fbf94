"""What a look at a sequence, a rule or an automation may find."""

from dataclasses import dataclass
from typing import Any

ERROR = "error"  # it stops mail from going out, or nearly all of it from arriving
WARNING = "warning"  # it goes out, but not as it should
NOTICE = "notice"  # worth knowing


@dataclass(frozen=True, slots=True)
class Mend:
    """A call of the API that mends it."""

    method: str
    path: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    severity: str
    sentence: str
    mend: Mend | None = None
    mend_by: str = ""  # if no call mends it: the setting, the command or the person that does
    email_id: int | None = None
    node: str = ""  # of an automation: the key of the one that it is about; "": the whole, or an entry
