from django.apps import AppConfig


class CallsConfig(AppConfig):
    name = "dripstone.calls"
    label = "calls"
