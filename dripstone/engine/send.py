"""6  rendered → sent: hands messages over and says what the answers mean.

Takes       rendered messages of claimed deliveries
Leaves      an outcome per message, as the answers come; nothing is written here
A crash here means rows in `sending`: the flight log tells rescue.py which of them had begun to leave.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series

from django.conf import settings

from dripstone.engine import reasons
from dripstone.engine.attempts import AT_ONCE, UNREACHED_RETRY, Outcome
from dripstone.senders.base import Answer, Outgoing, Sender
from dripstone.senders.breaker import Evidence

CHUNK = 500  # outcomes per transaction, a whole batch: half of it costs a twelfth of the rate
LONGEST_CHUNK = 1.0  # seconds, so that the outcomes of a slow server are recorded long before the lease ends


def hand_over(
    messages: Series[Outgoing], sender: Sender, evidence: Evidence, editions: Mapping[int, int]
) -> Iterator[list[Outcome]]:
    """One outcome per message, as they come, and none for a while; and what they say about the server.

    editions  by delivery: what its message is made of
    """
    attempts = {message.delivery_id: message.attempt for message in messages}
    for answers in sender.hand_over(messages):
        for answer in answers:
            evidence.add(answer)
        yield [outcome(one, attempts[one.delivery_id], editions.get(one.delivery_id)) for one in answers]


def chunks(outcomes: Iterable[list[Outcome]], seconds: Callable[[], float] = time.monotonic) -> Iterator[list[Outcome]]:
    """Outcomes to record together: CHUNK of them, or those of a second, however long the next one takes."""
    chunk: list[Outcome] = []
    ends_at = 0.0
    for some in outcomes:
        ends_at = ends_at if chunk else seconds() + LONGEST_CHUNK
        chunk += some
        if len(chunk) >= CHUNK or (chunk and seconds() >= ends_at):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def outcome(answer: Answer, attempt: int, edition_id: int | None = None) -> Outcome:
    """Three ways to fail: temporary (try again), permanent (stop), unknown (the body left, no answer came)."""
    if answer.kind == "sent":
        return Outcome(answer.delivery_id, attempt, "sent", provider_id=answer.provider_id, edition_id=edition_id)
    failed = Outcome(answer.delivery_id, attempt, "failed", _reason(answer), reply=answer.reply, edition_id=edition_id)
    match answer.kind:
        case "permanent":
            return failed._replace(hard_bounce=answer.hard_bounce)
        case "unknown" if settings.DRIPSTONE_UNKNOWN == "hold":
            return failed._replace(status="unknown")
    if answer.about == "connection":
        return failed._replace(status="planned", retry_in=UNREACHED_RETRY, untried=True)
    return failed._replace(status="planned", retry_in=AT_ONCE if answer.given_back else None)


def _reason(answer: Answer) -> str:
    """The reason the sender gives, else the one that follows from the server's reply."""
    if answer.kind == "permanent":
        return answer.reason or (reasons.BOUNCED if answer.hard_bounce else reasons.REFUSED)
    return answer.reason or (reasons.NO_ANSWER if answer.kind == "unknown" else reasons.DEFERRED)
