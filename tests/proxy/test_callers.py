"""Who calls, other than by an agent's key (W6 b, c, d): each way works whole, and none passes a budget by."""

import time
from typing import Any

import httpx
import openai
import pytest

from accounts import credentials
from accounts.models import ProviderCredential
from agents import budgets, created_agents, organization_keys
from agents.created_agents import CreationTerms
from agents.models import Agent, Budget, Call, OrganizationKey
from agents.money import PICO_PER_USD
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, all_settled, settled

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello [[tokens_out=20]]"}],
    "max_tokens": 30,
}
MESSAGE: dict[str, Any] = BODY | {"model": "claude-haiku-4-5"}
WAYS = ("organisation key", "provider key", "key beside a provider key")
OWN_KEY = "sk-own-key-that-the-provider-does-not-know"


@pytest.fixture(scope="module")
def organization_key(whole_stage: Stage) -> tuple[OrganizationKey, str]:
    alice = whole_stage.alice
    created_agents.change_terms(alice.organization, CreationTerms(True, 500, 2 * PICO_PER_USD), by=alice.user)
    budgets.set_limit(budgets.ensure_organization_meter(alice.organization), 500 * PICO_PER_USD, alice.user)
    return organization_keys.issue(alice.organization, by=alice.user, name="Crew")


def headers_of(way: str, worker: Worker, whole: str) -> dict[str, str]:
    """How a program that knows the worker's id calls as it."""
    if way == "organisation key":
        return {"authorization": f"Bearer {whole}", "x-awx-agent-id": worker.agent.slug}
    if way == "provider key":
        return {"authorization": f"Bearer {PROVIDER_KEY}", "x-agent-id": worker.agent.slug.upper()}
    return {"authorization": f"Bearer {PROVIDER_KEY}", "x-awx-key": worker.key}


def call(on: Stage, headers: dict[str, str], path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
    return httpx.post(f"{on.server.address}/proxy{path}", headers=headers, json=BODY | body, timeout=60)


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["awx"]["reason"])


def until_told(on: Stage, headers: dict[str, str], hint: str) -> None:
    """Call until the refusal says this, or, for an empty hint, until the call passes."""
    deadline = time.monotonic() + 5
    while True:
        answer = call(on, headers)
        if answer.status_code == 200 or (hint and hint in answer.json()["error"]["awx"]["hint"]):
            assert answer.status_code == (403 if hint else 200)
            return
        assert time.monotonic() < deadline, answer.text


def seen_keys(on: Stage) -> set[str]:
    """The keys that the provider was shown."""
    return {seen["headers"].get("authorization") or seen["headers"].get("x-api-key") for seen in on.fake.log()}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_calls_as_its_agent_and_is_refused_over_its_budget(
    on: Stage, organization_key: tuple[OrganizationKey, str], way: str
) -> None:
    """E7: whatever the credential, a budgeted agent stands behind the call."""
    worker, poor = on.worker(), on.worker("0.000001")
    answer = call(on, headers_of(way, worker, organization_key[1]))
    assert (answer.status_code, answer.headers["x-awx-agent"]) == (200, worker.agent.slug)
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.agent_id, row.sub_agent) == (worker.agent.id, "")
    assert worker.spent_pico == row.cost_pico == on.fake.billed_pico()
    refused = call(on, headers_of(way, poor, organization_key[1]))
    assert (refused.status_code, reason(refused)) == (429, "call_too_expensive")
    assert (on.fake.stats()["requests"], on.fake.stats()["violations"]) == (1, 0)


def test_the_openai_client_with_its_own_key_and_one_header_just_works(
    on: Stage, organization_key: tuple[OrganizationKey, str]
) -> None:
    """The published snippet for crews: a provider's key, and a header for each role."""
    client = on.openai_client(PROVIDER_KEY, default_headers={"X-AWX-Agent-ID": "crew-researcher"})
    assert client.chat.completions.create(**BODY).choices[0].message.content
    agent = Agent.objects.get(slug="crew-researcher")
    assert Budget.objects.get(agent=agent).limit == 2 * PICO_PER_USD
    stream = client.chat.completions.create(**BODY, stream=True, extra_headers={"X-AWX-Agent-ID": "crew-writer"})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    all_settled()
    assert Call.objects.filter(agent_id=agent.id).count() == 1


