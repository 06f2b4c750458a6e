"""Who bills for answers that are errors (metering.md section 1.3)."""

import pytest

from proxy.providers.failures import Charge, charge_of

NOTHING, INPUT, CEILING = Charge.NOTHING, Charge.INPUT, Charge.CEILING


@pytest.mark.parametrize(
    ("status", "others", "azure"),
    [
        (301, NOTHING, NOTHING),
        (400, NOTHING, INPUT),
        (401, NOTHING, NOTHING),
        (403, NOTHING, NOTHING),
        (404, NOTHING, NOTHING),
        (408, CEILING, CEILING),
        (409, NOTHING, NOTHING),
        (413, NOTHING, NOTHING),
        (422, NOTHING, NOTHING),
        (429, NOTHING, NOTHING),
        (500, NOTHING, CEILING),
        (503, NOTHING, CEILING),
        (504, CEILING, CEILING),
        (529, NOTHING, CEILING),
    ],
)
def test_what_an_error_costs_depends_on_who_answers(status, others, azure):
    for provider in ("openai", "anthropic", "google", "groq"):
        assert charge_of(provider, status) is others
    assert charge_of("azure", status) is azure
