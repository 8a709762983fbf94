"""What inbox:// caught."""

from typing import ClassVar

from django.db import models


class CapturedMessage(models.Model):
    """A message that would have left the machine.

    Body and headers are read from `raw` when somebody looks (inbox.shape): parsing costs 50 times what storing does,
    and most captured messages of a rehearsal are only counted.
    """

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="captured_messages", db_index=False)
    to = models.TextField()  # envelope recipient
    from_address = models.TextField()  # address of the From header
    subject = models.TextField()
    message_id = models.TextField()  # with its angle brackets, "" when there is none
    sent_at = models.DateTimeField()
    raw = models.BinaryField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "id"], name="captured_of_account")]

    def __str__(self) -> str:
        return f"message {self.pk} captured at {self.sent_at}"
