"""Row 15 of docs/reliability.md: limits, pauses, stops and revocations at random hold for the next call everywhere."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from agents import budgets, keys
from agents.audit import audit
from agents.models import AgentKey, KeyMode
from agents.money import PICO_PER_USD
from agents.reports.standing import daily_budget
from tests.proxy.crowd import Crowd, Ended, crowd
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, Worker, all_settled, stage

ROUNDS = 2  # how often each agent meets each kind of edit
AGENTS = 3
CLIENTS_EACH = 6
EDIT_PAUSE_SECONDS = 0.2  # between two edits; traffic goes on meanwhile
REFUSED_PAUSE_SECONDS = 0.03
CUT_SECONDS_MAX = 1.0
LIMIT_PICO = 100 * PICO_PER_USD
# Quick and slow answers, short and long streams, and one that would never come.
WORDS = ["tokens_out=9", "delay_ms=50", "chunks=5 chunk_ms=20", "chunks=80 chunk_ms=50", "hang=1"]
REFUSED = {401, 403, 429}


@dataclass(frozen=True)
class Edit:
    """When an edit was made: it took effect somewhere between the two times.

    is_open: whether calls pass after it. cuts: whether it ends running calls.
    """

    began_at: float
    done_at: float
    is_open: bool
    cuts: bool = False


@dataclass
class Subject:
    """An agent under edit, with the key that its clients use now, and what became of their calls."""

    worker: Worker
    key: str
    is_paused: bool = False
    is_empty: bool = False
    edits: list[Edit] = field(default_factory=list)
    revoked: dict[str, Edit] = field(default_factory=dict)
    calls: list[tuple[str, Ended]] = field(default_factory=list)

    def note(self, began_at: float, *, cuts: bool = False) -> None:
        """Remember an edit that was made just now."""
        self.edits.append(Edit(began_at, time.monotonic(), not (self.is_paused or self.is_empty), cuts))

    def cuts(self, key: str) -> list[Edit]:
        """The edits that ended running calls of a key."""
        return [edit for edit in [*self.edits, *filter(None, [self.revoked.get(key)])] if edit.cuts]


class Editor:
    """Makes edits, and remembers when."""

    def __init__(self, on: Stage, subjects: list[Subject], dice: random.Random) -> None:
        self._user, self._organization = on.alice.user, on.alice.organization
        self._subjects, self._dice = subjects, dice

    def plan(self) -> list[Callable[[], None]]:
        """A revocation for each agent, then every kind of edit for each in random order; all are open at the end."""
        # Half of them let calls pass again, so that there is something to stop.
        kinds = [self.pause, self.stop, self.empty, self.revoke, self.open, self.open, self.open]
        mixed = [partial(kind, subject) for kind in kinds for subject in self._subjects] * ROUNDS
        self._dice.shuffle(mixed)
        mixed.insert(len(mixed) // 2, self.stop_all)
        revoked = [partial(self.revoke, subject) for subject in self._subjects]
        opened = [partial(self.open, subject) for subject in self._subjects]
        return [*revoked, *mixed, *opened]

    def pause(self, subject: Subject) -> None:
        began_at = time.monotonic()
        budgets.pause(subject.worker.agent, self._user)
        subject.is_paused = True
        subject.note(began_at)

    def stop(self, subject: Subject) -> None:
        began_at = time.monotonic()
        budgets.stop_now(subject.worker.agent, self._user)
        subject.is_paused = True
        subject.note(began_at, cuts=True)

    def stop_all(self) -> None:
        began_at = time.monotonic()
        budgets.stop_all(self._organization, self._user)
        for subject in self._subjects:
            subject.is_paused = True
            subject.note(began_at, cuts=True)

    def open(self, subject: Subject) -> None:
        began_at = time.monotonic()
        budgets.resume(subject.worker.agent, self._user)
        self._set_limit(subject, LIMIT_PICO)
        subject.is_paused = subject.is_empty = False
        subject.note(began_at)

    def empty(self, subject: Subject) -> None:
        began_at = time.monotonic()
        self._set_limit(subject, 0)
        subject.is_empty = True
        subject.note(began_at)

    def revoke(self, subject: Subject) -> None:
        old = AgentKey.objects.get(public_id=subject.key.split("_")[2])
        new = keys.issue(subject.worker.agent, KeyMode.LIVE, by=self._user)[1]
        whole, subject.key = subject.key, new
        began_at = time.monotonic()
        keys.revoke(old, by=self._user)
        subject.revoked[whole] = Edit(began_at, time.monotonic(), is_open=False, cuts=True)

    def _set_limit(self, subject: Subject, limit_pico: int) -> None:
        budget = daily_budget(subject.worker.agent)
        assert budget is not None
        budgets.set_limit(budget, limit_pico, self._user)


async def client(clients: Crowd, subject: Subject, dice: random.Random, over: asyncio.Event) -> None:
    """Call again and again, whatever comes of it, at times with a key that was revoked."""
    while not over.is_set():
        key = dice.choice([subject.key] * 9 + list(subject.revoked)[-1:])
        words = dice.choice(WORDS)
        body = chat_body(f"{words} tokens_out=9", cap=20, stream="chunks" in words)
        ended = await clients.call(key, "/v1/chat/completions", body)
        subject.calls.append((key, ended))
        if ended.status in REFUSED:
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)


def run_edits(on: Stage, seed: int) -> list[Subject]:
    """Clients call while limits, pauses, stops and keys change; returns what each agent saw."""
    subjects = [Subject(worker, worker.key) for worker in (on.worker("100") for _ in range(AGENTS))]
    editor = Editor(on, subjects, random.Random(seed))
    with crowd(on) as clients:
        over = asyncio.Event()
        running = [
            clients.spawn(client(clients, subject, random.Random(seed + number), over))
            for number, subject in enumerate(subjects * CLIENTS_EACH)
        ]
        for edit in editor.plan():
            time.sleep(EDIT_PAUSE_SECONDS)
            edit()
        time.sleep(EDIT_PAUSE_SECONDS)
        over.set()
        editor.stop_all()
        for one in running:
            one.result(timeout=20)
    all_settled()
    return subjects


def calls_while_closed(subject: Subject) -> list[Ended]:
    """The calls that began after an edit that closes and ended before the next one began, or used a revoked key."""
    nexts = [edit.began_at for edit in subject.edits[1:]] + [float("inf")]
    closed = [(edit.done_at, next_at) for edit, next_at in zip(subject.edits, nexts, strict=True) if not edit.is_open]
    ends = [end for _, end in subject.calls]
    found = [end for since, until in closed for end in ends if since <= end.began_at and end.ended_at <= until]
    late = [end for key, end in subject.calls if key in subject.revoked and _began_after(subject.revoked[key], end)]
    assert late, "some clients tried a revoked key"
    return found + late


def slowest_cut_seconds(subject: Subject) -> float:
    """How long after a stop or revocation the last call that ran at that time ended for its client."""
    pairs = [(edit, end) for key, end in subject.calls for edit in subject.cuts(key)]
    return max((end.ended_at - edit.done_at for edit, end in pairs if end.began_at < edit.began_at), default=0.0)


def _began_after(edit: Edit, end: Ended) -> bool:
    return end.began_at >= edit.done_at


@pytest.fixture
def on(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), workers=2) as ready:
        yield ready


def test_random_edits_under_load_hold_for_the_next_call_and_cut_within_a_second(on: Stage) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    subjects = run_edits(on, seed)
    for subject in subjects:
        assert {end.status for end in calls_while_closed(subject)} <= REFUSED
        assert 200 in {end.status for _, end in subject.calls}
        assert 0 not in {end.status for _, end in subject.calls}
        assert subject.worker.held_pico == 0
        assert subject.worker.spent_pico == sum(row.cost_pico for row in subject.worker.calls())
    slowest = max(map(slowest_cut_seconds, subjects))
    print(f"slowest cut {slowest:.3f} s of {sum(len(subject.calls) for subject in subjects)} calls")
    assert slowest <= CUT_SECONDS_MAX
    reasons = {row.reason for subject in subjects for row in subject.worker.calls()}
    assert {"agent_stopped", "key_revoked", "agent_paused"} <= reasons
    assert sum(subject.worker.spent_pico for subject in subjects) >= on.fake.billed_pico() > 0
    report = audit()
    assert report.ok, "\n".join(report.lines())
