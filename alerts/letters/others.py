"""What is written about calls, keys, prices and ourselves."""

from datetime import datetime

from agents.money import usd_display
from alerts.letters import Facts, Letter, Link, page
from alerts.models import Alert


def overrun(alert: Alert, facts: Facts) -> Letter:
    """A call cost more than was held for it."""
    cost, held = usd_display(facts["cost_pico"]), usd_display(facts["held_pico"])
    return Letter(
        f"{facts['agent']}: a call to {facts['model']} cost more than its ceiling",
        [
            f"A call of {facts['agent']} to {facts['model']} was held at {held} and cost {cost}.",
            "The whole cost is recorded. This must not happen: the rates of this model may be out of date.",
        ],
        [_call(facts)],
    )


def bound_breach(alert: Alert, facts: Facts) -> Letter:
    """A call read more tokens than was bounded, and stayed below its ceiling all the same."""
    done = "Calls to this model are refused for now: how much they read cannot be bounded."
    if facts["counted"]:
        done = "Calls to this model are no longer counted by its tokenizer but bounded by their bytes, which is safe."
    numbers = ""
    if facts.get("actual_tokens") is not None:
        numbers = f" It read {facts['actual_tokens']:,} tokens where at most {facts['bound_tokens']:,} were expected."
    return Letter(
        f"{facts['model']} read more of a call than was bounded",
        [f"A call of {facts['agent']} to {facts['model']} stayed within its ceiling.{numbers}", done],
        [_call(facts)],
    )


def key_rejected(alert: Alert, facts: Facts) -> Letter:
    """A provider no longer takes the stored key."""
    return Letter(
        f"{facts['provider']} no longer accepts your key",
        [
            f"{facts['provider']} rejected the stored key that ends in …{facts['key_hint']}.",
            "Calls to this provider fail until you connect a valid key.",
        ],
        [Link("Replace the key", page("accounts:providers"))],
    )


def price_expires(alert: Alert, facts: Facts) -> Letter:
    """The price list knows the price of a model only for so long, or no longer."""
    day, ended = f"{datetime.fromisoformat(facts['expires_at']):%-d %B %Y}", facts.get("ended", False)
    done = "held at the dearest price that the list has ever had for it"
    if not facts.get("promised", True):
        done = "refused: the list has no price for it after that"
    return Letter(
        f"The price of {facts['model']} {'was' if ended else 'is'} known only until {day}",
        [
            f"Your agents use {facts['model']} of {facts['provider']}. The price list has its price until {day} (UTC).",
            f"{'Calls to it are now' if ended else 'From then on calls to it are'} {done}.",
            "An update of Shredder brings a new price list; a rate of your own holds at once.",
        ],
        [Link("Set a rate of your own", page("agents:rates"))],
    )


def guards_degraded(alert: Alert, facts: Facts) -> Letter:
    """Valkey is away, so each process counts alone."""
    return Letter(
        "Rate limits count per process: Valkey is away",
        [
            f"Since {datetime.fromisoformat(facts['since']):%H:%M} (UTC) processes cannot count together, so each"
            " lets a whole limit through: calls and tokens per minute, like messages, work without pause, retries.",
            "Budgets hold all the same: every call is checked against the ledger itself.",
        ],
        [Link("Open the overview", page("agents:overview"))],
    )


def behind(alert: Alert, facts: Facts) -> Letter:
    """Sums or alerts came late."""
    what = {"sums": "The sums on your pages", "alerts": "Alerts"}[facts["what"]]
    return Letter(
        f"{what} are behind",
        [
            f"{what} were {facts['minutes']} minutes behind your calls.",
            "Budgets hold all the same: every call is checked against the ledger itself.",
        ],
        [Link("Open the overview", page("agents:overview"))],
    )


def audit(alert: Alert, facts: Facts) -> Letter:
    """The hourly audit found differences."""
    count, shown = facts["count"], facts["differences"]
    noun = "difference" if count == 1 else "differences"
    return Letter(
        f"Books differ: {count} {noun} between budgets, calls and sums",
        [
            "The hourly audit compares what budgets have spent and hold with the calls, and the calls with their sums.",
            *shown,
            f"And {count - len(shown):,} more." if count > len(shown) else "",
            "Calls go on and nothing is put right by itself. Whoever runs this installation should run the audit "
            "command, which says what differs now.",
        ],
        [Link("Open the overview", page("agents:overview"))],
    )


def test(alert: Alert, facts: Facts) -> Letter:
    """Somebody asked whether messages arrive."""
    return Letter(
        "Test message from AWX Shredder",
        [f"{facts['by']} asked for this message. Alerts of {facts['organization']} will reach you here."],
        [Link("See all alerts", page("alerts:alert_list"))],
    )


def _call(facts: Facts) -> Link:
    return Link("See the call", page("agents:call_detail", call_id=facts["call_id"]))
