from django.apps import AppConfig


class BulkConfig(AppConfig):
    name = "dripstone.bulk"
    label = "bulk"
