"""Answers: always JSON, always with the same members in the same order."""

from typing import Any

from django.http import HttpResponse, JsonResponse


def reply(status: int, **members: Any) -> HttpResponse:
    """`reply(201, tag={…})` answers `{"tag": {…}}`."""
    return JsonResponse(members, status=status)


def no_content() -> HttpResponse:
    return HttpResponse(status=204)
