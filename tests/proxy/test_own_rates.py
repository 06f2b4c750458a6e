"""An organisation's own rates on the way of a call (B12): priced models pass, and every row can be priced again."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from accounts import credentials
from agents import keys, rates
from agents.audit import audit
from agents.models import CustomRate, KeyMode
from agents.money import PICO_PER_USD, parse_usd
from tests.proxy.stage import PROVIDER_KEY, Stage, all_settled, settled

MODEL = "acme-support-70b"  # the provider serves it, the price list lacks it
FREE = "acme-free-7b"
LOOSENED_SECONDS_MAX = 5.0  # of a busy machine; far under the minute for which a snapshot is trusted otherwise


@pytest.fixture(autouse=True)
def no_rates_left(on: Stage) -> Iterator[None]:
    """Every test begins and ends with the price list alone."""
    yield
    all_settled()
    for rate in rates.current(on.alice.organization.id):
        rates.end_rate(rate, by=None)


def body(model: str = MODEL, words: str = "tokens_in=40 tokens_out=20", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": f"Hello [[{words}]]"}], **more}


def set_rate(on: Stage, model: str = MODEL, usd: str = "0.25", out: str = "1", **more: Any) -> CustomRate:
    """A rate of Acme's, in dollars per million tokens; more: as the model has it."""
    values = {"provider": "openai", "input_pico": parse_usd(usd), "output_pico": parse_usd(out)} | more
    return rates.set_rate(CustomRate(organization=on.alice.organization, model=model, **values), by=on.alice.user)


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def post_once_known(on: Stage, key: str, request: dict[str, Any]) -> httpx.Response:
    """The first call that is not refused; what a change loosens holds after 250 ms at the latest (B5)."""
    deadline = time.monotonic() + LOOSENED_SECONDS_MAX
    while (answer := on.post(key, json=request)).status_code == 403 and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def test_a_model_without_a_price_is_refused_and_never_free(on: Stage) -> None:
    """A4, B6."""
    worker = on.worker()
    answer = on.post(worker.key, json=body())
    assert (answer.status_code, code(answer)) == (403, "unpriced_model")
    assert MODEL in answer.json()["error"]["message"]
    assert on.fake.stats()["requests"] == 0
    assert (worker.spent_pico, worker.held_pico) == (0, 0)


def test_a_rate_opens_a_refused_model_at_once_and_its_end_shuts_it_for_the_very_next_call(on: Stage) -> None:
    worker = on.worker()
    assert on.post(worker.key, json=body()).status_code == 403
    rate = set_rate(on)
    assert post_once_known(on, worker.key, body()).status_code == 200
    rates.end_rate(rate, by=None)
    assert code(on.post(worker.key, json=body())) == "unpriced_model"


def test_a_new_price_holds_for_the_very_next_call(on: Stage) -> None:
    set_rate(on)
    worker = on.worker()
    assert on.post(worker.key, json=body()).status_code == 200
    dearer = set_rate(on, usd="2")
    row = settled(on.post(worker.key, json=body()).headers["x-awx-call-id"])
    assert row.pricing["row"] == f"custom/{dearer.id}"


def test_a_provider_connected_after_a_refusal_answers_at_once(on: Stage) -> None:
    charlie = on.charlie
    assert code(on.post(charlie.live_key, json=body("gpt-4o-mini"))) == "provider_not_connected"
    credentials.connect(charlie.organization, "openai", PROVIDER_KEY, by=charlie.user)
    assert post_once_known(on, charlie.live_key, body("gpt-4o-mini")).status_code == 200
    credentials.disconnect(charlie.organization.credentials.get(), by=charlie.user)


@pytest.mark.parametrize("stream", [False, True])
def test_the_cost_is_the_providers_bill_to_the_last_digit(on: Stage, stream: bool) -> None:
    rate = set_rate(on)
    worker = on.worker()
    row = settled(on.post(worker.key, json=body(stream=stream)).headers["x-awx-call-id"])
    assert row.cost_pico == on.fake.billed_pico() == 40 * 250_000 + 20 * 1_000_000
    assert (row.basis, row.pricing) == ("usage", {"row": f"custom/{rate.id}"})
    assert row.cost_pico < row.held_pico
    assert worker.spent_pico == row.cost_pico


