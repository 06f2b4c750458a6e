from datetime import UTC, datetime
from itertools import pairwise

import pytest

from accounts.ids import made_at, uuid7


def test_an_id_is_a_version_seven_uuid_that_carries_its_time():
    identifier = uuid7(at_ms=1_763_769_600_123)

    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert made_at(identifier) == datetime(2025, 11, 22, 0, 0, 0, 123_000, tzinfo=UTC)


def test_ids_of_later_milliseconds_sort_later():
    identifiers = [uuid7(at_ms=1_763_769_600_000 + step) for step in range(1000)]

    assert all(earlier < later for earlier, later in pairwise(identifiers))


def test_ids_of_one_millisecond_differ():
    assert len({uuid7(at_ms=1) for _ in range(10_000)}) == 10_000


def test_ids_within_one_millisecond_sort_by_when_they_were_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time_ns", iter(range(1_763_769_600_123_000_000, 1_763_769_600_124_000_000, 250)).__next__)

    identifiers = [uuid7() for _ in range(4_000)]

    assert all(earlier < later for earlier, later in pairwise(identifiers))
    assert {made_at(identifier).microsecond for identifier in identifiers} == {123_000}
