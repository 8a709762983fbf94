"""What keeps a sequence from sending."""

from dataclasses import asdict
from typing import Any

from typing_extensions import TypedDict

from dripstone.explain.findings import Finding
from dripstone.explain.health import Health
from dripstone.shapes.instants import instant


class MendShape(TypedDict):
    method: str
    path: str
    body: dict[str, Any] | None


class FindingShape(TypedDict):
    code: str
    severity: str
    sentence: str
    mend: MendShape | None
    mend_by: str | None
    email_id: int | None


class NextShape(TypedDict):
    email_id: int
    at: str
    people: int


class HealthShape(TypedDict):
    sequence_id: int
    healthy: bool
    sentence: str
    people: dict[str, int]
    next: NextShape | None
    findings: list[FindingShape]


def health(found: Health) -> HealthShape:
    coming = found.next
    return HealthShape(
        sequence_id=found.sequence.pk,
        healthy=found.is_healthy,
        sentence=found.sentence,
        people=asdict(found.people),
        next=NextShape(email_id=coming.email_id, at=instant(coming.at), people=coming.n_people) if coming else None,
        findings=[finding(one) for one in found.findings],
    )


def finding(one: Finding) -> FindingShape:
    mend = one.mend
    return FindingShape(
        code=one.code,
        severity=one.severity,
        sentence=one.sentence,
        mend=MendShape(method=mend.method, path=mend.path, body=mend.body) if mend else None,
        mend_by=one.mend_by or None,
        email_id=one.email_id,
    )
