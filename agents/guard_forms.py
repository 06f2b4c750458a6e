"""What people set as an agent's guards, in the groups of the page (product.md B7 to B10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from agents.forms import CountField, EditForm, UsdField
from agents.guard_fields import NO_MODEL, LifetimeField, ModelsField, ToolsField, lifetime
from agents.models import Guards, RuleMode
from agents.money import parse_usd, usd_full
from agents.templatetags.formats import usd_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DETAIL = "… "  # begins the label of a field that says more about the rule before it
_NUMBER_MAX = 2**31 - 1  # what the columns of whole numbers hold
_TOKENS_MAX = 10**15
_EMPTY = {"allowed_models": "every model", "hosted_tools": "none", "cache_seconds": "off"}


_GROUPS: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "Each call", "What one call may ask for; what it asks beyond is refused before it leaves.",
        (
            ("allowed_models", "hosted_tools"),
            ("max_output_tokens", "max_input_tokens", "max_ceiling_pico"),
            ("default_output", "clamp_output", "required_headers"),
        ),
    ),
    ("Refusals", "What clients are told when a budget is used up.", (("refusal_status",),)),
    (
        "How many", "So that a mistake is slow before it is dear.",
        (("calls_per_minute", "tokens_per_minute"), ("max_parallel", "pacing_seconds")),
    ),
    (
        "Loops", "What looks like an agent that goes round in circles: off, tell, or stop it for a while.",
        (
            ("repeat_mode", "repeat_count", "repeat_minutes"),
            ("session_mode", "session_calls"),
            ("busy_mode", "busy_hours"),
            ("windows_mode",),
            ("cool_down_minutes",),
        ),
    ),
    (
        "Retries and growth", "Clients that hammer, and conversations that swell.",
        (("retry_mode", "retry_percent"), ("bloat_mode", "bloat_calls")),
    ),
    ("Cache", "For agents that ask the same again.", (("cache_seconds",),)),
)  # fmt: skip


def _number(label: str, help_text: str, *, least: int = 1, most: int = _NUMBER_MAX, empty: bool = False) -> CountField:
    return CountField(label=label, help_text=help_text, least=least, most=most, required=not empty)


def _rule(label: str, help_text: str, *, block: str = "Block") -> forms.ChoiceField:
    choices = [(RuleMode.OFF, "Off"), (RuleMode.WARN, "Warn")]
    return forms.ChoiceField(label=label, help_text=help_text, choices=[*choices, (RuleMode.BLOCK, block)])


class GuardsForm(EditForm):
    """Every guard of an agent. After is_valid, `changes` are the fields that are to be different."""

    allowed_models = ModelsField(
        required=False, label="Models",
        help_text="One a line, as calls name them or with the provider before it (openai/gpt-4o). Empty allows every "
        f"model; the one line “{NO_MODEL}” allows none.",
    )  # fmt: skip
    max_output_tokens = _number(
        "Output tokens at most", "For each answer. Empty: as much as the model gives.", empty=True
    )
    max_input_tokens = _number(
        "Input tokens at most", "By the proven bound, about one for each byte. Empty: no limit of its own.", empty=True
    )
    max_ceiling_pico = UsdField(
        required=False, label="Cost at most, in US dollars",
        help_text="What one call can cost in the worst case. Empty: what the budgets leave.",
    )  # fmt: skip
    default_output = _number(
        "Output tokens where a call names none",
        "The bound that is added then: at most so many, and what the budget buys.",
    )
    clamp_output = forms.ChoiceField(
        label="An output bound that does not fit",
        choices=[("no", "Refuse the call"), ("yes", "Lower it to what fits")],
        help_text="Of calls that name one themselves. Without one, ours is always what fits.",
    )  # fmt: skip
    hosted_tools = ToolsField(
        required=False, label="Hosted tools",
        help_text="Tools that the provider runs, with their most uses in one call: web_search=3. Off where not named.",
    )  # fmt: skip
    required_headers = forms.ChoiceField(
        label="Calls must name",
        choices=[("", "Nothing"), ("session", "Their session"), ("user", "Their user"), ("session user", "Both")],
        required=False, help_text="In X-AWX-Session-ID and X-AWX-User-ID; without it they are refused.",
    )  # fmt: skip

    refusal_status = forms.TypedChoiceField(
        label="Status", coerce=int, choices=[("429", "429 Too Many Requests"), ("402", "402 Payment Required")],
        help_text="402 for clients that try every 429 again, whatever it says: CrewAI and LlamaIndex do.",
    )  # fmt: skip

    calls_per_minute = _number("Calls per minute", "Empty: no limit.", empty=True)
    tokens_per_minute = _number(
        "Tokens per minute", "By the worst case until a call ends. Empty: no limit.", most=_TOKENS_MAX, empty=True
    )
    max_parallel = _number("Calls at a time", "How many may run side by side. Empty: no limit.", empty=True)
    pacing_seconds = _number(
        "Wait instead of refusing, seconds", "A call over a limit per minute waits that long for room. 0: not at all.",
        least=0, most=60,
    )  # fmt: skip

    repeat_mode = _rule("The same message again", "The same model and last message, again and again.")
    repeat_count = _number("… how often", "So many times are one too many.", least=2)
    repeat_minutes = _number("… within minutes", "Up to a day, 1,440.", most=1440)
    session_mode = _rule("Long sessions", "A session with very many calls.", block="Refuse further calls of it")
    session_calls = _number("… calls", "As many a session may make.")
    busy_mode = _rule("No pause", "Work without five minutes’ rest.")
    busy_hours = _number("… for hours", "Up to a week, 168.", most=168)
    windows_mode = _rule("Budget used up three times running", "The daily budget reached 100 % in three windows.")
    cool_down_minutes = _number(
        "A block lasts, in minutes",
        "Every rule’s; a member’s change of the agent ends it early. Up to a day, 1,440.",
        most=1440,
    )

    retry_mode = _rule("Retry storm", "Calls within a minute of a failed one.", block="Hold back, 1 to 60 s")
    retry_percent = _number("… above per cent", "Of an hour’s calls.", most=100)
    bloat_mode = forms.ChoiceField(
        label="Growing context", choices=[(RuleMode.OFF, "Off"), (RuleMode.WARN, "Warn")],
        help_text="A session’s input doubles.",
    )  # fmt: skip
    bloat_calls = _number("… within calls", "From 2 to 1,000.", least=2, most=1000)

    cache_seconds = LifetimeField(
        required=False, label="Give the same answer again for", max_length=20,
        help_text="To exactly the same request, for $0.00; a day, 24 h, is usual. Empty: off.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "24 h"}),
    )  # fmt: skip

    def __init__(self, data: Any = None, *, guards: Guards) -> None:
        super().__init__(data, initial=_typed(guards))
        self.guards = guards
        if guards.bloat_mode == RuleMode.BLOCK:  # Set elsewhere; what stands must be among the choices.
            choices = self.fields["bloat_mode"].choices  # type: ignore[attr-defined]
            self.fields["bloat_mode"].choices = [*choices, (RuleMode.BLOCK, "Block")]  # type: ignore[attr-defined]

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the guards as they are, by their field names."""
        read = {name: _READ[name](value) if name in _READ else value for name, value in self.cleaned_data.items()}
        return {name: value for name, value in read.items() if value != self.guards.value_of(name)}

    @property
    def faulty(self) -> list[forms.BoundField]:
        """The fields with an error, to lead there from the top of a long page."""
        return [field for field in self if field.errors]

    @property
    def groups(self) -> list[Group]:
        """The fields as the page groups them."""
        return [Group(title, hint, [[self[name] for name in row] for row in rows]) for title, hint, rows in _GROUPS]


