"""What exists in an account of all that a condition may name."""

from collections.abc import Collection, Mapping
from typing import Any

from django.apps import apps
from django.db import models

from dripstone.grammar import Known
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import CustomField, Form, Segment, Tag


def known(account_id: int) -> Known:
    """Kinds that are not there yet have no things."""

    def among(kind: str, ids: Collection[int]) -> Collection[int]:
        of_kind = rows(account_id).get(kind)
        return () if of_kind is None else set(of_kind.filter(pk__in=ids).values_list("pk", flat=True))

    return among


def rows(account_id: int) -> "Mapping[str, models.QuerySet[Any]]":
    """What is there of each kind. A form in the archive or the bin is: what people did on it is known. A deleted
    sequence is gone. (The package of automations stands to the right of this one.)"""
    kinds: Mapping[str, Any] = {
        "tag": Tag,
        "form": Form,
        "segment": Segment,
        "custom_field": CustomField,
        "product": Product,
    }
    found = {kind: model.objects.filter(account_id=account_id) for kind, model in kinds.items()}
    sequences = Sequence.objects.filter(account_id=account_id, deleted_at=None)
    emails = SequenceEmail.objects.filter(account_id=account_id, deleted_at=None, sequence__deleted_at=None)
    automations = apps.get_model("automations.Automation")._default_manager.filter(account_id=account_id)
    return {**found, "sequence": sequences, "email": emails, "automation": automations}
