"""A picture as somebody sent it → one that every mail program shows, small, and with nothing in it but what one sees.

It is decoded and written anew, so that neither where a photo was taken nor a program hidden in a file gets into mail.
JPEG and PNG stay what they are, where that is small enough. WebP becomes one of them: Outlook does not show it. A GIF
that moves stays one. Pictures turn as their EXIF says, and take the colours of sRGB.

Files are hostile: sizes are read from the head before anything is decoded. The most memory, about 200 MB, is taken by a
picture of MOST_PIXELS with transparency.
"""

from collections.abc import Iterator
from enum import StrEnum
from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from dripstone.errors import Invalid

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MAX_UPLOAD = 10_000_000  # bytes
MAX_WIDTH, MAX_HEIGHT = 1_200, 6_000  # pixels; larger ones are made smaller
MAX_BYTES = 1_000_000  # of what is kept
SMALL = (400, 300)  # pixels: twice what a list shows

MOST_PIXELS = 25_000_000  # decoded; 4 bytes each
MOST_PIXELS_OF_JPEG = 50_000_000  # which is decoded at a half to an eighth of its size
MOST_SCANS = 64  # of a JPEG; each goes over all its pixels, and a hostile one fits into ten bytes
MOST_FRAMES = 500
MOST_PIXELS_MOVING = 50_000_000  # all frames together

QUALITIES = (85, 75, 60)
SMALLER = 0.8  # of its width, as often as it takes

# What Pillow asks before it decodes a frame: GIFs can grow from one to the next. It warns here, and refuses at twice.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS_OF_JPEG

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class Kind(StrEnum):
    """Also the end of its address."""

    JPG = "jpg"
    PNG = "png"
    GIF = "gif"


CONTENT_TYPES = {Kind.JPG: "image/jpeg", Kind.PNG: "image/png", Kind.GIF: "image/gif"}


class Picture(NamedTuple):
    content: bytes
    kind: Kind
    width: int
    height: int


def encode(data: bytes) -> Picture:
    """Raises Invalid (member `image`) with what to do instead."""
    _refuse_by_its_bytes(data)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _refuse_by_its_size(image)
            return _moving(image) if _moves(image) else _still(image)
    except Invalid:
        raise
    except UnidentifiedImageError:
        raise _refused("This file is no picture in one of the formats PNG, JPEG, GIF and WebP") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _refused(_too_many(MOST_PIXELS)) from None
    except Exception as error:  # what a decoder raises over a damaged file is no closed list
        raise _refused("This picture is damaged or unfinished: it cannot be read to its end") from error