@dataclass(frozen=True, slots=True)
class Group:
    """One part of the page; fields of a row belong together."""

    title: str
    hint: str
    rows: list[list[forms.BoundField]]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Each label with its value in words, for those who only read; details of a rule stand behind it."""
        lines: list[tuple[str, str]] = []
        for field in (field for row in self.rows for field in row):
            if _is_detail(field):
                label, words = lines.pop()
                lines.append((label, f"{words}, {str(field.label).removeprefix(_DETAIL)} {_words(field)}"))
            else:
                lines.append((str(field.label), _words(field)))
        return lines


def told(guards: Guards) -> list[tuple[str, str]]:
    """The guards that differ from what every new agent has, but for details: label and value in words."""
    form, usual = GuardsForm(guards=guards), _typed(Guards())
    fields = [field for group in form.groups for row in group.rows for field in row if not _is_detail(field)]
    return [(str(field.label), _words(field)) for field in fields if form.initial[field.name] != usual[field.name]]


def _is_detail(field: forms.BoundField) -> bool:
    return str(field.label).startswith(_DETAIL)


# Fields whose value on the page is another than in the guards.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "clamp_output": lambda typed: typed == "yes",
    "required_headers": str.split,
}


def _typed(guards: Guards) -> dict[str, str]:
    """Guards as the page's fields want them."""
    typed = {name: _plain(guards.value_of(name)) for name in GuardsForm.base_fields}
    models, tools, seconds = guards.allowed_models, guards.hosted_tools, guards.cache_seconds
    typed["allowed_models"] = "" if models is None else "\n".join(models) or NO_MODEL
    typed["hosted_tools"] = "\n".join(f"{name}={cap}" for name, cap in sorted(tools.items()))
    typed["max_ceiling_pico"] = usd_plain(guards.max_ceiling_pico)
    typed["clamp_output"] = "yes" if guards.clamp_output else "no"
    typed["required_headers"] = " ".join(sorted(guards.required_headers))
    typed["cache_seconds"] = "" if seconds is None else lifetime(seconds)
    return typed


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _words(field: forms.BoundField) -> str:
    value = str(field.value() or "")
    if isinstance(field.field, forms.ChoiceField):
        choices: Any = field.field.choices
        return str(dict(choices).get(value, value))
    if isinstance(field.field, UsdField) and value:
        return usd_full(parse_usd(value))
    return ", ".join(value.splitlines()) or _EMPTY.get(field.name, "no limit")
