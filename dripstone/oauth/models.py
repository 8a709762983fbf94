"""What other people's software may do in an account, and who allowed it.

    Application ──asks for──▶ Grant (a code) ──becomes──▶ Consent ──has──▶ AccessToken, RefreshToken

The abstract models are django-oauth-toolkit's. Columns of theirs that we have no use for are left out, above all those
that could hold a token: codes, tokens and secrets are 256 random bits each, so their SHA-256 is all we keep.
"""

from typing import Any, ClassVar

from django.db import models
from oauth2_provider.models import (
    AbstractAccessToken,
    AbstractApplication,
    AbstractGrant,
    AbstractRefreshToken,
    redirect_to_uri_allowed,
)

from dripstone.accounts.models import Account, Membership, User
from dripstone.oauth import redirects


class Application(AbstractApplication):  # type: ignore[misc]
    """Software that may ask people for access to their accounts.

    account  whose owners look after it; None: it registered itself (registration.py)
    """

    account = models.ForeignKey(Account, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")  # who made it; None: a command, itself
    client_secret = models.CharField(max_length=64, default="", blank=True)  # SHA-256; "": a public app has none
    secret_hint = models.CharField(max_length=8, default="", blank=True)  # its last four characters
    secret_made_at = models.DateTimeField(null=True)
    registered_from = models.TextField(default="", blank=True)  # the network of one that registered itself
    created_at = models.DateTimeField()
    objects: ClassVar[models.Manager["Application"]] = models.Manager()

    # Of the toolkit, and not for us.
    created = updated = cimd_expires_at = post_logout_redirect_uris = None
    hash_client_secret = skip_authorization = False
    allowed_origins = algorithm = ""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="application_secret",
                condition=models.Q(client_type="public", client_secret="")
                | models.Q(client_type="confidential") & ~models.Q(client_secret=""),
            ),
        ]
        indexes: ClassVar = [models.Index("registered_from", "created_at", name="application_registrations")]

    @property
    def is_public(self) -> bool:
        """It cannot keep a secret: an app on a phone, a program on somebody's machine."""
        return bool(self.client_type == self.CLIENT_PUBLIC)

    @property
    def registered_itself(self) -> bool:
        return self.account_id is None

    def redirect_uri_allowed(self, uri: str) -> bool:
        """Letter by letter; but a program on somebody's machine listens on the port it gets (RFC 8252 § 7.3)."""
        uris = self.redirect_uris.split()
        return uri in uris or (self.is_public and redirects.is_loopback(uri) and redirect_to_uri_allowed(uri, uris))


class Consent(models.Model):
    """A person allowed an app to act for them in one account. All tokens that came of it belong to it and end with it.

    membership  None: they are in the account no more, and it has ended with that
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="consents")
    user = models.ForeignKey(User, models.CASCADE, related_name="consents")
    membership = models.ForeignKey(Membership, models.SET_NULL, null=True, related_name="+")
    application = models.ForeignKey(Application, models.CASCADE, related_name="consents")
    scope = models.TextField()  # names with blanks between them
    given_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)  # to a minute
    ended_at = models.DateTimeField(null=True)
    ended_why = models.TextField(default="", blank=True)  # tokens.py

    class Meta:
        indexes: ClassVar = [
            models.Index("account", condition=models.Q(ended_at=None), name="consents_of_account"),
        ]

    def __str__(self) -> str:
        return f"consent {self.pk}"


class Grant(AbstractGrant):  # type: ignore[misc]
    """A code on its way to the app. Kept for a while after it was used, so that a second use is noticed.

    code     SHA-256
    consent  what it became; None: nothing yet
    """

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="+")
    consent = models.ForeignKey(Consent, models.CASCADE, null=True, related_name="+")
    objects: ClassVar[models.Manager["Grant"]] = models.Manager()
    user = nonce = claims = resource = created = updated = None


class AccessToken(AbstractAccessToken):  # type: ignore[misc]
    """token_checksum   SHA-256 of what opens the API until `expires`"""

    consent = models.ForeignKey(Consent, models.CASCADE, related_name="+")
    objects: ClassVar[models.Manager["AccessToken"]] = models.Manager()
    token = user = application = source_refresh_token = id_token = resource = created = updated = None

    class Meta:
        indexes: ClassVar = [models.Index("expires", name="access_token_expires")]


class RefreshToken(AbstractRefreshToken):  # type: ignore[misc]
    """token_checksum   SHA-256 of what is exchanged for the next pair
    revoked          when it was first exchanged
    source           the one it was given out for
    """

    consent = models.ForeignKey(Consent, models.CASCADE, related_name="+")
    source = models.ForeignKey("self", models.SET_NULL, null=True, related_name="followers")
    objects: ClassVar[models.Manager["RefreshToken"]] = models.Manager()
    token = user = application = token_family = resource = created = updated = None

    class Meta:
        constraints: ClassVar[list[Any]] = [models.UniqueConstraint("token_checksum", name="refresh_token_checksum")]
