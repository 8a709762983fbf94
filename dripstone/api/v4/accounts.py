"""Account: https://developers.kit.com/api-reference/accounts"""

from django.http import HttpResponse
from ninja import Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.accounts import members
from dripstone.api.auth import KitRequest
from dripstone.api.replies import reply
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
