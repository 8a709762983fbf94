"""Mail about accounts, read as its reader would."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from dripstone.engine.models import Notice


def sent() -> list[EmailMessage]:
    """All that has been asked for, oldest first."""
    rows = Notice.objects.order_by("pk")
    return [message_from_bytes(bytes(row.message), EmailMessage, policy=default) for row in rows]


def link_in(message: EmailMessage) -> str:
    """The path of its link."""
    [part] = [one for one in message.walk() if one.get_content_type() == "text/plain"]
    [path] = re.findall(r"^https?://[^/\s]+(/\S+)\s*$", part.get_content(), re.MULTILINE)
    return str(path)
