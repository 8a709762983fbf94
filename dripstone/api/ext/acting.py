"""What the calls that act on one place or one delivery have in common: why it is done, kept with the note."""

from typing import Annotated

from pydantic import AfterValidator

from dripstone.api.body import Body

MAX_REASON = 1000  # characters


def _reason(text: str | None) -> str | None:
    if text is not None and len(text) > MAX_REASON:
        raise ValueError(f"is too long (maximum is {MAX_REASON} characters)")
    return text


class Why(Body):
    """Kept with the note about the act."""

    reason: Annotated[str | None, AfterValidator(_reason)] = None


NO_REASON = Why()
