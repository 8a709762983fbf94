from django.apps import AppConfig


class TalliesConfig(AppConfig):
    name = "dripstone.tallies"
    label = "tallies"
