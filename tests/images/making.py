"""Pictures made for tests, and files that only look like some."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image


def a_picture(width: int = 60, height: int = 40, colour: Any = "teal", kind: str = "PNG", **options: Any) -> bytes:
    return written(Image.new("RGB", (width, height), colour), kind, **options)


def noise(width: int, height: int) -> Image.Image:
    """What no format makes small."""
    return Image.merge("RGB", [Image.effect_noise((width, height), 90) for _ in range(3)])


def written(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def moving(n_frames: int = 4, width: int = 80, height: int = 60, kind: str = "GIF", **options: Any) -> bytes:
    frames = [Image.new("RGB", (width, height), (60 * number % 255, 90, 120)) for number in range(n_frames)]
    return written(frames[0], kind, save_all=True, append_images=frames[1:], duration=80, **options)


def png_that_says(width: int, height: int) -> bytes:
    """Of a few bytes, and any size it likes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
