"""How well text in a color can be read: the contrast of WCAG 2.2, between 1 and 21."""

TEXT, LARGE_TEXT = 4.5, 3.0
_WHITE = 1.0


def on_white(color: str) -> float:
    """color   `#1a6b4f` or `#abc`"""
    return (_WHITE + 0.05) / (_luminance(color) + 0.05)


def in_words(color: str) -> str:
    """`7.2 to 1 on white: fine for text`."""
    ratio = on_white(color)
    use = "fine for text" if ratio >= TEXT else "large text only" if ratio >= LARGE_TEXT else "too pale for text"
    return f"{int(ratio * 10) / 10:g} to 1 on white: {use}"


def _luminance(color: str) -> float:
    digits = color.removeprefix("#")
    pairs = [digit * 2 for digit in digits] if len(digits) == 3 else [digits[at : at + 2] for at in (0, 2, 4)]
    red, green, blue = (_linear(int(pair, 16) / 255) for pair in pairs)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
