from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "dripstone.tracking"
    label = "tracking"
