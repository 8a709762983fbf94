"""People and what is known of them: tags, custom fields, forms, segments."""

from collections.abc import Iterable
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import Value
from django.db.models.functions import Coalesce, Left, Lower

from dripstone.accounts.models import Account
from dripstone.errors import NotFound
from dripstone.given import MAX_NAME
from dripstone.postgresql.compiled import Among, Compiled, Parameter


class State(models.TextChoices):
    """Account-wide state of a subscriber, in Kit's words. Only `active` people are sent to."""

    ACTIVE = "active"
    INACTIVE = "inactive"  # unconfirmed
    CANCELLED = "cancelled"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


# What people are sorted by first name by: whoever has none comes first. Names are no longer than this (given.MAX_NAME),
# but those that an early version took may be, and an index has no room for a book.
NAME_KEY = Left(Coalesce("first_name", Value("")), MAX_NAME)


class Subscriber(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="subscribers", db_index=False)  # see Meta
    email_address = models.TextField()  # given.plain_address
    first_name = models.TextField(null=True)
    state = models.TextField(choices=State, default=State.ACTIVE)  # written by engine/transitions.py only
    fields = models.JSONField(default=dict)  # {custom field id as text: value}; ids, so that a rename costs nothing
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True)
    # The delivery whose link they unsubscribed with, and may come back with; None: the owner or the API did it.
    left_through = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", "email_address", name="subscriber_address_of_account"),
            models.CheckConstraint(name="subscriber_state", condition=models.Q(state__in=State.values)),
            models.CheckConstraint(
                name="subscriber_cancelled_at",
                condition=models.Q(canceled_at__isnull=False) | ~models.Q(state=State.CANCELLED),
            ),
        ]
        # Sending an email does not write this table. An insert takes 60 µs with six of these and 45 with three, an
        # update 50 instead of 20, of the 2 ms that the call takes. Each is as wide as its list needs to find a page
        # without the rows (api/paging.py): what a page passes over costs 0.06 µs a row.
        indexes: ClassVar = [
            # People of one state, newest first; those of one changed before some day; what an email may go to.
            models.Index("account", "state", "id", include=["updated_at"], name="subscriber_of_state"),
            models.Index("account", "id", name="subscriber_of_account"),  # the same of every state
            # Created or changed within some time, and in that order.
            models.Index("account", "created_at", "id", include=["state"], name="subscriber_by_creation"),
            models.Index("account", "updated_at", "id", include=["state"], name="subscriber_by_change"),
            # People whose address begins so, whatever the database's collation (web/previewing.py).
            models.Index(
                fields=["account", "email_address"],
                opclasses=["int8_ops", "text_pattern_ops"],
                name="subscriber_by_prefix",
            ),
            # By first name, for Kit's filter.
            models.Index("account", NAME_KEY, "id", name="subscriber_by_first_name"),
            # In the order in which people left: few rows, and they do not move.
            models.Index(
                "account", "canceled_at", "id", condition=models.Q(state="cancelled"), name="subscriber_by_leaving"
            ),
        ]

    def __str__(self) -> str:
        return f"subscriber {self.pk}"


class NameWord(models.Model):
    """A word of somebody's name, folded (postgresql/folded.py): an index kept beside the table, since an index on it
    would have one entry for a person, and names have several words. The database maintains it (migration 0013).

    Its key is its only index, in the order of characters: those whose name has a word that begins so lie together,
    however many they are. 110 bytes for each word, its key included.
    """

    pk = models.CompositePrimaryKey("account_id", "word", "subscriber_id")
    account_id = models.BigIntegerField()
    word = models.TextField(db_collation="C")
    subscriber_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.word} in the name of subscriber {self.subscriber_id}"


def lock_person(person: Subscriber) -> None:
    """Locks the person until the transaction ends, so that other writes about them, and their events, come after.

    Raises NotFound when they have been deleted meanwhile.
    """
    locked(person.pk)


def locked(subscriber_id: int) -> Subscriber:
    """The person as they are now, locked in the same way. Raises NotFound."""
    found = Subscriber.objects.select_for_update(no_key=True).filter(pk=subscriber_id).first()
    if found is None:
        raise NotFound
    return found


