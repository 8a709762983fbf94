from django.apps import AppConfig


class TriggersConfig(AppConfig):
    name = "dripstone.triggers"
    label = "triggers"
