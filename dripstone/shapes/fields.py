"""A custom field."""

from typing_extensions import TypedDict

from dripstone.subscribers.models import CustomField


class CustomFieldShape(TypedDict):
    id: int
    name: str
    key: str
    label: str


def custom_field(field: CustomField) -> CustomFieldShape:
    return CustomFieldShape(id=field.pk, name=field.name, key=field.key, label=field.label)
