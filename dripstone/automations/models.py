"""Automations, the nodes of their graphs, the walks of people through them, and the log of each step.

docs/reference/life-of-a-walk.md follows a person through one.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from dripstone.accounts.models import Account


class Automation(models.Model):
    """A graph that people walk through: entries (triggers) lead to `start`, and from there on from node to node."""

    class Status(models.TextChoices):
        INACTIVE = "inactive"  # nobody enters, nobody walks, places are kept
        ACTIVE = "active"
        PAUSED = "paused"  # people enter and wait at the entry, nobody walks

    class Reenter(models.TextChoices):
        ALWAYS = "always"
        NEVER = "never"

    account = models.ForeignKey(Account, models.CASCADE, related_name="automations")
    name = models.TextField()
    status = models.TextField(choices=Status, default=Status.INACTIVE)
    reenter = models.TextField(choices=Reenter, default=Reenter.ALWAYS)
    entries = models.JSONField(default=list)  # triggers, each with an id of its own: [{"id": "a", "trigger": …}]
    start = models.TextField(default="", blank=True)  # key of a node; "": whoever enters leaves at once
    draft = models.JSONField(null=True)  # the whole as it will be (graph.as_json); None: nothing is unpublished
    draft_changed_at = models.DateTimeField(null=True)
    draft_changed_by = models.TextField(default="", blank=True)
    draft_revision = models.PositiveIntegerField(default=0)  # counts savings: an open page knows that it is stale
    edition = models.PositiveIntegerField(
        default=1
    )  # counts publishings and switches: who has read it knows whether to again
    listens_after = models.BigIntegerField(
        default=0
    )  # number of the last event that lets nobody in; moved by switching on
    status_at = models.DateTimeField()  # since when it has its status
    time_zone = models.TextField(default="", blank=True)  # of the account, as waits for dates in fields are reckoned
    moved_to = models.BigIntegerField(null=True)  # walk up to which they are moved to a new one; None: all are
    stopped_at = models.DateTimeField(null=True)  # since when it does not run; None: it is active, or never ran
    made_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    changed_by = models.TextField(default="", blank=True)  # "owner", a person at a page, a credential of the API

    # Kept counts: walks and the log of a deleted person go.
    n_entered = models.PositiveBigIntegerField(default=0)
    n_left = models.PositiveBigIntegerField(default=0)
    n_not_entered = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes: ClassVar = [
            models.Index("account", "id", condition=Q(status="active"), name="automation_active"),
        ]

    def __str__(self) -> str:
        return self.name


class Node(models.Model):
    """A step of a published graph. One that was taken out of it stays while somebody stands at it, and its key for
    good: a key is never used again for another kind."""

    automation = models.ForeignKey(Automation, models.CASCADE, related_name="nodes", db_index=False)  # node_key
    key = models.TextField()  # its `id` in JSON
    kind = models.TextField()  # kinds.py
    settings = models.JSONField(default=dict)  # its members but id, kind and where it leads
    exits = models.JSONField(
        default=dict
    )  # {"next": "b"} · {"yes": null, "no": "b"} · {"branches": ["a", null], "otherwise": "c"}
    position = models.PositiveSmallIntegerField(default=0)  # in the list; of equals the first counts
    deleted_at = models.DateTimeField(null=True)
    leads_to = models.TextField(null=True)  # of a deleted one: where whoever stands here goes on; None: out

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("automation", "key", name="node_key")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} of automation {self.automation_id}"


class Walk(models.Model):
    """One run of a person through an automation: where they stand, until when, and how it ended. Ended ones stay, for
    `reenter` and for conditions (completed, left, ever)."""

    account_id = models.BigIntegerField()
    # No constraint: deleting an automation does not wait for its walks.
    automation = models.ForeignKey(Automation, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    subscriber_id = models.BigIntegerField()
    run = models.PositiveIntegerField(default=1)  # from 1, of this person in this automation
    entry = models.TextField(default="", blank=True)  # id of the entry; "": by hand, by a move, matched already
    cause = ArrayField(models.TextField(), default=list)  # of what let them in
    is_from_outside = models.BooleanField(
        default=True
    )  # whether that was an act of outside: the others are counted (A16)
    entered_at = models.DateTimeField()
    node = models.TextField(default="", blank=True)  # key of where they stand; "": at the entry, nothing walked
    arrived_at = models.DateTimeField()
    is_begun = models.BooleanField(default=False)  # what the node does with whoever arrives is done; else it is to be
    due_at = models.DateTimeField(
        null=True
    )  # when a tick has to look; None: only an event moves them, or nobody may yet
    ends_at = models.DateTimeField(null=True)  # when the wait or `within` here is over; None: it has no end
    called_to = models.TextField(default="", blank=True)  # event node ahead whose date has come; "": none
    acted = ArrayField(models.TextField(), default=list)  # keys of the nodes that acted in this run: each once (A3)
    enrollment_id = models.BigIntegerField(null=True)  # at a sequence node: the place there,
    enrollment_run = models.PositiveIntegerField(null=True)  # the run of it that is waited for,
    is_ours = models.BooleanField(default=False)  # and whether this walk made that run (A5)
    after_event = models.BigIntegerField(default=0)  # up to this one, events of the place are older than the wait
    stilled_at = models.DateTimeField(null=True)  # since when the place is still, because the automation does not run
    left_at = models.DateTimeField(null=True)
    left_because = models.TextField(default="", blank=True)  # reasons.py
    is_completed = models.BooleanField(
        default=False
    )  # they left by a way that ends, not by hand, a move or their state

    class Meta:
        constraints: ClassVar = [
            # Finds where somebody is inside, too.
            models.UniqueConstraint("subscriber_id", "automation", condition=Q(left_at=None), name="walk_inside_once"),
            models.UniqueConstraint("subscriber_id", "automation", "run", name="walk_run"),
        ]
        indexes: ClassVar = [
            models.Index(
                "automation", "due_at", "id", condition=Q(left_at=None, due_at__isnull=False), name="walk_due"
            ),
            models.Index("automation", "node", "id", condition=Q(left_at=None), name="walk_at_node"),
            # Conditions about everybody who was in one (conditions/sql.py). Written once, when somebody leaves.
            models.Index("automation", "subscriber_id", condition=Q(left_at__isnull=False), name="walk_ended"),
            models.Index("automation", "id", condition=Q(left_at=None) & ~Q(called_to=""), name="walk_called"),
            # How often an automation took a person by anything but an act of outside.
            models.Index(
                "subscriber_id", "automation", "entered_at", condition=Q(is_from_outside=False), name="walk_counted"
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.run} of subscriber {self.subscriber_id} in automation {self.automation_id}"


class NodeDate(models.Model):
    """The date of an event node that waits for one, until it has come and everybody before the node was called."""

    automation = models.ForeignKey(Automation, models.CASCADE, related_name="+", db_index=False)  # node_date_once
    node = models.TextField()
    at = models.DateTimeField()
    called_to = models.BigIntegerField(default=0)  # walk up to which people were called

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("automation", "node", name="node_date_once")]
        indexes: ClassVar = [models.Index("at", name="node_date_at")]

    def __str__(self) -> str:
        return f"date of {self.node} of automation {self.automation_id}"


class Step(models.Model):
    """What happened to a person at an automation, in one transaction: a row of the log, kept a year."""

    class What(models.TextChoices):
        ENTERED = "entered"
        NOT_ENTERED = "not_entered"
        WALKED = "walked"  # on from where they stood, by themselves
        PULLED = "pulled"  # forward, by an event
        MOVED = "moved"  # by hand or by an edit
        LEFT = "left"

    account_id = models.BigIntegerField()
    automation_id = models.BigIntegerField()
    subscriber_id = models.BigIntegerField()
    run = models.PositiveIntegerField(null=True)  # None: they did not enter
    at = models.DateTimeField()
    what = models.TextField(choices=What)
    node = models.TextField(default="", blank=True)  # where they stand now; "": at the entry, or outside
    reason = models.TextField(default="", blank=True)  # reasons.py: why not, why pulled or moved, why they left
    cause = ArrayField(models.TextField(), default=list)
    event_id = models.BigIntegerField(null=True)  # what set it off; None: time, an act by hand or an edit
    # The nodes on the way, in order: [{"node": "a", "what": "acted", "reason": ""}, …]; reasons.py
    path = models.JSONField(default=list)

    class Meta:
        indexes: ClassVar = [
            models.Index("automation_id", "id", name="step_of_automation"),
            models.Index("subscriber_id", "id", name="step_of_person"),
            # How many did not enter lately, and why: who.py.
            models.Index("automation_id", "at", condition=Q(what="not_entered"), name="step_not_entered"),
        ]

    def __str__(self) -> str:
        return f"{self.what} automation {self.automation_id}"


class Errand(models.Model):
    """What an act has left to do for many people, batch after batch: errands.py."""

    class What(models.TextChoices):
        GO_ON = "go_on"  # of those who stand at a deleted node
        REDATE = "redate"  # of those who wait at a changed one
        END_PLACES = "end_places"  # that walks through a deleted automation had made

    account_id = models.BigIntegerField()
    automation_id = models.BigIntegerField()  # which may be gone
    what = models.TextField(choices=What)
    node = models.TextField(default="", blank=True)
    cause = ArrayField(models.TextField(), default=list)
    asked_at = models.DateTimeField()
    after = models.BigIntegerField(default=0)  # walks up to this one are done

    def __str__(self) -> str:
        return f"{self.what} of automation {self.automation_id}"
