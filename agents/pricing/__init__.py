"""What a call costs and what it can cost at most, in whole pico-dollars. Pure: no clock, no database."""

from agents.pricing.ceiling import affordable_output, ceiling_pico, tokens_max
from agents.pricing.cost import Settlement, cost_pico, settle
from agents.pricing.rows import PriceRow, Rates, TierRates, UnpricedFeature
from agents.pricing.usage import Bound, Circumstances, Usage

__all__ = [
    "Bound",
    "Circumstances",
    "PriceRow",
    "Rates",
    "Settlement",
    "TierRates",
    "UnpricedFeature",
    "Usage",
    "affordable_output",
    "ceiling_pico",
    "cost_pico",
    "settle",
    "tokens_max",
]
