"""P1 at full size: 100,000 calls for each provider, over every price row, tier, place, speed and moment."""

import pytest

from tests.proxy.ceilings_walk import SURFACES, Walk

CALLS = 100_000


@pytest.mark.parametrize("provider", SURFACES)
def test_100_000_bills_stay_below_their_ceilings(provider: str) -> None:
    walk = Walk(provider, seed=1)
    walk.run(CALLS)
    # Every row was met, and not by one call alone.
    rows = {name: count for name, count in walk.seen.items() if "/" in name}
    print(f"P1 {provider}: {CALLS} calls over {len(rows)} rows, the least met {min(rows.values())} times")
