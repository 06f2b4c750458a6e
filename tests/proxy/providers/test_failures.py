"""Who bills for answers that are errors (metering.md section 1.3)."""

import pytest

from proxy.providers.failures import Charge, ErrorCost, charge_of, cost_of, rejects_key, was_unread
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


FORM = b'{"error":{"code":"unsupported_parameter"}}'
FILTER = b'{"error":{"code":"content_filter"}}'
BILLING = Traits(bills_errors=True)


@pytest.mark.parametrize(
    ("traits", "status", "body", "charge"),
    [
        (COMPATIBLE, 400, FILTER, NOTHING),
        (COMPATIBLE, 504, FORM, CEILING),
        (BILLING, 400, FILTER, INPUT),
        (BILLING, 400, FORM, NOTHING),
        (BILLING, 400, b"", INPUT),
        (BILLING, 400, None, INPUT),
        (BILLING, 500, FORM, CEILING),
        (BILLING, 500, None, CEILING),
    ],
)
def test_what_an_error_says_can_only_make_its_input_free(traits, status, body, charge):
    for is_our_key in (True, False):
        assert cost_of(traits, status, body, is_our_key=is_our_key) == ErrorCost(charge, f"provider_{status}", False)


@pytest.mark.parametrize(
    ("traits", "status", "body", "is_rejected"),
    [
        (COMPATIBLE, 401, b"", True),
        (COMPATIBLE, 403, b"", True),
        (COMPATIBLE, 400, b"API_KEY_INVALID", False),
        (COMPATIBLE, 429, b"", False),
        (Traits(bad_key=b"API_KEY_INVALID"), 400, b"..API_KEY_INVALID..", True),
        (Traits(bad_key=b"API_KEY_INVALID"), 400, b"", False),
        (Traits(bad_key=b"API_KEY_INVALID"), 404, b"API_KEY_INVALID", False),
        (Traits(bad_key=b"API_KEY_INVALID"), 401, b"", True),
        (Traits(moderates=True), 403, b"", False),
        (Traits(moderates=True), 401, b"", True),
    ],
)
def test_which_errors_turn_a_key_away_depends_on_who_answers(traits, status, body, is_rejected):
    assert rejects_key(traits, status, body) is is_rejected


def test_only_a_rejection_of_our_own_key_is_booked_and_told_as_such():
    assert cost_of(COMPATIBLE, 401, None, is_our_key=True) == ErrorCost(NOTHING, "provider_key_rejected", True)
    assert cost_of(COMPATIBLE, 401, b"", is_our_key=False) == ErrorCost(NOTHING, "provider_401", False)


def test_a_key_that_was_rejected_with_a_billed_error_is_charged_for_what_was_read():
    both = Traits(bills_errors=True, bad_key=b"content_filter")
    assert cost_of(both, 400, FILTER, is_our_key=True) == ErrorCost(INPUT, "provider_400", True)
