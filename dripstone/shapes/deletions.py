"""What deleting a person does."""

from typing_extensions import TypedDict

from dripstone.engine.acts.forget import Forgotten
from dripstone.shapes.instants import instant


class WaitingShape(TypedDict):
    """An email that will not go. `due_at` is null when it has no date, or is planned already."""

    sequence_id: int
    email_id: int
    due_at: str | None


class DeletionShape(TypedDict):
    """n_deliveries    that have ended: they stay in all counts
    n_on_the_wire   that may be leaving at this moment: these arrive all the same
    remembered_as   the state that the address keeps, as a hash nobody can read; null: nothing is remembered
    """

    waiting: list[WaitingShape]
    n_planned: int
    n_on_the_wire: int
    n_deliveries: int
    n_places: int
    n_tags: int
    n_forms: int
    n_sign_ups: int
    n_purchases: int
    n_notes: int
    n_walks: int
    n_events: int
    n_notices: int
    n_captured_messages: int
    remembered_as: str | None


def deletion(told: Forgotten) -> DeletionShape:
    waiting = [
        WaitingShape(
            sequence_id=place.sequence_id,
            email_id=place.next_email_id or 0,
            due_at=instant(place.due_at) if place.due_at else None,
        )
        for place in told.places
    ]
    return DeletionShape(
        waiting=waiting,
        n_planned=told.n_planned,
        n_on_the_wire=told.n_on_the_wire,
        n_deliveries=told.ended.total(),
        n_places=told.rows["places"],
        n_tags=told.rows["tags"],
        n_forms=told.rows["forms"],
        n_sign_ups=told.rows["sign_ups"],
        n_purchases=told.rows["purchases"],
        n_notes=told.rows["notes"],
        n_walks=told.rows["walks"],
        n_events=told.rows["events"],
        n_notices=told.rows["notices"],
        n_captured_messages=told.rows["messages"],
        remembered_as=told.remembered_as,
    )
