"""One bound for many waits."""

import asyncio
import gc
import weakref

import pytest

from proxy.patience import Patience

SOON, NEVER = 0.05, 20.0


async def test_a_wait_that_is_too_long_ends_with_a_time_out_and_the_task_goes_on() -> None:
    patience = Patience(SOON)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(NEVER)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_each_wait_is_counted_by_itself() -> None:
    patience = Patience(0.2)
    for _ in range(8):
        with patience:
            await asyncio.sleep(SOON)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(NEVER)
    patience.close()


async def test_time_between_waits_does_not_count() -> None:
    patience = Patience(SOON)
    with patience:
        await asyncio.sleep(0)
    await asyncio.sleep(3 * SOON)
    with patience:
        await asyncio.sleep(0)
    patience.close()


async def test_all_waits_end_at_the_last_moment() -> None:
    patience = Patience(NEVER, until=asyncio.get_running_loop().time() + SOON)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(NEVER)
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(NEVER)


async def test_a_wait_may_be_given_less_time_than_the_one_before() -> None:
    patience = Patience(NEVER)
    with patience:
        await asyncio.sleep(0)
    patience.seconds = SOON
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError), patience:
        await asyncio.sleep(NEVER)
    assert asyncio.get_running_loop().time() < began + NEVER / 2


async def test_who_is_cancelled_meanwhile_is_cancelled_and_not_timed_out() -> None:
    patience = Patience(NEVER)

    async def wait() -> None:
        with patience:
            await asyncio.sleep(NEVER)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_of_a_time_out_and_a_cancellation_at_once_the_cancellation_counts() -> None:
    loop = asyncio.get_running_loop()
    at = loop.time() + SOON
    patience = Patience(NEVER, until=at)

    async def wait() -> None:
        with patience:
            await asyncio.sleep(NEVER)

    task = asyncio.create_task(wait())
    loop.call_at(at, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_waited_for_is_given_when_it_came_at_the_last_moment() -> None:
    patience = Patience(SOON)
    arrival: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(SOON / 2, arrival.set_result, "it")
    with patience:
        assert await arrival == "it"
    await asyncio.sleep(2 * SOON)  # the timer that was set for the wait finds nobody
    patience.close()


async def test_nothing_of_it_is_left_once_it_is_closed() -> None:
    patience = Patience(NEVER)
    with patience:
        await asyncio.sleep(0)
    patience.close()
    left = weakref.ref(patience)
    del patience
    gc.collect()
    assert left() is None
