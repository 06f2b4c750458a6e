from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _forget_attempts() -> Iterator[None]:
    """Attempts to sign in are counted by address in the cache, which outlives a test and a module."""
    cache.clear()
    yield
    cache.clear()
