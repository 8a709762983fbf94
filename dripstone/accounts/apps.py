from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "dripstone.accounts"
    label = "accounts"
