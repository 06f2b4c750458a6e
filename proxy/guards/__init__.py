"""Guards beside the budgets: calls and tokens per minute, pacing, loops, retries (product.md B7 to B9)."""

from proxy.guards.clock import Clock
from proxy.guards.gate import Gate
from proxy.guards.turn import Turn
from proxy.guards.valkey import ANSWER_SECONDS

__all__ = ["ANSWER_SECONDS", "Clock", "Gate", "Turn"]
