from django.apps import AppConfig


class OAuthConfig(AppConfig):
    name = "dripstone.oauth"
    label = "oauth"
