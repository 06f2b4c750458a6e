"""Counts a request's tokens in a thread of its own, within a bound of size and time."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from proxy import bounds, tokenizers
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat
from proxy.providers.openai.texts import texts_of

logger = logging.getLogger(__name__)

COUNT_SECONDS_MAX = 2.0
# The first count with an encoding reads its ranks, and a machine that has just started is busy.
LOAD_SECONDS_MAX = 6.0
COUNTED_BYTES_MAX = 1_000_000

Count = Callable[[ModelRequest, str, float], int]


def count_tokens(request: ModelRequest, encoding: str, end_monotonic: float) -> int:
    """The counted bound of a request's tokens beside its images; raises tokenizers.TooSlow after the end."""
    texts = texts_of(request.body)
    tokens = tokenizers.count(encoding, texts.strings, is_over=lambda: time.monotonic() > end_monotonic)
    return bounds.counted_tokens(tokens, texts.framing_tokens, request.hidden)


class TokenCounter:
    """One thread: counting is rare, and the other cores have calls to serve.

    count: what runs in the thread. seconds_max: how long a call waits for its turn and its count together;
    load_seconds_max: how much longer until an encoding has been used once.
    """

    def __init__(
        self, count: Count = count_tokens, *, seconds_max: float = COUNT_SECONDS_MAX,
        load_seconds_max: float = LOAD_SECONDS_MAX,
    ) -> None:  # fmt: skip
        self._count = count
        self._seconds_max = seconds_max
        self._load_seconds_max = load_seconds_max
        self._loaded: set[str] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokens")
        self._late: set[Future[int]] = set()
        self._closed = False

    async def tokens_of(self, request: ModelRequest, encoding: str, sent_bytes: int) -> int | None:
        """The counted bound; None for what is too large, not understood here or not counted in time.

        sent_bytes: length of the body that is forwarded.
        """
        if request.endpoint is not chat.CHAT or sent_bytes - request.hidden.media_bytes > COUNTED_BYTES_MAX:
            return None
        if self._closed or self._late:  # late: the thread is busy with a count that nobody waits for any more
            return None
        seconds = self._seconds_max + (0 if encoding in self._loaded else self._load_seconds_max)
        counting = self._thread.submit(self._count, request, encoding, time.monotonic() + seconds)
        waiter = asyncio.wrap_future(counting)
        try:
            done, _ = await asyncio.wait({waiter}, timeout=seconds)
        finally:
            waiter.cancel()
            begun = not counting.cancel()
        if done:
            self._loaded.add(encoding)
            return _result(waiter)
        if begun:
            self._late.add(counting)
            counting.add_done_callback(self._late.discard)
        return None

    def close(self) -> None:
        """Take no more; what is being counted ends by itself."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)


def _result(waiter: asyncio.Future[int]) -> int | None:
    if waiter.cancelled():  # the counter was closed
        return None
    # Looked at and not raised: a tokenizer that panics does so with a BaseException.
    error = waiter.exception()
    if error is None:
        return waiter.result()
    if not isinstance(error, tokenizers.TooSlow):
        logger.error("a request could not be counted", exc_info=error)
    return None
