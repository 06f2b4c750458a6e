"""Figures of benchmarks: how quick the machine was, how much later answers came, and a table with its bars."""

import statistics
import time
from collections.abc import Iterable

ADDITIONS = 2_000_000


def additions_per_second() -> float:
    """How fast a core is now, in millions of additions a second: figures of a busy machine say little."""
    began, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return ADDITIONS / 1e6 / (time.perf_counter() - began)


def later(times: list[float], than: list[float]) -> tuple[float, float]:
    """How much later the median and the p99 of some times are than those of others."""
    ours, theirs = (statistics.quantiles(values, n=100, method="inclusive") for values in (times, than))
    return ours[49] - theirs[49], ours[98] - theirs[98]


def pair(values: tuple[float, float]) -> str:
    """Median and p99, in milliseconds, as the tables show them."""
    return f"{values[0]:.2f} / {values[1]:.2f} ms"


def print_bars(rows: Iterable[tuple[str, str, str, bool, str]]) -> bool:
    """Print what was measured: name, value, bar, whether it holds, the plain forwarder's value; whether all hold."""
    print("| what | here | bar | plain forwarder | |\n|---|---|---|---|---|")
    all_held = True
    for name, value, bar, held, beside in rows:
        print(f"| {name} | {value} | {bar} | {beside} | {'ok' if held else 'BELOW'} |")
        all_held = all_held and held
    return all_held
