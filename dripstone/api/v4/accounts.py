"""Account: https://developers.kit.com/api-reference/accounts"""

from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.accounts import brand, members
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, needs
from dripstone.api.replies import reply
from dripstone.errors import NotFound
from dripstone.shapes import accounts as shapes

router = Router(tags=["Accounts"])


class UserShape(TypedDict):
    id: int
    email: str


class AccountAnswer(TypedDict):
    user: UserShape
    account: shapes.AccountShape


@router.get("/account", response=AccountAnswer, summary="Get current account")
def get_account(request: KitRequest) -> HttpResponse:
    """Whose key this is. A key is the account's, so the user shown is its first."""
    account = request.auth.account
    user = members.users_of(account).first()
    shape = UserShape(id=user.pk, email=user.email) if user else None
    return reply(
        200,
        user=shape or UserShape(id=account.pk, email=account.primary_email_address),
        account=shapes.account(account, clock.now()),
    )


_COLOR = {"type": "string", "pattern": f"^{brand.HEX.pattern}$"}
_COLORS = {"type": "array", "items": _COLOR, "maxItems": brand.MAX_COLORS}


class ColorsBody(Body):
    model_config = needs("colors")
    colors: Annotated[Any, WithJsonSchema(_COLORS)] = MISSING


NO_COLORS = ColorsBody()


class ColorsAnswer(TypedDict):
    colors: list[str]


class ProfileAnswer(TypedDict):
    profile: shapes.ProfileShape


@router.get("/account/colors", response=ColorsAnswer, summary="List colors")
def list_colors(request: KitRequest) -> HttpResponse:
    return reply(200, colors=request.auth.account.colors)


@router.put("/account/colors", response=ColorsAnswer, summary="Update colors")
def update_colors(request: KitRequest, body: ColorsBody = NO_COLORS) -> HttpResponse:
    """In place of those there are."""
    return reply(200, colors=brand.set_colors(request.auth.account, body.given()))


@router.get("/account/creator_profile", response=ProfileAnswer, summary="Get Creator Profile")
def get_creator_profile(request: KitRequest) -> HttpResponse:
    """404 until somebody has written one, at the page *Brand* or by `PUT /ext/v1/account/creator_profile`."""
    profile = brand.profile_of(request.auth.account)
    if profile is None:
        raise NotFound
    return reply(200, profile=shapes.profile(profile))