def test_a_custom_price_is_checked_before_the_first_call(on: Stage) -> None:
    """Scenario B7."""
    set_rate(on, usd="1000", out="1000")
    worker = on.worker("0.02")
    answer = on.post(worker.key, json=body())
    assert code(answer) == "insufficient_quota"
    assert on.fake.stats()["requests"] == 0


def test_an_own_rate_replaces_the_list_also_where_another_model_answers(on: Stage) -> None:
    rate = set_rate(on, "gpt-4o", usd="1", out="3")
    row = settled(on.post(on.worker().key, json=body("gpt-4o")).headers["x-awx-call-id"])
    assert row.served_model == "gpt-4o-2024-08-06"
    assert row.cost_pico == 40 * 1_000_000 + 20 * 3_000_000
    assert row.pricing["row"] == f"custom/{rate.id}"
    dated = settled(on.post(on.worker().key, json=body("gpt-4o-2024-08-06")).headers["x-awx-call-id"])
    assert dated.pricing["row"].startswith("openai/"), "a rate is of exactly the model it names"


def test_a_running_call_is_settled_by_the_rate_that_its_ceiling_was_made_with(on: Stage) -> None:
    old = set_rate(on)
    worker = on.worker()

    async def call_and_change() -> Any:
        call = asyncio.to_thread(on.post, worker.key, json=body(words="tokens_in=40 tokens_out=20 delay_ms=1500"))
        running = asyncio.create_task(call)
        async with asyncio.timeout(10):
            while await asyncio.to_thread(lambda: worker.held_pico) == 0:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(set_rate, on, usd="50", out="50")
        return await running

    row = settled(asyncio.run(call_and_change()).headers["x-awx-call-id"])
    assert row.pricing["row"] == f"custom/{old.id}"
    assert row.cost_pico == on.fake.billed_pico() < row.held_pico


def test_the_fee_of_a_call_is_held_and_charged(on: Stage) -> None:
    fee_pico = PICO_PER_USD // 100
    set_rate(on, call_pico=fee_pico)
    row = settled(on.post(on.worker().key, json=body()).headers["x-awx-call-id"])
    assert row.cost_pico == on.fake.billed_pico() + fee_pico
    assert row.held_pico > fee_pico
    assert on.post(on.worker("0.009").key, json=body()).status_code == 429


def test_a_free_model_passes_an_exhausted_budget_and_a_paid_one_does_not(on: Stage) -> None:
    """A15: what is asked for is 0, and 0 fits while no more is spent and held than the limit."""
    set_rate(on, FREE, usd="0", out="0")
    worker = on.worker("0")
    assert on.post(worker.key, json=body("gpt-4o-mini")).status_code == 429
    row = settled(on.post(worker.key, json=body(FREE)).headers["x-awx-call-id"])
    assert (row.cost_pico, row.held_pico, row.basis) == (0, 0, "usage")


def test_a_free_model_is_refused_while_a_budget_is_overdrawn(on: Stage) -> None:
    """A15: after an overrun nothing fits, 0 included."""
    set_rate(on, FREE, usd="0", out="0")
    set_rate(on, usd="100", out="100")
    worker = on.worker("0.5")
    overrun = settled(on.post(worker.key, json=body(words="tokens_in=9000 tokens_out=20")).headers["x-awx-call-id"])
    assert overrun.cost_pico > overrun.held_pico
    assert worker.spent_pico > parse_usd("0.5")
    assert on.post(worker.key, json=body(FREE)).status_code == 429


