"""Scripts on their way to Valkey: what comes while one batch is under way is the next; a round trip for each batch."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError

BATCH_MAX = 64
WAITING_MAX = 5_000


class Failed(Exception):
    """The script was not run, or nobody knows whether it was."""


@dataclass(frozen=True, slots=True)
class _Run:
    script: AsyncScript
    keys: Sequence[str]
    arguments: Sequence[bytes | int]
    answer: asyncio.Future[Any]


class Batches:
    """Runs scripts in the order in which they came. seconds: how long a batch may take, after that all fail."""

    def __init__(self, client: Redis, scripts: Mapping[str, AsyncScript], *, seconds: float) -> None:
        self._client = client
        self._scripts = scripts
        self._seconds = seconds
        self._waiting: deque[_Run] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[bytes | int]) -> Any:
        """Run a script and return its answer; raises Failed."""
        if len(self._waiting) >= WAITING_MAX:
            raise Failed("too many wait")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Run(self._scripts[name], keys, arguments, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        """Send batch after batch until nothing waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                async with asyncio.timeout(self._seconds):
                    answers = await self._run_all(batch)
            except Exception as error:  # noqa: BLE001 (the edge of a task that nobody awaits)
                # Whatever it was, nobody may wait for ever, and those behind would wait as long for nothing.
                batch += self._waiting
                self._waiting.clear()
                answers = [error] * len(batch)
            for run, answer in zip(batch, answers, strict=True):
                _tell(run, answer)

    async def _run_all(self, batch: Sequence[_Run]) -> list[Any]:
        answers = await self._pipeline(batch)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            # After a restart of Valkey: it knows no script any more.
            for script in self._scripts.values():
                await self._client.script_load(script.script)
            for at, answer in zip(unknown, await self._pipeline([batch[at] for at in unknown]), strict=True):
                answers[at] = answer
        return answers

    async def _pipeline(self, batch: Sequence[_Run]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for run in batch:
                pipeline.evalsha(run.script.sha, len(run.keys), *run.keys, *run.arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers


def _tell(run: _Run, answer: Any) -> None:
    if run.answer.done():  # its caller may have been cancelled
        return
    if isinstance(answer, Exception):
        run.answer.set_exception(Failed(repr(answer)))
    else:
        run.answer.set_result(answer)
