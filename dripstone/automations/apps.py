from django.apps import AppConfig


class AutomationsConfig(AppConfig):
    name = "dripstone.automations"
    label = "automations"
