from django.apps import AppConfig


class ShredderConfig(AppConfig):
    name = "shredder"

    def ready(self) -> None:
        # Every process that queues a task needs the application, and every command the checks.
        from shredder import celery, checks  # noqa: F401