def test_a_rate_that_a_bill_proved_wrong_rests_until_it_is_set_anew(on: Stage) -> None:
    set_rate(on, usd="100", out="100")
    worker = on.worker()
    settled(on.post(worker.key, json=body(words="tokens_in=9000 tokens_out=20")).headers["x-awx-call-id"])
    assert code(on.post(worker.key, json=body())) == "unpriced_model"
    set_rate(on, usd="101", out="100")
    assert post_once_known(on, worker.key, body()).status_code == 200


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_a_tier_that_the_rate_does_not_name_is_refused(on: Stage, tier: str) -> None:
    set_rate(on, "gpt-4o", usd="1", out="3")
    answer = on.post(on.worker().key, json=body("gpt-4o", service_tier=tier))
    assert (answer.status_code, code(answer)) == (400, "unpriced_feature")
    assert tier in answer.json()["error"]["message"]
    assert "rate of its own" in answer.json()["error"]["awx"]["hint"]


def test_a_bound_of_ours_still_keeps_to_what_the_model_can_write(on: Stage) -> None:
    set_rate(on, "gpt-3.5-turbo", usd="0.4", out="1")
    unbounded = body("gpt-3.5-turbo")
    del unbounded["max_tokens"]
    answer = on.post(on.worker().key, json=unbounded)
    assert answer.headers["x-awx-max-output-tokens"] == "4096"


def test_the_list_of_models_has_it_and_charlies_does_not(on: Stage) -> None:
    set_rate(on)
    worker = on.worker()
    listed = [model["id"] for model in on.get(worker.key, "/v1/models").json()["data"]]
    assert MODEL in listed
    assert len(listed) == len(set(listed))
    assert on.get(worker.key, f"/v1/models/{MODEL}").status_code == 200
    for key in (on.charlie.live_key, on.charlie.test_key):
        assert MODEL not in on.get(key, "/v1/models").text
        assert on.post(key, json=body()).status_code == 403


def test_a_prefix_may_name_the_provider_and_the_other_dialect_says_where_to_go(on: Stage) -> None:
    set_rate(on)
    worker = on.worker()
    assert on.post(worker.key, json=body(f"openai/{MODEL}")).status_code == 200
    answer = on.post(worker.key, "/v1/messages", json=body())
    assert answer.status_code == 403
    assert "/v1/chat/completions" in answer.text


def test_a_test_key_practises_at_the_own_rate(on: Stage) -> None:
    rate = set_rate(on)
    key = keys.issue(on.worker().agent, KeyMode.TEST, by=None)[1]
    row = settled(on.post(key, json=body()).headers["x-awx-call-id"])
    assert row.practice
    assert row.pricing["row"] == f"custom/{rate.id}"


def test_usage_from_elsewhere_is_priced_by_the_own_rate(on: Stage) -> None:
    worker = on.worker()
    said = {"provider": "openai", "model": MODEL, "usage": {"prompt_tokens": 40, "completion_tokens": 20}}
    assert code(on.post(worker.key, "/v1/usage", json=said)) == "unpriced_model"
    for model in (MODEL, "gpt-4o-mini"):
        set_rate(on, model)
        assert on.post(worker.key, "/v1/usage", json=said | {"model": model}).json()["cost"] == "0.000030"
    # As for a call: a bill that the provider states never lowers the organisation's own price.
    set_rate(on, "acme/x", provider="openrouter")
    stated = {"provider": "openrouter", "model": "acme/x", "usage": said["usage"] | {"cost": 0.000001}}
    assert on.post(worker.key, "/v1/usage", json=stated).json()["cost"] == "0.000030"


def test_the_audit_is_green_over_all_of_it(on: Stage) -> None:
    rate = set_rate(on)
    key = on.worker().key
    settled(on.post(key, json=body()).headers["x-awx-call-id"])
    set_rate(on, usd="0.5")
    settled(on.post(key, json=body()).headers["x-awx-call-id"])
    found = next(check for check in audit().checks if check.name == "prices")
    assert (found.breaches, found.examined_count > 1) == ([], True)
    CustomRate.objects.filter(id=rate.id).update(input_pico=rate.input_pico * 2)
    assert any("priced again" in breach for breach in next(c for c in audit().checks if c.name == "prices").breaches)
    CustomRate.objects.filter(id=rate.id).update(input_pico=rate.input_pico)
