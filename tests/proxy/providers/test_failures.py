"""Who bills for answers that are errors (metering.md section 1.3)."""

import pytest

from proxy.providers.failures import Charge, charge_of
from proxy.providers.shape import COMPATIBLE, Traits

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
    assert charge_of(COMPATIBLE, status) is others
    assert charge_of(Traits(bills_errors=True), status) is azure