def test_an_agent_that_a_call_creates_is_held_to_what_its_header_asked_for(
    on: Stage, organization_key: tuple[OrganizationKey, str]
) -> None:
    """E8, E9: the limit stays when the next call leaves the header out, or asks for more."""
    named = {"authorization": f"Bearer {organization_key[1]}", "x-awx-agent-id": "thrifty"}
    first = call(on, named | {"x-awx-daily-budget": "0.00005"})
    assert first.status_code == 200
    settled(first.headers["x-awx-call-id"])
    for more in ({}, {"x-awx-daily-budget": "100"}):
        refused = call(on, named | more)
        assert (refused.status_code, refused.json()["error"]["awx"]["limit"]) == (429, "0.000050")
    assert Budget.objects.get(agent__slug="thrifty").limit == 50_000_000


def test_nested_limits_all_hold_and_the_tightest_wins(on: Stage, organization_key: tuple[OrganizationKey, str]) -> None:
    """E11: the organisation's limit holds a rich agent, and the agent's a call of a rich organisation."""
    worker, meter = on.worker("5"), budgets.ensure_organization_meter(on.alice.organization)
    headers = headers_of("organisation key", worker, organization_key[1])
    budgets.set_limit(meter, 1, on.alice.user)
    refused = call(on, headers)
    budgets.set_limit(meter, 500 * PICO_PER_USD, on.alice.user)
    assert (refused.status_code, refused.json()["error"]["awx"]["scope"]) == (429, "organization")
    assert on.fake.stats()["requests"] == 0


