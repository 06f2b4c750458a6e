"""What providers write when they ask to wait, and what they do not."""

from datetime import UTC, datetime

import pytest

from proxy.guards.retry_after import HELD_MS_MAX, asked_wait_ms

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({"retry-after": "20"}, 20_000),
        ({"retry-after": " 1.5 "}, 1_500),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "750"}, 750),
        ({"retry-after-ms": "750", "retry-after": "1"}, 750),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2_000),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30_000),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30"}, 30_000),
        ({"retry-after": "Sun, 01 Mar 2026 11:59:00 GMT"}, 0),
        ({"retry-after": "86400"}, HELD_MS_MAX),
        ({"retry-after": "Mon, 01 Mar 2027 12:00:00 GMT"}, HELD_MS_MAX),
        ({"retry-after": "inf"}, HELD_MS_MAX),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Sun, 99 Foo 2026"}, 0),
        ({"retry-after": f"Sun, 01 Mar {'9' * 25} 12:00:00 GMT"}, 0),
        ({"retry-after": f"Sun, 01 Mar 2026 12:00:00 +{'9' * 25}"}, 0),
        ({"retry-after": "1" * 5_000}, HELD_MS_MAX),
        ({"retry-after": ""}, 0),
        ({}, 0),
    ],
)
def test_a_wait_is_read_in_every_form_and_bounded(headers: dict[str, str], wait_ms: int) -> None:
    assert asked_wait_ms(headers, NOW) == wait_ms
