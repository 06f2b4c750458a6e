"""The provider fake answers the real SDKs, bills before it answers, and cries out over a leak."""

from decimal import Decimal

import anthropic
import httpx
import openai
import pytest

from tests.fakes.servers import ProviderFake, provider_fake


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with provider_fake(tmp_path_factory.mktemp("fake")) as fake:
        yield fake


@pytest.fixture
def fake(running: ProviderFake):
    running.reset()
    return running


def ask(text):
    return [{"role": "user", "content": text}]


def test_the_openai_sdk_gets_an_answer_and_the_bill_agrees_with_its_usage(fake):
    client = openai.OpenAI(api_key="sk-test", base_url=fake.openai_base_url)
    answer = client.chat.completions.create(model="gpt-4o", messages=ask("[[tokens_in=1000 tokens_out=100]]"))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1000, 100)
    assert answer.model == "gpt-4o-2024-08-06"
    assert [line["id"] for line in fake.bill()] == [answer.id]
    assert fake.billed_usd() == Decimal("0.0035")


def test_a_stream_has_usage_only_when_asked(fake):
    client = openai.OpenAI(api_key="sk-test", base_url=fake.openai_base_url)
    plain = list(client.chat.completions.create(model="gpt-4o", messages=ask("hi [[chunks=3]]"), stream=True))
    asked = list(
        client.chat.completions.create(
            model="gpt-4o", messages=ask("hi"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert all(chunk.usage is None and chunk.choices for chunk in plain)
    assert asked[-1].choices == []
    assert asked[-1].usage.completion_tokens == 12
    assert fake.stats()["billed"] == 2


def test_the_anthropic_sdk_streams_counts_and_bills(fake):
    client = anthropic.Anthropic(api_key="sk-ant-test", base_url=fake.anthropic_base_url)
    script = ask("hi [[tokens_in=504 tokens_out=97]]")
    with client.messages.stream(model="claude-opus-5-5", max_tokens=200, messages=script) as stream:
        message = stream.get_final_message()
    assert (message.usage.input_tokens, message.usage.output_tokens) == (504, 97)
    assert client.messages.count_tokens(model="claude-opus-5-5", messages=ask("hi")).input_tokens > 0
    assert fake.billed_usd() == Decimal("0.003956")
    assert client.models.list().data[0].id in {"claude-opus-5-5"}


def test_ceiling_mode_bills_the_bytes_received_and_the_whole_bound(fake):
    client = openai.OpenAI(api_key="sk-test", base_url=fake.openai_base_url)
    client.chat.completions.create(model="gpt-4o", messages=ask("[[bill=ceiling]]"), max_tokens=500)
    (line,) = fake.bill()
    assert line["usage"]["input"] == len(fake.log()[-1]["body"].encode()) + 64
    assert line["usage"]["output"] == 500


def test_errors_are_the_real_ones_and_cost_nothing(fake):
    fake.script(status=429, retry_after=3)
    client = openai.OpenAI(api_key="sk-test", base_url=fake.openai_base_url, max_retries=0)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask("hi"))
    assert caught.value.response.headers["retry-after"] == "3"
    claude = anthropic.Anthropic(api_key="sk-ant-test", base_url=fake.anthropic_base_url, max_retries=0)
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model="claude-opus-5-5", max_tokens=5, messages=ask("hi"))
    assert fake.bill() == []


def test_a_cut_stream_ends_without_an_end_but_is_billed(fake):
    body = {"model": "gpt-4o", "stream": True, "messages": ask("[[cut_after=2 chunks=9]]")}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{fake.url}/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-test"})
    assert fake.stats()["billed"] == 1


@pytest.mark.parametrize("headers", [{"x-awx-agent-id": "a"}, {"cookie": "s=1"}, {"x-api-key": "awx_live_abc"}])
def test_a_leak_is_answered_with_500_and_counted(fake, headers):
    answer = httpx.post(f"{fake.url}/v1/messages", json={}, headers={"authorization": "Bearer sk-test"} | headers)
    assert answer.status_code == 500
    assert fake.stats()["violations"] == 1