def test_without_the_header_nobody_calls(on: Stage, organization_key: tuple[OrganizationKey, str]) -> None:
    """E7, E9."""
    for key in (organization_key[1], PROVIDER_KEY):
        for path in ("/v1/chat/completions", "/v1/messages/count_tokens"):
            answer = call(on, {"authorization": f"Bearer {key}"}, path)
            assert (answer.status_code, reason(answer)) == (400, "agent_required")
            assert "X-AWX-Agent-ID" in answer.json()["error"]["message"]
    assert on.fake.stats()["requests"] == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("path", "status"), [("/v1/files", 403), ("/v1/nowhere", 404), ("/openai/v1/chat/completions", 404)]
)
def test_no_path_leads_around_the_budgets(
    on: Stage, organization_key: tuple[OrganizationKey, str], way: str, path: str, status: int
) -> None:
    """E6: what is not an endpoint we can bound is never forwarded, whoever asks."""
    answer = call(on, headers_of(way, on.worker(), organization_key[1]), path)
    assert answer.status_code == status
    assert on.fake.stats()["requests"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_price_address_and_key_in_a_body_change_nothing(
    on: Stage, organization_key: tuple[OrganizationKey, str], way: str
) -> None:
    """E12: the call goes to the provider, with the key that is meant, and costs what it costs."""
    worker = on.worker()
    claims = {
        "api_base": "http://169.254.169.254/v1", "base_url": "http://127.0.0.1:1/v1", "api_key": "sk-another",
        "input_cost_per_token": 0, "output_cost_per_token": 0, "metadata": {"cost": "0", "agent": "somebody-else"},
    }  # fmt: skip
    answer = call(on, headers_of(way, worker, organization_key[1]), **claims)
    assert answer.status_code == 200
    row = settled(answer.headers["x-awx-call-id"])
    assert row.cost_pico == on.fake.billed_pico() > 0
    assert row.agent_id == worker.agent.id
    assert seen_keys(on) == {f"Bearer {PROVIDER_KEY}"}


def test_charlies_keys_reach_nothing_of_alices(on: Stage, organization_key: tuple[OrganizationKey, str]) -> None:
    worker, charlie = on.worker(), on.charlie
    _, whole = organization_keys.issue(charlie.organization, by=charlie.user, name="Crew")
    for headers in (
        {"authorization": f"Bearer {whole}", "x-awx-agent-id": worker.agent.slug},
        {"x-awx-key": whole, "authorization": f"Bearer {PROVIDER_KEY}", "x-awx-agent-id": worker.agent.slug},
    ):
        answer = call(on, headers)
        assert (answer.status_code, reason(answer)) == (403, "agent_unknown")
        assert "Settings → Organisation keys" in answer.json()["error"]["message"]
    assert worker.calls() == []


def test_a_key_that_both_connected_asks_for_an_awx_key(on: Stage) -> None:
    shared = "sk-shared-by-two-organisations"
    for person in (on.alice, on.charlie):
        credentials.connect(person.organization, "google", shared, by=person.user)
    answer = call(on, {"authorization": f"Bearer {shared}", "x-awx-agent-id": "support-triage"})
    assert (answer.status_code, reason(answer)) == (401, "key_ambiguous")
    assert shared not in answer.text


def test_a_strange_key_is_told_how_to_be_known_and_stays_in_no_log(on: Stage) -> None:
    answer = call(on, {"authorization": f"Bearer {OWN_KEY}", "x-awx-agent-id": "support-triage"})
    assert (answer.status_code, reason(answer)) == (401, "key_malformed")
    assert "X-AWX-Key" in answer.json()["error"]["message"]
    assert OWN_KEY not in answer.text
    assert OWN_KEY not in on.server.log.read_text()


def test_a_revoked_organisation_key_opens_nothing_for_the_very_next_call(on: Stage) -> None:
    worker = on.worker()
    key, whole = organization_keys.issue(on.alice.organization, by=on.alice.user)
    headers = headers_of("organisation key", worker, whole)
    assert call(on, headers).status_code == 200
    organization_keys.revoke(key, by=on.alice.user)
    answer = call(on, headers)
    assert (answer.status_code, reason(answer)) == (401, "key_revoked")
    assert "the page of organisation keys" in answer.json()["error"]["message"]
    assert call(on, {"authorization": f"Bearer {worker.key}"}).status_code == 200


def test_a_running_stream_of_a_revoked_organisation_key_is_cut_and_an_agents_own_goes_on(on: Stage) -> None:
    worker = on.worker()
    key, whole = organization_keys.issue(on.alice.organization, by=on.alice.user)
    slowly = {"messages": [{"role": "user", "content": "Go [[chunks=1500 chunk_ms=40 tokens_out=9]]"}], "stream": True}
    url = f"{on.server.address}/proxy/v1/chat/completions"
    ours, agents_own = headers_of("organisation key", worker, whole), {"authorization": f"Bearer {worker.key}"}
    with (
        httpx.stream("POST", url, headers=ours, json=BODY | slowly, timeout=60) as cut,
        httpx.stream("POST", url, headers=agents_own, json=BODY | slowly, timeout=60) as going,
    ):
        lines, others = cut.iter_lines(), going.iter_lines()
        assert next(lines).startswith("data:")
        assert next(others).startswith("data:")
        organization_keys.revoke(key, by=on.alice.user)
        told = [line for line in lines if line.startswith("data:")][-1]
        assert "key_revoked" in told
        assert f"{key}" in told
        assert next(line for line in others if line).startswith("data:")
        assert settled(cut.headers["x-awx-call-id"]).reason == "key_revoked"
        budgets.stop_now(worker.agent, by=on.alice.user)
    all_settled()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_asks_about_its_agent(on: Stage, organization_key: tuple[OrganizationKey, str], way: str) -> None:
    worker = on.worker("7")
    headers = headers_of(way, worker, organization_key[1])
    told = httpx.get(f"{on.server.address}/proxy/v1/budget", headers=headers).json()
    assert told["agent"] == worker.agent.slug
    assert "7.000000" in {budget["limit"] for budget in told["budgets"]}
    models = httpx.get(f"{on.server.address}/proxy/v1/models", headers=headers).json()["data"]
    assert "gpt-4o-mini" in {model["id"] for model in models}


def test_a_callers_own_key_counts_as_connected_for_both_dialects(on: Stage) -> None:
    """Charlie's organisation connected nothing: a call without a key of its own is refused."""
    key = on.charlie.live_key
    assert reason(call(on, {"authorization": f"Bearer {key}"})) == "provider_not_connected"
    for path, body, header in (
        ("/v1/chat/completions", BODY, {"authorization": f"Bearer {PROVIDER_KEY}"}),
        ("/v1/chat/completions", BODY | {"model": "openai/gpt-4o-mini"}, {"authorization": f"Bearer {PROVIDER_KEY}"}),
        ("/v1/messages", MESSAGE, {"x-api-key": PROVIDER_KEY}),
        ("/v1/messages/count_tokens", MESSAGE, {"x-api-key": PROVIDER_KEY}),
    ):
        sent = {name: value for name, value in body.items() if name != "max_tokens" or "count" not in path}
        url = f"{on.server.address}/proxy{path}"
        answer = httpx.post(url, headers={"x-awx-key": key, **header}, json=sent, timeout=60)
        assert answer.status_code == 200, answer.text
    assert on.fake.stats()["violations"] == 0
    assert not ProviderCredential.objects.filter(organization=on.charlie.organization, provider="openai").exists()


def test_a_response_is_asked_for_again_and_continued_with_the_key_it_was_made_with(on: Stage) -> None:
    """Charlie's organisation connected nothing; Alice's did, and her stored key stays out of it."""
    beside = {"authorization": f"Bearer {PROVIDER_KEY}", "x-awx-key": on.charlie.live_key}
    body = {"model": "gpt-4o", "input": "Say hello [[tokens_out=20]]", "max_output_tokens": 30}
    url = f"{on.server.address}/proxy/v1/responses"
    made = httpx.post(url, headers=beside, json=body, timeout=60)
    assert made.status_code == 200, made.text
    settled(made.headers["x-awx-call-id"])
    again = httpx.get(f"{url}/{made.json()['id']}", headers=beside, timeout=60)
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"]), again.text
    more = httpx.post(url, headers=beside, json=body | {"previous_response_id": made.json()["id"]}, timeout=60)
    assert more.status_code == 200, more.text
    worker = on.worker()
    mine = httpx.post(url, headers={"authorization": f"Bearer {worker.key}"}, json=body, timeout=60).json()["id"]
    strange = {"authorization": f"Bearer {OWN_KEY}", "x-awx-key": worker.key}
    assert httpx.get(f"{url}/{mine}", headers=strange, timeout=60).status_code == 401
    assert seen_keys(on) == {f"Bearer {PROVIDER_KEY}", f"Bearer {OWN_KEY}"}


def test_a_key_for_one_provider_never_goes_to_another(on: Stage) -> None:
    """Alice has both connected: her stored key does not take the place of the one that was shown, either."""
    worker = on.worker()
    answer = call(on, {"x-awx-key": worker.key, "x-api-key": OWN_KEY, "authorization": ""})
    assert (answer.status_code, reason(answer)) == (403, "provider_not_connected")
    beside = {"x-awx-key": worker.key, "authorization": f"Bearer {OWN_KEY}"}
    named = call(on, beside, model="anthropic/claude-haiku-4-5")
    assert named.status_code == 403
    assert on.fake.stats()["requests"] == 0


def test_what_the_provider_says_of_a_callers_own_key_is_passed_on_and_costs_nothing(on: Stage) -> None:
    worker, before = on.worker(), ProviderCredential.objects.filter(rejected_at=None).count()
    client = on.openai_client(OWN_KEY, default_headers={"X-AWX-Key": worker.key}, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(**BODY)
    assert caught.value.code == "invalid_api_key"
    assert seen_keys(on) == {f"Bearer {OWN_KEY}"}
    row = settled(caught.value.response.headers["x-awx-call-id"])
    assert (row.status, row.reason, row.cost_pico) == ("voided", "provider_401", 0)
    assert ProviderCredential.objects.filter(rejected_at=None).count() == before
    answer = call(on, {"authorization": f"Bearer {worker.key}"})
    assert answer.status_code == 200, "the next call has the stored key again"
    assert OWN_KEY not in on.server.log.read_text()


def test_a_program_cannot_go_on_under_new_ids_once_all_agents_are_stopped(
    on: Stage, organization_key: tuple[OrganizationKey, str]
) -> None:
    """B5: the very next call with an id that nobody knows is refused and makes no agent."""
    named = {"authorization": f"Bearer {organization_key[1]}", "x-awx-agent-id": "looping-1"}
    assert call(on, named).status_code == 200
    budgets.stop_all(on.alice.organization, on.alice.user)
    stopped, unknown = call(on, named), call(on, named | {"x-awx-agent-id": "looping-2"})
    created_agents.change_terms(on.alice.organization, CreationTerms(True, 500, 2 * PICO_PER_USD), by=on.alice.user)
    assert (stopped.status_code, reason(stopped)) == (403, "agent_paused")
    assert (unknown.status_code, reason(unknown)) == (403, "agent_unknown")
    assert "allow new agents under Settings → Organisation keys" in unknown.json()["error"]["awx"]["hint"]
    assert on.fake.stats()["requests"] == 1
    until_told(on, named | {"x-awx-agent-id": "looping-2"}, "")


def test_a_test_key_beside_a_provider_key_stays_in_the_sandbox(on: Stage) -> None:
    answer = call(on, {"x-awx-key": on.charlie.test_key, "authorization": f"Bearer {PROVIDER_KEY}"})
    assert answer.status_code == 200
    assert on.fake.stats()["requests"] == 0


def test_a_new_agent_is_allowed_within_a_moment(on: Stage) -> None:
    """B5: what is loosened may be refused from memory for 250 ms more."""
    charlie = on.charlie
    _, whole = organization_keys.issue(charlie.organization, by=charlie.user)
    headers = {"x-awx-key": whole, "authorization": f"Bearer {PROVIDER_KEY}", "x-awx-agent-id": "newcomer"}
    until_told(on, headers, "allow new agents")
    created_agents.change_terms(charlie.organization, CreationTerms(True, 1, PICO_PER_USD), by=charlie.user)
    until_told(on, headers, "hard daily dollar budget")
    budgets.set_limit(budgets.ensure_organization_meter(charlie.organization), PICO_PER_USD, charlie.user)
    until_told(on, headers, "")
    until_told(on, headers | {"x-awx-agent-id": "another"}, "new agents a day (1)")
