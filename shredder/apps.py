from django.apps import AppConfig


class ShredderConfig(AppConfig):
    name = "shredder"
