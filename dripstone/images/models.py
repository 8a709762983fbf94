"""The pictures in an account's emails."""

from typing import ClassVar

from django.db import models

from dripstone.accounts.models import Account


class Image(models.Model):
    """As encode.py wrote it. The address is made of `digest` and `kind`; it is public, the same in every account."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="images", db_index=False)
    digest = models.CharField(max_length=32)  # the first half of the SHA-256 of `content`, in hex
    kind = models.CharField(max_length=4)  # encode.Kind: jpg, png, gif
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    n_bytes = models.PositiveIntegerField()
    name = models.TextField()  # of the file it came in, for people
    created_at = models.DateTimeField()
    content = models.BinaryField()
    small = models.BinaryField(null=True)  # for lists of pictures: store.small. None: nobody has looked yet

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("account", "digest", name="image_of_account")]
        indexes: ClassVar = [
            models.Index(fields=["digest"], name="image_by_digest"),
            models.Index(fields=["account", "id"], name="images_of_account"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        return f"/i/{self.digest}.{self.kind}"
