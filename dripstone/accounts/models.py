"""Account: a sender's whole space. Every other row belongs to one, directly or through its parent."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value
from django.db.models.functions import Lower

from dripstone.given import plain_address


class Account(models.Model):
    name = models.TextField()
    primary_email_address = models.TextField()
    plan_type = models.TextField(default="creator")
    time_zone = models.TextField(default="UTC")  # IANA name; default of new sequences
    send_hour = models.PositiveSmallIntegerField(default=11)  # wall clock in time_zone; default of new sequences
    postal_address = models.TextField(default="", blank=True)  # printed in every email, as the law asks
    language = models.TextField(default="", db_default="", blank=True)  # of its emails: "de", "pt-BR"; "": not said
    direction = models.TextField(default="", db_default="", blank=True)  # of its emails: "ltr", "rtl"; "": not said
    colors = ArrayField(models.TextField(), default=list, db_default=Value("{}"))  # of its brand: "#1a6b4f"
    per_second = models.PositiveIntegerField(null=True)  # messages, all its sequences together; None: no limit
    per_day = models.PositiveIntegerField(null=True)  # the same in any 24 hours
    first_run_dismissed_at = models.DateTimeField(null=True)  # its pages show the first steps no more
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="account_send_hour", condition=models.Q(send_hour__lte=23)),
        ]

    def __str__(self) -> str:
        return self.name


class CreatorProfile(models.Model):
    """Who writes, as apps ask for it (brand.py). An account has one or none."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True, related_name="+")
    name = models.TextField()
    byline = models.TextField(blank=True)
    bio = models.TextField(blank=True)
    image_url = models.TextField(blank=True)  # of one of the account's own images the path alone: `/i/…`
    profile_url = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        """In any spelling; as it was kept before spellings were made one, too."""
        typed = (username or "").strip().lower()
        return self.filter(email=typed).first() or self.get(email=plain_address(typed))


class User(AbstractBaseUser):
    """A person who signs in to the web UI. `password` and `last_login` come from AbstractBaseUser."""

    # Of the version before, which knew one account per user. Nobody writes or reads it; it goes with the next release.
    account = models.ForeignKey(Account, models.SET_NULL, null=True, related_name="+")
    email = models.TextField(unique=True)  # given.plain_address
    created_at = models.DateTimeField()

    USERNAME_FIELD = "email"
    objects: ClassVar[UserManager] = UserManager()

    def __str__(self) -> str:
        return self.email


class Role(models.TextChoices):
    """What a member may do: an editor everything but settings and members, a viewer only look."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


class Membership(models.Model):
    """A user's place in an account. Each account has at least one owner (members.py)."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.TextField(choices=Role)
    created_at = models.DateTimeField()
    # Which columns their list of people has (web/people_columns.py); None: the usual ones.
    people_columns = ArrayField(models.TextField(), null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("user", "account", name="membership_once"),
            models.CheckConstraint(name="membership_role", condition=models.Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.role} #{self.pk}"

    @property
    def may_edit(self) -> bool:
        return self.role != Role.VIEWER

    @property
    def is_owner(self) -> bool:
        return self.role == Role.OWNER


class Invitation(models.Model):
    """A link that lets one address in, once: into an account, or (account None) to make one of its own.

    The link holds a signature over the id (invitations.py), so nothing is kept here that opens anything.
    """

    account = models.ForeignKey(Account, models.CASCADE, null=True, related_name="invitations")
    email = models.TextField()  # given.plain_address
    role = models.TextField(choices=Role)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")  # None: by a command or oneself
    invited_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(name="invitation_role", condition=models.Q(role__in=Role.values)),
            models.CheckConstraint(
                name="invitation_ends_once", condition=models.Q(accepted_at=None) | models.Q(withdrawn_at=None)
            ),
        ]
        indexes: ClassVar = [models.Index("email", name="invitation_by_email")]

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class UserSession(models.Model):
    """Somebody signed in, in one browser. A session of Django's holds the id of one; without its row it is over."""

    user = models.ForeignKey(User, models.CASCADE, related_name="sessions")
    browser = models.TextField(blank=True)  # what it says of itself, shortened
    network = models.TextField(blank=True)  # IP address it was last seen at
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # to some minutes

    def __str__(self) -> str:
        return f"session {self.pk}"


class SendingAddress(models.Model):
    """A From address of the account. A sequence sends from one of these and from no other."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="sending_addresses")
    email_address = models.TextField()
    from_name = models.TextField(default="", blank=True)
    is_default = models.BooleanField(default=False)
    is_verified = models.BooleanField(default=True)
    asked_at = models.DateTimeField(null=True)  # when a mail with the link that verifies it was last asked for
    is_dmarc_configured = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("account", Lower("email_address"), name="sending_address_of_account"),
            models.UniqueConstraint("account", condition=models.Q(is_default=True), name="sending_address_one_default"),
        ]

    def __str__(self) -> str:
        return self.email_address


class ApiKey(models.Model):
    """A key for `X-Kit-Api-Key`. Only its SHA-256 is kept: keys are 160 random bits, so a slow hash adds nothing."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="api_keys")
    name = models.TextField()
    key_hash = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=8)  # the key's last four characters, to tell keys apart
    # Opens what Kit keeps for OAuth, too: bulk operations and purchases.
    has_full_access = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"


class KeptAnswer(models.Model):
    """What a call was answered that may be sent again (repeats.py)."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+")
    caller = models.TextField()  # whose credential, as repeats.Call has it
    key = models.TextField()  # the call's Idempotency-Key
    fingerprint = models.BinaryField()  # of its method, path and body
    status = models.PositiveSmallIntegerField()
    content_type = models.TextField()
    content = models.BinaryField(null=True)  # sealed; None: it was too long
    answered_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("caller", "key", name="kept_answer_once")]

    def __str__(self) -> str:
        return f"answer {self.pk}"


class SignInFailure(models.Model):
    """A wrong password. Kept for accounts/sign_in.WINDOW only; hashes, so that a dump holds no mistyped secrets."""

    address_hash = models.CharField(max_length=64)  # SHA-256 of what was typed as the email, lower case
    network = models.TextField()  # IP address the attempt came from, or the browser that somebody signed in from before
    failed_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"sign-in failure {self.pk}"


class VirtualClock(models.Model):
    """The one instant all processes read when DRIPSTONE_VIRTUAL_CLOCK=1 (clock.py). At most one row, id 1."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    now = models.DateTimeField()

    class Meta:
        db_table = "virtual_clock"
        constraints: ClassVar = [models.CheckConstraint(name="virtual_clock_one_row", condition=models.Q(id=1))]

    def __str__(self) -> str:
        return self.now.isoformat()
