"""Loaded once by the server that doomed.py forks from."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "dripstone.settings"
django.setup()
