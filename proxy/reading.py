"""Reads a request with its dialect's module: a large one in a thread, so that nobody else's call waits for it."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from proxy.providers import registry
from proxy.providers.endpoints import Route
from proxy.providers.model_request import ModelRequest

# Below it, reading takes a few milliseconds at most, whatever the text is.
THREAD_BYTES_MIN = 128 * 2**10
THREADS = 2  # a slow body does not keep the next one waiting


class RequestReader:
    """Reads the requests of one process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="reading")

    async def read(self, route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """The request, checked; raises the refusals of its dialect's module."""
        read_request = registry.surface_of(route.endpoint).read_request
        if len(body) < THREAD_BYTES_MIN:
            return read_request(route, body, headers)
        return await asyncio.get_running_loop().run_in_executor(self._threads, read_request, route, body, headers)

    def close(self) -> None:
        """Read no more; what is being read ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
