from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "dripstone.rules"
    label = "rules"