def small(content: bytes) -> bytes:
    """A picture that `encode` made, as a JPEG or PNG for lists; of one that moves, the first frame. 10 ms."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        image.draft(None, SMALL)
        frame = _resized(_plain(image.convert("RGBA" if image.has_transparency_data else "RGB")), *SMALL)
        if frame.has_transparency_data:
            frame, kind = frame.quantize(256, Image.Quantize.FASTOCTREE), "PNG"
        else:
            kind = "JPEG"
        out = BytesIO()
        frame.save(out, kind, optimize=True, quality=75)
        return out.getvalue()


# --- What is not decoded ----------------------------------------------------------------------------------------------


def _refuse_by_its_bytes(data: bytes) -> None:
    if not data:
        raise _refused("This file is empty")
    if len(data) > MAX_UPLOAD:
        raise _refused(f"This file is larger than {MAX_UPLOAD // 1_000_000} MB")
    if b"<svg" in data[:2_000].lower():
        raise _refused("SVG is shown by no mail program and can carry programs: export it as PNG")
    if data[4:8] == b"ftyp":
        raise _refused("HEIC and AVIF are not shown by all mail programs: save the picture as JPEG")
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MOST_SCANS:
        raise _refused("This JPEG is built to take long to read: save it anew")


def _refuse_by_its_size(image: Image.Image) -> None:
    most = MOST_PIXELS_OF_JPEG if image.format in ("JPEG", "MPO") else MOST_PIXELS
    if image.width * image.height > most:
        raise _refused(_too_many(most))


def _too_many(most: int) -> str:
    return f"This picture has more than {most // 1_000_000} million pixels: make it smaller first"


def _refused(sentence: str) -> Invalid:
    return Invalid.member("image", sentence)


# --- Pictures that stand still ----------------------------------------------------------------------------------------


def _still(image: Image.Image) -> Picture:
    is_photo = image.format in ("JPEG", "MPO", "WEBP")
    image.draft(None, (MAX_WIDTH, MAX_WIDTH))  # a JPEG: decoded no larger than needed
    image = _resized(_plain(ImageOps.exif_transpose(image)), MAX_WIDTH, MAX_HEIGHT)
    is_opaque = not image.has_transparency_data
    for smaller in _ever_smaller(image):
        if not (is_photo and is_opaque) and (fitting := _png(smaller)):
            return fitting
        if fitting := _jpeg(smaller) if is_opaque else _png_of_few_colours(smaller):
            return fitting
    raise AssertionError("a picture of one pixel fits")


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that PNG and JPEG know, in the colours of sRGB, without what came along."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    elif image.mode == "P" and not profile and image.width <= MAX_WIDTH:
        return _bare(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image = _in_srgb(image, profile) if profile else image
    return _bare(image.convert("RGB") if image.mode == "CMYK" else image)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """As it is, where its profile says nothing that can be used."""
    mode = "RGB" if image.mode == "CMYK" else image.mode
    try:
        converted = ImageCms.profileToProfile(image, BytesIO(profile), _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def _bare(image: Image.Image) -> Image.Image:
    """Pillow writes what it finds in `info`, comments among it."""
    image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return image


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    """To fit, in proportion; never larger."""
    scale = min(1, width / image.width, height / image.height)
    if scale == 1:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def _ever_smaller(image: Image.Image) -> Iterator[Image.Image]:
    while True:
        yield image
        image = _resized(image, max(1, int(image.width * SMALLER)), image.height)


def _png(image: Image.Image) -> Picture | None:
    """None: it is too large."""
    return _fitting(image, Kind.PNG)


def _png_of_few_colours(image: Image.Image) -> Picture | None:
    return _fitting(image.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE), Kind.PNG)


def _jpeg(image: Image.Image) -> Picture | None:
    full = image.convert("RGB") if image.mode == "P" else image
    for quality in QUALITIES:
        if fitting := _fitting(full, Kind.JPG, quality=quality, progressive=True):
            return fitting
    return None


def _fitting(image: Image.Image, kind: Kind, **options: Any) -> Picture | None:
    out = BytesIO()
    image.save(out, "PNG" if kind == Kind.PNG else "JPEG", optimize=True, **options)
    return Picture(out.getvalue(), kind, image.width, image.height) if out.tell() <= MAX_BYTES else None


# --- Pictures that move ----------------------------------------------------------------------------------------------


def _moves(image: Image.Image) -> bool:
    """An MPO is a photo with further ones behind it, for the camera's own use."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _moving(image: Image.Image) -> Picture:
    if image.format != "GIF":
        raise _refused("This picture moves, and as a GIF only does it in mail: save it as GIF")
    if image.width > MAX_WIDTH:
        raise _refused(f"A picture that moves can be {MAX_WIDTH:,} pixels wide at most; this one has {image.width:,}")
    loop = image.info.get("loop")
    frames = list(_frames(image))
    out = BytesIO()
    frames[0].save(
        out,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[frame.info.pop("duration") for frame in frames],
        disposal=2 if any(frame.has_transparency_data for frame in frames) else 0,
        **({} if loop is None else {"loop": loop}),
    )
    if out.tell() > MAX_BYTES:
        raise _refused(f"A picture that moves can have 1 MB at most; this one needs {out.tell() / 1_000_000:.1f} MB")
    return Picture(out.getvalue(), Kind.GIF, frames[0].width, frames[0].height)


def _frames(image: Image.Image) -> Iterator[Image.Image]:
    n_pixels = 0
    for number, frame in enumerate(islice(ImageSequence.Iterator(image), MOST_FRAMES + 1)):
        n_pixels += frame.width * frame.height
        if number == MOST_FRAMES or n_pixels > MOST_PIXELS_MOVING:
            raise _refused("This picture moves for too long: make it shorter or smaller")
        duration = frame.info.get("duration", 0)
        shown = _bare(frame.convert("RGBA" if frame.has_transparency_data else "RGB"))
        shown.info["duration"] = duration
        yield shown


__all__ = ["CONTENT_TYPES", "MAX_UPLOAD", "Kind", "Picture", "encode", "small"]
