"""Who bills for answers that are errors (metering.md section 1.3)."""

import pytest

from proxy.providers.failures import Charge, charge_of, was_unread
from proxy.providers.traits import COMPATIBLE, Traits

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


@pytest.mark.parametrize(
    ("body", "unread"),
    [
        (b'{"error":{"code":"unsupported_parameter","message":"m","param":"p","type":"invalid_request_error"}}', True),
        (b'{"error":{"code":"missing_required_parameter"}}', True),
        (b'{"error":{"code":"OperationNotSupported","message":"m"}}', True),
        (b'{"error":{"code":"content_filter","status":400}}', False),
        (b'{"error":{"code":"context_length_exceeded"}}', False),
        (b'{"error":{"code":"string_above_max_length"}}', False),
        (b'{"error":{"code":"unsupported_value","innererror":{"code":"ResponsibleAIPolicyViolation"}}}', False),
        (b'{"error":{"code":null,"type":"invalid_request_error"}}', False),
        (b'{"error":{"code":["unsupported_value"]}}', False),
        (b'{"error":"unsupported_value"}', False),
        (b'["unsupported_value"]', False),
        (b"unsupported_value", False),
        (b"", False),
    ],
)
def test_an_error_is_free_where_its_code_proves_that_nothing_was_read(body, unread):
    assert was_unread(body) is unread
