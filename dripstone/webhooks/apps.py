from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "dripstone.webhooks"
    label = "webhooks"
