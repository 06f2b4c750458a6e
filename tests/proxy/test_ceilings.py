"""P1: no bill within a call's bound is above the call's ceiling; the long walk is tests/faults/test_ceilings.py."""

import pytest

from agents.data.book_file import read_rows
from tests.proxy.ceilings_walk import REQUESTS, SURFACES, Walk

CALLS = 2_000
SEED = 20_261_125


@pytest.mark.parametrize("provider", SURFACES)
def test_no_bill_passes_its_ceiling_over_every_endpoint(provider: str) -> None:
    walk = Walk(provider, SEED)
    walk.run(CALLS)
    assert {surface.endpoint for surface in SURFACES[provider]} <= walk.seen.keys()
    assert {endpoint.name for _, endpoint, _, _ in REQUESTS[provider]} <= walk.seen.keys()


@pytest.mark.parametrize("provider", SURFACES)
def test_the_walk_meets_every_row_that_an_endpoint_can_meet(provider: str) -> None:
    served = {surface.kind for surface in SURFACES[provider]}
    rows = [row for row in read_rows() if row["provider"] == provider and row["kind"] in served]
    left_out = {row["models"][0] for row in rows} - Walk(provider, SEED).priced
    assert left_out == set()


def test_every_provider_of_the_book_is_walked() -> None:
    assert {row["provider"] for row in read_rows()} == set(SURFACES) == set(REQUESTS)
