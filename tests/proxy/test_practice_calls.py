"""Test keys through the whole path, without any provider."""

from collections.abc import Iterator

import openai
import pytest

from tests import cast
from tests.servers import ProxyServer, proxy_server


@pytest.fixture(scope="module")
def alice(committed_database: str) -> cast.Person:
    return cast.alice()


@pytest.fixture(scope="module")
def server(alice: cast.Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    with proxy_server(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


def test_a_newcomer_gets_an_answer_with_nothing_but_a_test_key(server: ProxyServer, alice: cast.Person) -> None:
    client = openai.OpenAI(base_url=server.openai_base_url, api_key=alice.test_key)
    answer = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
    )
    print(answer.headers, answer.text)
    assert answer.parse().usage is not None
