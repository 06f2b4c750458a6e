"""One of several processes that reserve and settle on the same balances as fast as they can."""

import asyncio
import json
import logging
import random
import sys
from uuid import UUID

from accounts.ids import uuid7
from agents.ledger import Ask, BudgetRefused, CallEnd, Ledger

CALLERS, CALLS = 16, 25


async def main(facts: dict[str, object]) -> dict[str, int]:
    ledger = Ledger(str(facts["dsn"]))
    await ledger.start()
    counts = {"settled": 0, "refused": 0, "spent": 0}
    dice = random.Random(str(ledger.owner))

    async def caller() -> None:
        for _ in range(CALLS):
            ask = Ask(
                call_id=uuid7(),
                organization_id=UUID(str(facts["organization"])),
                agent_id=UUID(str(facts["agent"])),
                agent_version=1,
                organization_version=1,
                budgets=tuple((budget, "") for budget in facts["budgets"]),  # type: ignore[attr-defined]
                usd_pico=10**12 // 50,
                tokens=100,
                deadline_seconds=60,
            )
            try:
                await ledger.reserve(ask)
            except BudgetRefused:
                counts["refused"] += 1
                continue
            cost = dice.randrange(10**12 // 500)
            await asyncio.gather(*(ledger.settle(ask.call_id, CallEnd(cost_pico=cost, tokens=7)) for _ in range(2)))
            counts["settled"] += 1
            counts["spent"] += cost

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await ledger.stop()
    return counts


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
