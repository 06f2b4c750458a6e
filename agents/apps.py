from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        """Let a custom provider's rates end with it."""
        from accounts.credentials import name_changed_hands
        from agents.rates import end_rates_of

        name_changed_hands.connect(end_rates_of, dispatch_uid="rates end with their provider")
