"""Who is signed in where. A row per browser; ending one takes the row away, and its next request finds nobody."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from dripstone.accounts.models import User, UserSession
from dripstone.errors import NotFound

NOTED_EVERY = timedelta(minutes=5)  # seen_at is for people; a write per page would cost more than it is worth
KEPT = timedelta(days=14)  # as long as Django keeps a session that nobody uses (SESSION_COOKIE_AGE)
LONGEST_BROWSER = 300


def begin(user: User, browser: str, network: str, now: datetime) -> UserSession:
    """Those of theirs that nobody has used for so long that they are over go."""
    UserSession.objects.filter(user=user, seen_at__lt=now - KEPT).delete()
    browser = browser.replace("\0", "")[:LONGEST_BROWSER]
    return UserSession.objects.create(user=user, browser=browser, network=network, began_at=now, seen_at=now)


def is_going_on(session_id: int, user: User, network: str, now: datetime) -> bool:
    """Whether nobody has ended it; notes that it was seen."""
    row = UserSession.objects.filter(pk=session_id, user=user).first()
    if row is None:
        return False
    if now - row.seen_at >= NOTED_EVERY or row.network != network:
        UserSession.objects.filter(pk=row.pk).update(seen_at=now, network=network)
    return True


def of_user(user: User, now: datetime) -> QuerySet[UserSession]:
    return UserSession.objects.filter(user=user, seen_at__gt=now - KEPT).order_by("-seen_at", "-pk")


def forget_unused(now: datetime) -> None:
    """Those that are over because nobody has used them."""
    UserSession.objects.filter(seen_at__lt=now - KEPT).delete()


def forget(user: User, session_id: int | None) -> None:
    """It is over: they signed out."""
    if session_id is not None:
        UserSession.objects.filter(user=user, pk=session_id).delete()


def end(user: User, session_id: int) -> None:
    """Raises NotFound."""
    if not UserSession.objects.filter(user=user, pk=session_id).delete()[0]:
        raise NotFound


def end_others(user: User, session_id: int | None) -> int:
    """All but this one; None: all. Returns how many there were."""
    mine = UserSession.objects.filter(user=user)
    return (mine if session_id is None else mine.exclude(pk=session_id)).delete()[0]
