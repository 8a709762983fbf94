"""What inbox:// caught; and what all workers know together about the servers they send through."""

from typing import ClassVar

from django.db import models


class CapturedMessage(models.Model):
    """A message that would have left the machine.

    Body and headers are read from `raw` when somebody looks (inbox_reading.py): parsing costs 50 times what storing
    does, and most captured messages of a rehearsal are only counted.
    """

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="captured_messages", db_index=False)
    to = models.TextField()  # envelope recipient
    from_address = models.TextField()  # address of the From header
    subject = models.TextField()
    message_id = models.TextField()  # with its angle brackets, "" when there is none
    sent_at = models.DateTimeField()
    raw = models.BinaryField()  # b"" with an `original`
    # One message to several recipients: the first row has the source for all. They came at the same instant to the same
    # account, so they go together: no constraint, which would make the deletion of many slow.
    original = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "id"], name="captured_of_account")]

    def __str__(self) -> str:
        return f"message {self.pk} captured at {self.sent_at}"


class CapturedHead(models.Model):
    """Recipient and subject of a captured message, folded (postgresql/folded.py), so that they can be looked through
    without the messages: inbox_finding.py. The database keeps it (migration 0007)."""

    pk = models.CompositePrimaryKey("account_id", "message_id")
    account_id = models.BigIntegerField()
    message_id = models.BigIntegerField()
    head = models.TextField()

    def __str__(self) -> str:
        return f"head of message {self.message_id}"


class CapturedText(models.Model):
    """What a captured message says, folded: read from it when somebody first searches. It goes with the message."""

    pk = models.CompositePrimaryKey("account_id", "message_id")
    account_id = models.BigIntegerField()
    message_id = models.BigIntegerField()
    text = models.TextField()

    def __str__(self) -> str:
        return f"text of message {self.message_id}"


class Breaker(models.Model):
    """How one destination server fares: breaker.py. No row: it has never failed."""

    server = models.TextField(primary_key=True)  # urls.MailUrl.server
    n_failures = models.PositiveIntegerField(default=0)  # fruitless hand-overs in a row
    n_openings = models.PositiveIntegerField(default=0)  # in a row; the waits grow with it
    retry_at = models.DateTimeField(null=True)  # open: when the next probe may go. None: closed
    opened_at = models.DateTimeField(null=True)
    reason = models.TextField(default="", blank=True)  # of the last failure: Answer.reason
    reply = models.TextField(default="", db_default="", blank=True)  # what the server said last

    def __str__(self) -> str:
        return f"breaker of {self.server}"


class Meter(models.Model):
    """What one limited thing has used of its limits: pace.py. The key names a server, a domain or an account."""

    key = models.TextField(primary_key=True)
    full_at = models.DateTimeField(null=True)  # per second: when all its tokens will be there again
    hours = models.JSONField(default=dict)  # per day: {hour since 1970: messages in it}
    used_at = models.DateTimeField(null=True)  # when the last token was taken
    queue_until = models.DateTimeField(null=True)  # the end of what was put off because of this limit

    def __str__(self) -> str:
        return f"meter of {self.key}"


class Hindrance(models.Model):
    """What keeps a worker process from sending: hindrances.py. No row: nothing does."""

    worker = models.TextField(primary_key=True)
    sentence = models.TextField()
    seen_at = models.DateTimeField()  # by its machine's clock; what it has not said again for a while is over

    def __str__(self) -> str:
        return f"hindrance of {self.worker}"


class Share(models.Model):
    """How many connections to a server one worker process may have open: shares.py."""

    server = models.TextField()
    worker = models.TextField()
    n_connections = models.PositiveIntegerField()
    until = models.DateTimeField()  # a worker that is gone loses its share then

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("server", "worker", name="share_of_worker")]

    def __str__(self) -> str:
        return f"{self.n_connections} connections of {self.worker}"
