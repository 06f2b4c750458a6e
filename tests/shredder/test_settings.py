import pytest
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_tests_run_on_a_real_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        assert cursor.fetchone()[0] >= 150_000


def test_tests_run_on_a_real_valkey() -> None:
    cache.set("greeting", "hello")
    assert cache.get("greeting") == "hello"
