"""Sends calls to the hostile provider and looks at what each left behind."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from accounts import credentials
from agents.models import Budget, Call, Reservation
from tests.agents.ledger_house import in_thread
from tests.proxy.hostile import Attack, HostileProvider, attack_of
from tests.proxy.in_process import Inside, inside
from tests.proxy.stage import PROVIDER_KEY

OTHERS = ("anthropic", "google")
AT_ONCE = 20
SETTLED_SECONDS_MAX = 30.0
# What the proxy may answer of its own to a provider's fault; any other status is the provider's.
OURS = frozenset({502, 504})


@dataclass(frozen=True)
class Seen:
    """What the client got."""

    status: int
    call_id: str
    body: bytes


class _Forgetful(set[str]):
    """A wrong bill takes its model out of service, which is right and would end the experiment."""

    def add(self, element: str) -> None:
        """Forget it."""


async def hostile_answers_leave_nothing_held(seeds: Sequence[int]) -> tuple[Counter[str], int]:
    """Run every seed; returns how many calls ended in which way, and the memory taken after a fifth."""
    provider = HostileProvider()
    await provider.start()
    ends: Counter[str] = Counter()
    try:
        async with inside(f"{provider.url}/v1", others=dict.fromkeys(OTHERS, provider.url)) as by:
            for name in OTHERS:
                await in_thread(credentials.connect, by.alice.organization, name, PROVIDER_KEY, by=by.alice.user)
            await in_thread(lambda: Budget.objects.update(limit=None))
            by.process.prices._quarantined, by.process.prices._unbounded = _Forgetful(), _Forgetful()
            for start in range(0, len(seeds), AT_ONCE):
                if start <= len(seeds) // 5:
                    warm_bytes = _memory_bytes()
                ends += await _batch(by, seeds[start : start + AT_ONCE])
            grown_bytes = _memory_bytes() - warm_bytes
    finally:
        provider.stop()
    return ends, grown_bytes


async def _batch(by: Inside, seeds: Sequence[int]) -> Counter[str]:
    attacks = [attack_of(seed) for seed in seeds]
    answers = await asyncio.gather(*(_call(by, attack) for attack in attacks))
    async with asyncio.timeout(SETTLED_SECONDS_MAX):
        while await in_thread(Reservation.objects.exists):
            await asyncio.sleep(0.01)
    ids = [answer.call_id for answer in answers]
    rows = await in_thread(lambda: {str(row.call_id): row for row in Call.objects.filter(call_id__in=ids)})
    without = [answer for answer in answers if answer.call_id not in rows]
    assert not without, f"without a row: {without}"
    assert await in_thread(Call.objects.filter(call_id__in=ids).count) == len(ids), "a call has two rows"
    ends: Counter[str] = Counter()
    for attack, answer in zip(attacks, answers, strict=True):
        row, told = rows[answer.call_id], f"seed {attack.seed} ({attack.name})"
        status = answer.status
        assert status < 500 or status in OURS or status == attack.status, f"{told}: {status} {answer.body[:200]!r}"
        assert row.status in ("settled", "voided"), f"{told}: {row.status}"
        assert row.cost_pico >= 0, told
        if status == 200 and row.status == "voided":
            raise AssertionError(f"{told}: answered and not charged")
        ends[f"{row.status} {row.basis}"] += 1
    return ends


async def _call(by: Inside, attack: Attack) -> Seen:
    headers = {"authorization": f"Bearer {by.alice.live_key}"}
    if attack.form.provider == "anthropic":
        headers = {"x-api-key": by.alice.live_key, "anthropic-version": "2023-06-01"}
    url = f"/proxy{attack.path}"
    async with by.client.stream("POST", url, headers=headers, json=attack.body) as answer:
        # Raw: it may be said to be compressed and not be.
        body = b"".join([piece async for piece in answer.aiter_raw()])
        return Seen(answer.status_code, answer.headers["x-awx-call-id"], body)


def _memory_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
