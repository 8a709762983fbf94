"""Pictures as people send them, and files that are none."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from dripstone.errors import Invalid
from dripstone.images.encode import MAX_BYTES, MOST_SCANS, encode
from tests.images.making import a_picture, moving, noise, png_that_says, read, written


def refusal(data: bytes) -> str:
    with pytest.raises(Invalid) as refused:
        encode(data)
    [(member, sentence)] = refused.value.problems
    assert member == "image"
    return sentence


@pytest.mark.parametrize(("kind", "kept"), [("PNG", "png"), ("JPEG", "jpg"), ("GIF", "png"), ("WEBP", "jpg")])
def test_it_keeps_what_mail_programs_show(kind: str, kept: str) -> None:
    picture = encode(a_picture(60, 40, kind=kind))
    assert (picture.kind, picture.width, picture.height) == (kept, 60, 40)
    assert read(picture.content).format == {"png": "PNG", "jpg": "JPEG"}[kept]


@given(width=st.integers(1, 2_000), height=st.integers(1, 1_000))
def test_it_fits_and_keeps_its_proportions(width: int, height: int) -> None:
    picture = encode(a_picture(width, height))
    assert picture.width <= 1_200 and picture.height <= 6_000
    assert read(picture.content).size == (picture.width, picture.height)
    if width <= 1_200:
        assert (picture.width, picture.height) == (width, height)
    else:
        assert picture.width == 1_200 and abs(picture.height - height * 1_200 / width) <= 1


def test_the_same_bytes_give_the_same_picture() -> None:
    data = written(noise(1_500, 900), "JPEG")
    assert encode(data) == encode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_it_makes_large_pictures_small_enough(kind: str) -> None:
    picture = encode(written(noise(1_300, 1_300), kind))
    assert len(picture.content) <= MAX_BYTES and picture.kind == "jpg"


def test_transparency_stays_when_a_picture_is_made_smaller() -> None:
    image = noise(1_100, 1_100).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    picture = encode(written(image))
    assert picture.kind == "png" and len(picture.content) <= MAX_BYTES
    low, high = read(picture.content).convert("RGBA").getchannel("A").getextrema()
    assert low < 64 and high > 200  # type: ignore[operator]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(mode: str) -> None:
    assert encode(written(Image.new(mode, (20, 10)))).width == 20


def test_sixteen_bits_of_grey_keep_their_brightness() -> None:
    picture = encode(written(Image.new("I;16", (20, 10), 128 * 256)))
    assert read(picture.content).convert("L").getpixel((3, 3)) == 128


def test_colours_for_print_become_colours_for_screens() -> None:
    assert read(encode(written(Image.new("CMYK", (20, 10), (0, 255, 255, 0)), "JPEG")).content).mode == "RGB"


def test_a_photo_stands_as_it_was_taken_and_forgets_where() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it right
    exif[0x010F] = "Secret camera"
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    picture = encode(a_picture(60, 40, kind="JPEG", exif=exif, comment=b"Secret comment"))
    assert (picture.width, picture.height) == (40, 60)
    assert not read(picture.content).getexif() and b"Secret" not in picture.content


def test_nothing_of_a_png_stays_but_what_one_sees() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "Secret name")
    notes.add_itxt("XML:com.adobe.xmp", "<x>Secret place</x>")
    for mode in ("RGB", "P", "RGBA"):
        data = written(noise(30, 30).convert(mode), pnginfo=notes, dpi=(72, 72))
        picture = encode(data + b"Secret tail")
        assert b"Secret" not in picture.content
        assert set(read(picture.content).info) <= {"transparency"}


def test_colours_of_a_profile_are_kept_without_the_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))  # fits no RGB: it is left out
    for icc in (b"nonsense", profile.tobytes(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        for kind in ("PNG", "JPEG"):
            picture = encode(a_picture(30, 30, (200, 30, 40), kind, icc_profile=icc))
            assert b"ICC" not in picture.content and b"iCCP" not in picture.content
            red, green, blue = read(picture.content).convert("RGB").getpixel((3, 3))  # type: ignore[misc]
            assert abs(red - 200) < 4 and abs(green - 30) < 4 and abs(blue - 40) < 4


# --- Pictures that move ----------------------------------------------------------------------------------------------


def test_a_gif_goes_on_moving() -> None:
    picture = encode(moving(5, comment=b"Secret", loop=0))
    image = read(picture.content)
    assert (picture.kind, image.n_frames, image.info["duration"], image.info["loop"]) == ("gif", 5, 80, 0)  # type: ignore[attr-defined]
    assert b"Secret" not in picture.content


def test_a_gif_that_plays_once_plays_once() -> None:
    assert "loop" not in read(encode(moving()).content).info


def test_transparent_frames_leave_no_trail() -> None:
    frames = []
    for number in range(3):
        frame = Image.new("RGBA", (60, 20))
        frame.paste("red", (20 * number, 0, 20 * number + 20, 20))
        frames.append(frame)
    image = read(encode(written(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2)).content)
    image.seek(2)
    assert image.convert("RGBA").getpixel((5, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_what_moves_must_be_a_gif(kind: str) -> None:
    assert "save it as GIF" in refusal(moving(kind=kind))


def test_what_moves_must_fit() -> None:
    assert "1,200 pixels wide at most; this one has 1,300" in refusal(moving(3, 1_300, 20))
    frames = [noise(500, 400) for _ in range(6)]
    assert "1 MB at most; this one needs" in refusal(written(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_what_moves_for_ever_is_refused() -> None:
    assert "moves for too long" in refusal(moving(600, 3, 3))
    assert "moves for too long" in refusal(moving(50, 1_200, 900))


# --- What is hostile, or no picture ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"x" * 10_000_001, "larger than 10 MB"),
        (b"<?xml version='1.0'?><SVG onload='alert(1)'>", "SVG is shown by no mail program"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "HEIC and AVIF"),
        (b"<html><script>alert(1)</script>", "no picture in one of the formats"),
        (b"%PDF-1.7", "no picture in one of the formats"),
        (b"BM" + b"\0" * 100, "no picture in one of the formats"),
        (b"GIF89a", "no picture in one of the formats|damaged"),
        (png_that_says(60_000, 60_000), "more than 25 million pixels"),
        (png_that_says(2**31 - 1, 2**31 - 1), "more than 25 million pixels"),
        (png_that_says(5_100, 5_000), "more than 25 million pixels"),
        (png_that_says(3_000, 3_000), "damaged or unfinished"),
        (png_that_says(0, 5), "no picture in one of the formats|damaged"),
        (a_picture(kind="JPEG") + b"\xff\xda" * MOST_SCANS, "built to take long"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_it_refuses_with_a_sentence(data: bytes, sentence: str) -> None:
    assert any(one in refusal(data) for one in sentence.split("|"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_cut_off_file_is_refused_wherever_it_ends(kind: str) -> None:
    data = written(noise(60, 60), kind)
    for end in range(20, len(data) - 100, len(data) // 12):
        refusal(data[:end])


@given(data=st.data())
def test_a_damaged_file_is_a_picture_or_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]))
    file = bytearray(moving(kind=kind) if kind == "GIF" else a_picture(kind=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = encode(bytes(file))
    except Invalid:
        return
    assert read(picture.content).size == (picture.width, picture.height)


def test_a_page_hidden_in_a_picture_does_not_get_through() -> None:
    page = b"<html><script>alert(document.cookie)</script>"
    for kind in ("PNG", "JPEG", "GIF"):
        assert b"script" not in encode(a_picture(kind=kind) + page).content
    comment = a_picture(kind="GIF", comment=page)
    assert page in comment and b"script" not in encode(comment).content


def test_a_gif_cannot_grow_while_it_is_read() -> None:
    """Its head says 1 × 1, its second frame 65,000 × 65,000."""
    first = moving(2, 1, 1)
    [at] = [place for place in range(20, len(first)) if first[place : place + 5] == b",\0\0\0\0" and place > 40][-1:]
    grown = first[: at + 5] + b"\xe8\xfd\xe8\xfd" + first[at + 9 :]
    assert refusal(grown)


def test_pillow_reads_what_we_write() -> None:
    assert Image.open(BytesIO(encode(a_picture()).content)).verify() is None  # type: ignore[func-returns-value]
