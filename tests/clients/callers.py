"""Who calls: an agent with money and one without, the variables that a client reads, and what the book says after."""

from agents import budgets, created_agents, organization_keys
from agents.models import Call
from agents.models.book import CallStatus
from agents.money import PICO_PER_USD
from tests.proxy.stage import Stage, Worker, settled
from tests.servers import ProxyServer

SPENT_LIMIT_USD = "0.05"
MARKER = "no-such-model"


def variables(server: ProxyServer, key: str) -> dict[str, str]:
    """The two lines of each SDK, as docs/clients.md gives them."""
    return {
        "OPENAI_BASE_URL": server.openai_base_url,
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": server.anthropic_base_url,
        "ANTHROPIC_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": f"{server.address}/proxy/gemini",
        "GEMINI_API_KEY": key,
    }


def spent_worker(on: Stage, *, refusal_status: int = 429) -> Worker:
    """An agent whose daily budget is used up to the last cent, by calls made elsewhere."""
    worker = on.worker(SPENT_LIMIT_USD)
    worker.agent.refusal_status = refusal_status
    worker.agent.save(update_fields=["refusal_status"])
    usage = {"provider": "openai", "model": "gpt-4o-mini", "cost_usd": SPENT_LIMIT_USD}
    on.post(worker.key, "/v1/usage", json=usage).raise_for_status()
    return worker


def organization_key(on: Stage) -> str:
    """A key of Alice's organisation, which makes agents that it does not know yet."""
    alice = on.alice
    created_agents.change_terms(alice.organization, created_agents.CreationTerms(True, 20, PICO_PER_USD), by=alice.user)
    budgets.set_limit(budgets.ensure_organization_meter(alice.organization), 500 * PICO_PER_USD, alice.user)
    return organization_keys.issue(alice.organization, by=alice.user, name="Crew")[1]


def counted(on: Stage, worker: Worker) -> int:
    """How many requests of an agent were refused, by the book, once all of them are in it.

    The row of a refusal is written within a second. A last one of our own, of another reason than a budget, shows that
    those before it are there.
    """
    marker = on.post(worker.key, json={"model": MARKER, "messages": [{"role": "user", "content": "?"}]})
    settled(marker.headers["x-awx-call-id"])
    rows = Call.objects.filter(agent_id=worker.agent.id, status=CallStatus.REFUSED).exclude(model=MARKER)
    return sum(row.repeat_count for row in rows)
