"""Ours: what will be sent in the coming days to the people who are inside."""

from datetime import timedelta
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import BeforeValidator, WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import Filters
from dripstone.api.replies import reply
from dripstone.foresight import forecast
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.shapes import forecast as shapes

router = Router(tags=["Forecast"])

MOST_DAYS = 366


_DAYS = {"type": "integer", "minimum": 1, "maximum": MOST_DAYS}


def _days(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST_DAYS):
        raise ValueError(f"must be an integer between 1 and {MOST_DAYS}")
    return int(text)


class ForecastFilters(Filters):
    days: Annotated[int, BeforeValidator(_days), WithJsonSchema(_DAYS)] = 30


class ForecastAnswer(TypedDict):
    forecast: shapes.ForecastShape


@router.get("/sequences/{int:id}/forecast", response=ForecastAnswer, summary="What a sequence will send")
def get_sequence_forecast(request: KitRequest, id: int, filters: Query[ForecastFilters]) -> HttpResponse:
    """Sends per day and email, for those inside now. Dates are those of the sequence's time zone."""
    rows = Sequence.objects.filter(account=request.auth.account, deleted_at=None)
    sequence = lookup.row(rows, id)
    return _answer(rows.filter(pk=id), sequence.time_zone, filters.days)


@router.get("/forecast", response=ForecastAnswer, summary="What the account will send")
def get_forecast(request: KitRequest, filters: Query[ForecastFilters]) -> HttpResponse:
    """The same for all sequences together. Dates are those of the account's time zone."""
    account = request.auth.account
    rows = Sequence.objects.filter(account=account, deleted_at=None)
    return _answer(rows, account.time_zone, filters.days)


def _answer(sequences: QuerySet[Sequence], time_zone: str, days: int) -> HttpResponse:
    now = clock.now()
    until = now + timedelta(days=days)
    sends = forecast.of_sequences(sequences, now, until)
    emails = SequenceEmail.objects.filter(pk__in=sends).only("subject").order_by("sequence_id", "position", "pk")
    shape = shapes.forecast(
        sends,
        emails,
        until=until,
        people=forecast.people(sequences),
        is_paused=not sequences.filter(active=True).exists(),
        time_zone=time_zone,
    )
    return reply(200, forecast=shape)
