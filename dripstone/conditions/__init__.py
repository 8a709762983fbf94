"""Who meets a condition (grammar/ says what one is): one queryset, for one person asked and for a million counted."""

from dripstone.conditions.people import matching, missing, unrecorded

__all__ = ["matching", "missing", "unrecorded"]
