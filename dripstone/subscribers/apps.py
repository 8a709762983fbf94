from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    name = "dripstone.subscribers"
    label = "subscribers"
