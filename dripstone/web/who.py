"""Who is signed in: a session of Django's, with a row of ours that says where, and that ends it when it goes."""

from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest

from dripstone import clock
from dripstone.accounts import networks, sessions
from dripstone.accounts.models import User

SESSION = "user_session"  # in the session: the id of its row

_KNOWN = "dripstone_user"  # on the request: what `user_of` found


def user_of(request: HttpRequest) -> User | None:
    """Whoever is signed in, unless their session has been ended. One that an older version began gets its row now."""
    if not hasattr(request, _KNOWN):
        setattr(request, _KNOWN, _find(request))
    user: User | None = getattr(request, _KNOWN)
    return user


def _find(request: HttpRequest) -> User | None:
    user = request.user
    if not isinstance(user, User):
        return None
    session_id, network, now = request.session.get(SESSION), network_of(request), clock.system_now()
    if session_id is None:
        _begin(request, user)
    elif not sessions.is_going_on(session_id, user, network, now):
        logout(request)
        return None
    return user


def enter(request: HttpRequest, user: User) -> None:
    """Signs them in, in a session with another key than the one before."""
    if (earlier := request.session.get(SESSION)) is not None and isinstance(request.user, User):
        sessions.forget(request.user, earlier)
    login(request, user)
    _begin(request, user)
    setattr(request, _KNOWN, user)


def _begin(request: HttpRequest, user: User) -> None:
    row = sessions.begin(user, request.headers.get("User-Agent", ""), network_of(request), clock.system_now())
    request.session[SESSION] = row.pk


def leave(request: HttpRequest) -> None:
    if isinstance(request.user, User):
        sessions.forget(request.user, request.session.get(SESSION))
    logout(request)


def keep_after_new_password(request: HttpRequest, user: User) -> None:
    """Their password is another one: this session goes on, with another key; all others have ended."""
    update_session_auth_hash(request, user)
    sessions.end_others(user, request.session.get(SESSION))


def network_of(request: HttpRequest) -> str:
    return networks.of(request.META)
