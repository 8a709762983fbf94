from django.apps import AppConfig


class UsesConfig(AppConfig):
    name = "dripstone.uses"
    label = "uses"
