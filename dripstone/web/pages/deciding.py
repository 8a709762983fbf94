"""What becomes of many emails that failed, or that nobody answered for: sent again, or treated as sent. It asks first,
with the numbers that the same code gives when it is rehearsed."""

from datetime import datetime
from typing import NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import undecided
from dripstone.engine.acts.undecided import Decided, Many
from dripstone.errors import Invalid
from dripstone.web import asking
from dripstone.web.asking import Line, Question, Told
from dripstone.web.frame import actor, came_from, member
from dripstone.web.paging import number

AT_ONCE = 5_000  # emails that one question is about: sending them again takes 12 s to rehearse, treating as sent 2


class Choice(NamedTuple):
    verb: Many
    title: str
    button: str
    effect: tuple[str, str]  # of one, and of several
    done: tuple[str, str]
    facts: str


CHOICES = {
    "again": Choice(
        undecided.send_these_again,
        "Send {} again?",
        "Send {} again",
        ("goes out once more, right away", "go out once more, right away"),
        ("is being sent again", "are being sent again"),
        "Whoever got it the first time gets it twice; a mail program that compares Message-IDs can tell.",
    ),
    "sent": Choice(
        undecided.treat_these_as_sent,
        "Treat {} as sent?",
        "Treat {} as sent",
        ("counts as sent when it left", "count as sent when they left"),
        ("counts as sent", "count as sent"),
        "Nothing is sent, and nobody’s place changes: their readers have gone on in the sequence.",
    ),
}


@member
@require_POST
def deciding(request: HttpRequest, account: Account) -> HttpResponse:
    """`ids` of emails, or `all` that are unknown; `decision`: again, or sent."""
    back = came_from(request, reverse("engine"))
    choice, ids = CHOICES.get(request.POST.get("decision", "")), _ids(request, account)
    if choice is None or not ids:
        return asking.refused(request, Invalid("Choose emails first"), back)
    n_left = _n_left(request, account, ids)
    which = f"the oldest {len(ids):,} of {_emails(len(ids) + n_left)}" if n_left else _emails(len(ids))
    question = Question(choice.title.format(which), back, choice.facts, section="engine")

    def tell(now: datetime) -> Told:
        rehearsed = undecided.rehearse(account.pk, ids, choice.verb, actor(request), now)
        if not rehearsed.n_done:
            raise Invalid(_why_none(rehearsed))
        return _told(choice, rehearsed)

    def do(seen: str) -> Decided | None:
        now = clock.now()
        rehearsed = undecided.rehearse(account.pk, ids, choice.verb, actor(request), now)
        return (
            undecided.decide(account.pk, ids, choice.verb, actor(request), now) if _figure(rehearsed) == seen else None
        )

    def done(decided: Decided) -> HttpResponse:
        _say(request, choice, decided, n_left)
        return asking.leave(request, back)

    try:
        return asking.ask(request, account, question, tell, do, done)
    except Invalid as error:
        return asking.refused(request, error, back)


def _ids(request: HttpRequest, account: Account) -> list[int]:
    if request.POST.get("all") == "unknown":
        return list(undecided.undecided(account.pk).values_list("pk", flat=True)[:AT_ONCE])
    given = (number(text) for text in request.POST.getlist("ids")[:AT_ONCE])
    return [pk for pk in given if pk is not None]


def _n_left(request: HttpRequest, account: Account, ids: list[int]) -> int:
    """Of all that are unknown, those that this question is not about."""
    if request.POST.get("all") != "unknown" or len(ids) < AT_ONCE:
        return 0
    return undecided.undecided(account.pk).filter(pk__gt=ids[-1]).count()


def _emails(n: int) -> str:
    return words.count(n, "email")


def _told(choice: Choice, rehearsed: Decided) -> Told:
    lines = [Line(n, phrase, noun="email") for n, phrase in _effects(choice, rehearsed)]
    button = choice.button.format(words.count(rehearsed.n_done, "email"))
    return Told(_figure(rehearsed), is_silent=False, button=button, lines=lines)


def _effects(choice: Choice, rehearsed: Decided) -> list[tuple[int, str]]:
    """What is done first, then why the others stay as they are, the commonest reason first."""
    staying = [
        (n, f"{words.agree(n, 'stays as it is', 'stay as they are')}: {_lower(why)}")
        for why, n in rehearsed.refused.most_common()
    ]
    return [(rehearsed.n_done, words.agree(rehearsed.n_done, *choice.effect)), *staying]


def _figure(decided: Decided) -> str:
    """Of the world as it was told."""
    return "; ".join([str(decided.n_done), *(f"{n} {why}" for why, n in sorted(decided.refused.items()))])


def _why_none(decided: Decided) -> str:
    if not decided.refused:
        return "These emails are gone"
    return "; ".join(f"{words.count(n, 'email')}: {_lower(why)}" for why, n in decided.refused.most_common())


def _say(request: HttpRequest, choice: Choice, decided: Decided, n_left: int) -> None:
    done = f"{words.count(decided.n_done, 'email')} {words.agree(decided.n_done, *choice.done)}."
    n_others = decided.refused.total()
    others = f" {words.count(n_others, 'other')} {words.agree(n_others, 'stays', 'stay')} as before." * bool(n_others)
    left = f" {_emails(n_left)} {words.agree(n_left, 'is', 'are')} still to be decided about." * bool(n_left)
    messages.success(request, done + others + left)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
