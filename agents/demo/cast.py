"""The demonstration's six agents: what they ask, how often and how much."""

from dataclasses import dataclass, field

ORGANIZATION = "Demo"
# The first of these in which it is afternoon is the organisation's zone, so that the open day has something to show.
ZONES = (
    "America/Los_Angeles", "America/New_York", "America/Sao_Paulo", "Europe/Berlin", "Asia/Dubai", "Asia/Kolkata",
    "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
DAYS = 34


@dataclass(frozen=True, slots=True)
class Habit:
    """A kind of call: model, tokens (lowest, highest) and its share among an agent's calls."""

    provider: str
    model: str
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    share: int = 1
    cached_percent: int = 0
    system_bytes: int = 0
    tools_max: int = 0
    streamed: bool = True


@dataclass(frozen=True, slots=True)
class Actor:
    """An agent of the demonstration.

    calls: on an ordinary weekday; weekend_percent of it on a weekend.
    runaway_days_ago: days on which a loop calls without pause until the budget stops it.
    """

    name: str
    daily_usd: str
    calls: int
    habits: tuple[Habit, ...]
    weekend_percent: int = 15
    night_percent: int = 10
    weekdays: frozenset[int] = frozenset(range(7))
    runaway_days_ago: frozenset[int] = frozenset()
    users: tuple[str, ...] = ()
    sessions_per_day: int = 0
    failed_percent: int = 1
    paused: bool = False
    is_new: bool = False
    tags: dict[str, str] = field(default_factory=dict)


ACTORS = (
    Actor(
        name="support-triage", daily_usd="1.75", calls=300, weekend_percent=55, night_percent=35,
        users=tuple(f"customer-{number}" for number in (1042, 1077, 1103, 1190, 1204, 1251, 1288, 1315)),
        habits=(
            Habit("openai", "gpt-4.1-mini", (1400, 5200), (120, 650), share=5, cached_percent=45, system_bytes=3900),
            Habit("anthropic", "claude-haiku-4-5", (1800, 6400), (180, 800), share=3, cached_percent=50,
                  system_bytes=4200),
            Habit("anthropic", "claude-sonnet-4-5", (3800, 11000), (350, 1400), share=1, cached_percent=55,
                  system_bytes=4200, tools_max=2),
        ),
    ),
    Actor(
        name="code-reviewer", daily_usd="15", calls=120, sessions_per_day=14, weekend_percent=8, night_percent=4,
        tags={"repository": "billing"},
        habits=(
            Habit("anthropic", "claude-sonnet-4-5", (11000, 52000), (700, 3800), share=3, cached_percent=62,
                  system_bytes=9800, tools_max=6),
            Habit("openai", "gpt-5.1", (9000, 40000), (900, 4600), share=2, cached_percent=40, system_bytes=8700,
                  tools_max=5),
        ),
    ),
    Actor(
        name="research-assistant", daily_usd="6", calls=110, sessions_per_day=9, weekend_percent=35,
        habits=(
            Habit("openai", "gpt-5.1", (7000, 45000), (900, 4200), share=3, cached_percent=30, system_bytes=2600,
                  tools_max=4),
            Habit("openai", "gpt-4o", (5000, 24000), (400, 1800), share=2, cached_percent=20, system_bytes=2600),
        ),
    ),
    Actor(
        name="web-scraper", daily_usd="8", calls=115, weekend_percent=90, night_percent=95, sessions_per_day=4,
        runaway_days_ago=frozenset({0, 11}), failed_percent=3,
        habits=(Habit("openai", "gpt-4o", (3200, 9500), (200, 900), cached_percent=5, system_bytes=1200,
                      streamed=False),),
    ),
    Actor(
        name="newsletter-writer", daily_usd="2", calls=26, weekdays=frozenset({0, 3}), paused=True,
        habits=(Habit("anthropic", "claude-sonnet-4-5", (2500, 9000), (900, 3200), cached_percent=20,
                      system_bytes=2100),),
    ),
    Actor(name="onboarding-guide", daily_usd="5", calls=0, habits=(), is_new=True),
)  # fmt: skip
