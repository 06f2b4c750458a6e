"""The counters of one agent as this process keeps them while Valkey is away; the scripts in lua/ decide alike. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field

from proxy.guards.terms import NEVER_MS, Answer, Ask, Ended, Verdict
from proxy.guards.windows import Window, minute_from

PAUSE_MS = 300_000
RETRY_MS = 60_000
DELAY_MAX_MS = 60_000
DELAYS_MAX = 7  # doublings from one second that stay below the longest delay, and one
MESSAGES_MAX = 2_000
SESSIONS_MAX = 200


@dataclass(slots=True)
class Failures:
    """Failed calls in a row. ends_ms: until when the next one must wait."""

    count: int = 0
    last_ms: int = 0
    ends_ms: int = 0


@dataclass(slots=True)
class AgentCounters:
    """One agent's counters; every method takes the time and none reads a clock."""

    block: tuple[int, int, str] | None = None  # until, policy version, rule
    calls: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    likes: OrderedDict[str, Window] = field(default_factory=OrderedDict)
    busy: str = ""
    holds: dict[str, int] = field(default_factory=dict)
    failures: OrderedDict[str, Failures] = field(default_factory=OrderedDict)

    def take(self, ask: Ask, now_ms: int) -> Answer:
        """Take a call's part of every counter, or of none."""
        if self.block is not None and self.block[1] == ask.version and now_ms < self.block[0]:
            return Answer(Verdict.BLOCKED, self.block[0] - now_ms, rule=self.block[2])
        if self._repeats(ask, now_ms // 1000):
            del self.likes[ask.repeat]
            return self._trip(Verdict.REPEAT, ask, now_ms)
        busy = _busy(self.busy, now_ms) if ask.busy_ms else ""
        if busy and now_ms - int(busy.partition(":")[0]) >= ask.busy_ms:
            self.busy = ""
            return self._trip(Verdict.BUSY, ask, now_ms)
        refused, wait_ms = self._wait(ask, now_ms)
        if wait_ms == NEVER_MS or wait_ms > ask.pacing_ms:
            count = self._failed_count(ask, now_ms)
            return Answer(refused, wait_ms, failed_count=0 if wait_ms == NEVER_MS else count)
        return self._count(ask, now_ms, wait_ms, busy)

    def give_back(self, ask: Ask, taken: Answer, now_ms: int) -> None:
        """Undo a take, of a call that was refused after all."""
        second = now_ms // 1000
        if ask.calls_limit:
            _move(self.calls, minute_from(second), taken.second, -1)
        if ask.tokens_limit:
            _move(self.tokens, minute_from(second), taken.second, -ask.tokens)
        if like := self.likes.get(ask.repeat):
            _move(like, second - ask.repeat_ms // 1000 + 1, taken.repeat_second, -1)
        # Where another call has come meanwhile, the agent works without this one, too.
        if ask.busy_ms and self.busy == taken.busy:
            self.busy = taken.busy_before

    def end(self, ask: Ask, taken: Answer, ended: Ended, now_ms: int) -> None:
        """A call that was taken has ended."""
        if ask.tokens_limit:
            _move(self.tokens, minute_from(now_ms // 1000), taken.second, ended.tokens - ask.tokens)
        if ask.busy_ms and self.busy:
            start, _, last = self.busy.partition(":")
            self.busy = f"{start}:{max(int(last), now_ms)}"
        if ended.held_ms:
            self.holds[ask.provider] = max(self.holds.get(ask.provider, 0), now_ms + ended.held_ms)
        if ask.retries:
            self._note_end(ask, taken, ended, now_ms)

    def _repeats(self, ask: Ask, second: int) -> bool:
        like = self.likes.get(ask.repeat) if ask.repeat_limit else None
        return like is not None and like.total_from(second - ask.repeat_ms // 1000 + 1) >= ask.repeat_limit

    def _trip(self, rule: Verdict, ask: Ask, now_ms: int) -> Answer:
        self.block = (now_ms + ask.cool_down_ms, ask.version, rule.value)
        return Answer(rule, ask.cool_down_ms, rule=rule.value)

    def _wait(self, ask: Ask, now_ms: int) -> tuple[Verdict, int]:
        """What the call must wait for, and how long; the longest wait names the reason."""
        second, waits = now_ms // 1000, [(Verdict.TAKEN, 0)]
        waits.append((Verdict.PROVIDER, max(ask.held_ms, self.holds.get(ask.provider, 0) - now_ms)))
        if ask.retries and (failed := self.failures.get(ask.session)) is not None:
            waits.append((Verdict.RETRIES, failed.ends_ms - now_ms))
        if ask.calls_limit:
            at = self.calls.fits_at(1, ask.calls_limit, second)
            waits.append((Verdict.CALLS, at * 1000 - now_ms if at > second else 0))
        if ask.tokens_limit:
            if ask.tokens > ask.tokens_limit:
                return Verdict.TOKENS, NEVER_MS
            at = self.tokens.fits_at(ask.tokens, ask.tokens_limit, second)
            waits.append((Verdict.TOKENS, at * 1000 - now_ms if at > second else 0))
        return max(waits, key=lambda wait: wait[1])

    def _failed_count(self, ask: Ask, now_ms: int) -> int:
        failed = self.failures.get(ask.session) if ask.retries else None
        return failed.count if failed is not None and now_ms < failed.ends_ms else 0

    def _count(self, ask: Ask, now_ms: int, wait_ms: int, busy: str) -> Answer:
        before, second, bucket = self.busy, (now_ms + wait_ms) // 1000, 0
        if ask.calls_limit:
            self.calls.add(second, 1)
        if ask.tokens_limit:
            self.tokens.add(second, ask.tokens)
        if ask.repeat_limit:
            bucket = now_ms // 1000 - now_ms // 1000 % (ask.repeat_ms // 60_000)
            self.likes.setdefault(ask.repeat, Window()).add(bucket, 1)
            self.likes.move_to_end(ask.repeat)
            if len(self.likes) > MESSAGES_MAX:
                self.likes.popitem(last=False)
        if ask.busy_ms:
            self.busy = busy
        return Answer(
            Verdict.TAKEN, wait_ms, at_ms=now_ms + wait_ms, second=second, repeat_second=bucket,
            busy_before=before, busy=busy,
        )  # fmt: skip

    def _note_end(self, ask: Ask, taken: Answer, ended: Ended, now_ms: int) -> None:
        known = self.failures.get(ask.session) or Failures()
        if now_ms > known.ends_ms + RETRY_MS:
            known.count = 0
        # Calls that ran side by side and failed together are one failure, not many retries.
        is_retry = taken.at_ms > known.last_ms
        if not ended.failed:
            if is_retry:
                self.failures.pop(ask.session, None)
            return
        known.count += is_retry or known.count == 0
        known.last_ms = now_ms
        known.ends_ms = now_ms + min(DELAY_MAX_MS, 1000 * 2 ** (min(known.count, DELAYS_MAX) - 1))
        self.failures[ask.session] = known
        self.failures.move_to_end(ask.session)
        if len(self.failures) > SESSIONS_MAX:
            self.failures.popitem(last=False)


def _busy(text: str, now_ms: int) -> str:
    """The stretch of work "start:last" with a call now; it begins anew after a pause."""
    start, _, last = text.partition(":")
    if not text or now_ms - int(last) > PAUSE_MS:
        return f"{now_ms}:{now_ms}"
    return f"{start}:{max(int(last), now_ms)}"


def _move(window: Window, from_second: int, second: int, count: int) -> None:
    if second >= from_second:
        window.add(second, count)