def locked_all(account_id: int, ids: Iterable[int]) -> dict[int, Subscriber]:
    """Those of them that are the account's, by id, as they are now, locked in the same way; in the order of all."""
    return {person.pk: person for person in _LOCKED_ALL.all(account=account_id, ids=list(set(ids)))}


_LOCKED_ALL = Compiled(
    lambda: (
        Subscriber.objects.select_for_update(no_key=True)
        .filter(Among("id", Parameter("ids")), account=Parameter("account"))
        .order_by("id")
    )
)


class Remembered(models.Model):
    """The address of a deleted person who must not be mailed again, as nobody can read it: subscribers/remembered.py.

    It is nobody's on file: whoever gets the address takes the state over, and the row goes.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)  # see Meta
    digest = models.BinaryField()  # of the address: signing.fingerprint
    key = models.BinaryField()  # tells by which secret key it was made
    state = models.TextField(choices=State)
    since = models.DateTimeField()  # when they unsubscribed, else when they were deleted

    class Meta:
        verbose_name_plural = "remembered"
        constraints: ClassVar = [
            models.UniqueConstraint("account", "digest", name="remembered_once"),
            models.CheckConstraint(
                name="remembered_state", condition=models.Q(state__in=["cancelled", "bounced", "complained"])
            ),
        ]

    def __str__(self) -> str:
        return f"remembered as {self.state} since {self.since}"


class Location(models.Model):
    """Where a person is, as somebody said: by the API, or at their page (locations.py). Nothing is guessed."""

    subscriber = models.OneToOneField(Subscriber, models.CASCADE, primary_key=True, related_name="+")
    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)  # see Meta
    city = models.TextField()
    state_province = models.TextField()
    country_code = models.TextField()  # ISO 3166-1, two capital letters
    latitude = models.FloatField()  # degrees, north and east positive
    longitude = models.FloatField()
    time_zone = models.TextField()  # IANA name
    pinned_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index("account", "country_code", "subscriber", name="location_by_country")]

    def __str__(self) -> str:
        return f"location of subscriber {self.pk}"

    @property
    def in_words(self) -> str:
        """`Boise, Idaho, US`."""
        return f"{self.city}, {self.state_province}, {self.country_code}"


class CustomField(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="custom_fields")
    label = models.TextField()
    key = models.TextField()  # ASCII lower_snake of the label; what Liquid says after `subscriber.`
    name = models.TextField()  # ck_field_<id>_<first key>; never changes
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", Lower("label"), name="custom_field_label_of_account"),
            models.UniqueConstraint("account", "key", name="custom_field_key_of_account"),
        ]

    def __str__(self) -> str:
        return self.label


class Tag(models.Model):
    account = models.ForeignKey(Account, models.CASCADE, related_name="tags")
    name = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", Lower("name"), name="tag_name_of_account")]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="taggings", db_index=False)  # tagging_once finds them
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="taggings")
    tagged_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("tag", "subscriber", name="tagging_once")]
        # People who got the tag within some time, and in that order. It replaces the index on the tag alone.
        indexes: ClassVar = [models.Index("tag", "tagged_at", "subscriber", name="tagging_by_time")]


class Form(models.Model):
    class Type(models.TextChoices):
        EMBED = "embed"
        HOSTED = "hosted"

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"
        TRASHED = "trashed"

    class OptIn(models.TextChoices):
        """Who must click in a mail before they are on the list: docs/reference/life-of-a-sign-up.md."""

        SINGLE = "single"  # those alone who are on file and may not be mailed
        DOUBLE = "double"  # everybody

    account = models.ForeignKey(Account, models.CASCADE, related_name="forms")
    name = models.TextField()
    type = models.TextField(choices=Type.choices, default=Type.EMBED)
    format = models.TextField(null=True)  # embeds: inline, modal, slide in, sticky bar
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE)
    uid = models.CharField(max_length=10, unique=True)
    created_at = models.DateTimeField()

    # What its page shows and asks; "" is what subscribers/forms.py USUAL says.
    opt_in = models.TextField(choices=OptIn, default=OptIn.DOUBLE, db_default=OptIn.DOUBLE)
    heading = models.TextField(default="", db_default="", blank=True)
    description = models.TextField(default="", db_default="", blank=True)
    address_label = models.TextField(default="", db_default="", blank=True)
    name_label = models.TextField(default="", db_default="", blank=True)
    button = models.TextField(default="", db_default="", blank=True)
    is_plain = models.BooleanField(default=False, db_default=False)  # its page has no look of ours
    asks_first_name = models.BooleanField(default=True, db_default=True)
    field_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))  # custom fields it asks

    # What it adds. Ids of things that were deleted since are passed over.
    tag_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))
    sequence_ids = ArrayField(models.BigIntegerField(), default=list, db_default=Value("{}"))

    # What the mail says that asks to confirm, and what is shown afterwards: a text, or another site's page.
    confirmation_subject = models.TextField(default="", db_default="", blank=True)
    confirmation_text = models.TextField(default="", db_default="", blank=True)
    confirmation_button = models.TextField(default="", db_default="", blank=True)
    thanks_text = models.TextField(default="", db_default="", blank=True)
    thanks_url = models.TextField(default="", db_default="", blank=True)
    confirmed_text = models.TextField(default="", db_default="", blank=True)
    confirmed_url = models.TextField(default="", db_default="", blank=True)

    hourly_limit = models.PositiveIntegerField(default=1000, db_default=1000)  # sign-ups; subscribers/door.py
    crowded_at = models.DateTimeField(null=True)  # when somebody was last turned away by it

    def __str__(self) -> str:
        return self.name


def held(model: type[Tag] | type[Form] | type[CustomField], account_id: int, ids: Iterable[int]) -> set[int]:
    """Those of them that are the account's, kept from being deleted until the transaction ends. After the people."""
    query = f"SELECT id FROM {model._meta.db_table} WHERE account_id = %s AND id = ANY(%s) ORDER BY id FOR KEY SHARE"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [account_id, list(set(ids))])
        return {pk for (pk,) in cursor.fetchall()}


