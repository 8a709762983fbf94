"""The creator profile: Kit has its members written in its app only. Answered as /v4 shows it."""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema

from dripstone.accounts import brand
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Name, NameOrNull
from dripstone.api.replies import no_content, reply
from dripstone.api.v4.accounts import ProfileAnswer
from dripstone.errors import NotFound
from dripstone.shapes import accounts as shapes

router = Router(tags=["Account"])

_URL = {"type": ["string", "null"], "maxLength": brand.MAX_URL}
Url = Annotated[Any, WithJsonSchema(_URL | {"description": "With http or https."})]
ImageUrl = Annotated[Any, WithJsonSchema(_URL | {"description": "The same, or `/i/…` of one of the account's images."})]
Bio = Annotated[Any, WithJsonSchema({"type": ["string", "null"], "maxLength": brand.MAX_BIO})]


class ProfileChanges(Body):
    name: Name = MISSING
    byline: NameOrNull = MISSING
    bio: Bio = MISSING
    image_url: ImageUrl = MISSING
    profile_url: Url = MISSING


NOTHING = ProfileChanges()


@router.put("/account/creator_profile", response=ProfileAnswer, summary="Write the creator profile")
def write_profile(request: KitRequest, body: ProfileChanges = NOTHING) -> HttpResponse:
    """What is left out stays. The first time `name` is required; the rest is empty where nothing is said."""
    return reply(200, profile=shapes.profile(brand.write_profile(request.auth.account, body.given())))


@router.delete("/account/creator_profile", response={204: None}, summary="Delete the creator profile")
def delete_profile(request: KitRequest) -> HttpResponse:
    if not brand.delete_profile(request.auth.account):
        raise NotFound
    return no_content()
