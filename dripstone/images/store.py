"""The pictures of accounts: kept, found, deleted. Whoever knows an address sees it, as mail programs must."""

import hashlib
import re
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum

from dripstone.accounts import names
from dripstone.accounts.models import CreatorProfile
from dripstone.content import liquid
from dripstone.errors import Invalid
from dripstone.given import MAX_NAME
from dripstone.images import encode
from dripstone.images.models import Image

SMALL_ENOUGH = 20_000  # bytes

_ADDRESS = re.compile(r"/i/([0-9a-f]{32})\.(?:jpg|png|gif)\b")


def add(account_id: int, data: bytes, name: str, now: datetime) -> Image:
    """The picture in a file, from now on in the account; what the account has already is not kept a second time.

    name  of the file

    Raises Invalid (member `image`) for what is no picture, or when the account's room is full.
    """
    picture = encode.encode(data)
    digest = hashlib.sha256(picture.content).hexdigest()[:32]
    with transaction.atomic():
        names.lock(account_id)
        known = Image.objects.filter(account_id=account_id, digest=digest).defer("content", "small").first()
        if known:
            return known
        _refuse_without_room(account_id, len(picture.content))
        return Image.objects.create(
            account_id=account_id,
            digest=digest,
            name=_name(name, picture.kind),
            n_bytes=len(picture.content),
            created_at=now,
            **picture._asdict(),
        )


def _refuse_without_room(account_id: int, n_bytes: int) -> None:
    n_images, n_kept = used(account_id)
    most, most_mb = settings.DRIPSTONE_MAX_IMAGES, settings.DRIPSTONE_MAX_IMAGES_MB
    if n_images >= most:
        raise Invalid.member("image", f"This account has {most:,} images, and can have no more: delete some first")
    if n_kept + n_bytes > most_mb * 1_000_000:
        raise Invalid.member("image", f"The images of this account fill their {most_mb:,} MB: delete some first")


def used(account_id: int) -> tuple[int, int]:
    """How many images the account has, and their bytes. 2 ms for 10,000."""
    rows = Image.objects.filter(account_id=account_id)
    return rows.count(), rows.aggregate(n=Sum("n_bytes"))["n"] or 0


def _name(name: str, kind: encode.Kind) -> str:
    """Of the file alone, as text that can be kept and shown."""
    plain = names.plain(liquid.clean(re.split(r"[/\\]", name)[-1])).strip()
    return plain[:MAX_NAME] or f"image.{kind}"


def find(digest: str, kind: str) -> bytes | None:
    """The bytes at an address, whichever account has them."""
    found = Image.objects.filter(digest=digest, kind=kind).values_list("content", flat=True).first()
    return None if found is None else bytes(found)


def small(image: Image) -> bytes:
    """For lists: at most 400 by 300 pixels. Made when it is first asked for, and kept; a picture that takes few bytes
    is its own."""
    if image.n_bytes <= SMALL_ENOUGH:
        return bytes(image.content)
    if image.small is None:
        image.small = encode.small(bytes(image.content))
        image.save(update_fields=["small"])
    return bytes(image.small)


def delete(image: Image) -> None:
    """Emails that show it show nothing in its place from then on, also those in inboxes; unless another account has
    the same. A creator profile is without a picture then."""
    with transaction.atomic():
        in_profile(image).update(image_url="")
        image.delete()


def in_profile(image: Image) -> QuerySet[CreatorProfile]:
    """The account's profile, if it shows the image."""
    return CreatorProfile.objects.filter(account=image.account_id, image_url=image.path)


def url(image: Image) -> str:
    """For emails."""
    return f"{settings.DRIPSTONE_URL}{image.path}"


def digests(html: str) -> set[str]:
    """Of the images that an HTML source names, whether or not they are there."""
    return set(_ADDRESS.findall(html))