class WithOrigin(models.Model):
    """Where a sign-up came from, as far as the browser told: anybody may write anything here."""

    referrer = models.TextField(null=True)  # the page
    utm_source = models.TextField(null=True)
    utm_medium = models.TextField(null=True)
    utm_campaign = models.TextField(null=True)
    utm_term = models.TextField(null=True)
    utm_content = models.TextField(null=True)

    class Meta:
        abstract = True


class FormSubscription(WithOrigin):
    form = models.ForeignKey(Form, models.CASCADE, related_name="subscriptions", db_index=False)  # as a tag's
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="form_subscriptions")
    added_at = models.DateTimeField()
    # They have not clicked yet: what else the form adds, and the event, come with the click.
    is_unconfirmed = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("form", "subscriber", name="form_subscription_once")]
        indexes: ClassVar = [models.Index("form", "added_at", "subscriber", name="form_subscription_by_time")]


class SignUp(WithOrigin):
    """A sign-up that must be clicked, with what was typed: docs/reference/life-of-a-sign-up.md."""

    class Status(models.TextChoices):
        WAITING = "waiting"  # lapsed, when it is old: subscribers/sign_ups.py
        CONFIRMED = "confirmed"
        REPLACED = "replaced"
        WITHDRAWN = "withdrawn"

    form = models.ForeignKey(Form, models.CASCADE, null=True, related_name="sign_ups")  # None: asked for by the API
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="sign_ups", db_index=False)  # see Meta
    status = models.TextField(choices=Status, default=Status.WAITING)  # written by engine/transitions.py only
    email_address = models.TextField()  # that the mail went to; the person's, while it confirms something
    first_name = models.TextField(null=True)
    fields = models.JSONField(default=dict)  # as a subscriber's
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="sign_up_ended_or_waiting",
                condition=models.Q(status="waiting", ended_at=None)
                | models.Q(status__in=["confirmed", "replaced", "withdrawn"], ended_at__isnull=False),
            ),
        ]
        indexes: ClassVar = [models.Index("subscriber", "asked_at", name="sign_up_of_subscriber")]

    def __str__(self) -> str:
        return f"sign-up {self.pk}, {self.status}"


class Segment(models.Model):
    """A condition with a name. conditions/ finds the people in it."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="segments")
    name = models.TextField()
    filter = models.JSONField()  # as grammar/ says, or in the form of grammar/matches.py
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
