"""What an agent may do in one call (product.md B7): its models, names, hosted tools, input, output, ceiling. Pure."""

from dataclasses import replace

from agents.callers import Caller
from proxy import bounds
from proxy.errors import AgentRequired, CallTooExpensive, ModelNotAllowed, UnpricedFeature
from proxy.names import Names
from proxy.providers.model_request import ModelRequest
from proxy.providers.targets import Target

SESSION_HEADER, USER_HEADER = "X-AWX-Session-ID", "X-AWX-User-ID"  # as people write them
# How a refusal names a limit that is not a budget's.
SCOPE = WINDOW = "call"


def may_use(caller: Caller, target: Target) -> bool:
    """Whether the agent's list, where it has one, names the model: by its id, or with the provider before it."""
    allowed = caller.guards.allowed_models
    return allowed is None or target.model in allowed or f"{target.provider}/{target.model}" in allowed


def check_model(caller: Caller, target: Target) -> None:
    """Raise ModelNotAllowed, with what the agent may use."""
    if not may_use(caller, target):
        names = ", ".join(caller.guards.allowed_models or ())
        allowed = f"It may use {names}." if names else "Its list of models is empty."
        raise ModelNotAllowed(agent=caller.agent_name, model=target.model, allowed=allowed, param="model")


def check_names(caller: Caller, names: Names) -> None:
    """Raise AgentRequired for a session or user that the agent requires and the call does not name."""
    required = caller.guards.required_headers
    if "session" in required and not names.session:
        raise AgentRequired(param=SESSION_HEADER)
    if "user" in required and not names.user:
        raise AgentRequired(param=USER_HEADER)


def with_tool_uses(caller: Caller, request: ModelRequest) -> ModelRequest:
    """The request with a bound on the uses of each hosted tool: its own, or else the agent's.

    Raises UnpricedFeature for a tool that the agent may not use, CallTooExpensive for more uses than it allows.
    """
    if not request.hosted_tools:
        return request
    uses = {name: _uses(caller, name, asked) for name, asked in request.hosted_tools.items()}
    return replace(request, hosted_tools=uses)


def output_cap(caller: Caller, request: ModelRequest, *, model_max: int | None) -> int:
    """The output bound in tokens for one choice: the client's, or ours where it named none; raises OutputTooLong.

    Where the agent clamps, a client's bound above the agent's becomes the agent's.
    """
    asked, most = request.output_cap, caller.guards.max_output_tokens
    if asked is None:
        defaults = caller.default_output, most, request.default_cap
        default = min(tokens for tokens in defaults if tokens is not None)
        return bounds.added_cap(model_max=model_max, default_cap=default)
    if most is not None and caller.guards.clamp_output and request.output_cap_least <= most:
        return min(asked, most)
    bounds.check_cap(asked, agent=caller.agent_name, agent_max=most)
    return asked


def over_limit(
    caller: Caller, unit: str, *, limit: int, asked: int, name: str = "", affordable: int | None = None
) -> CallTooExpensive:
    """The refusal of a call that is over a limit of its own.

    unit: "usd" (pico-dollars), "tokens" (of input) or "calls" (of the hosted tool `name`); affordable: output tokens
    that would fit.
    """
    return CallTooExpensive(
        agent=caller.agent_name, scope=SCOPE, name=name or caller.agent_name, unit=unit, window=WINDOW, limit=limit,
        spent=0, held=0, asked=asked, affordable_output_tokens=affordable,
    )  # fmt: skip


def _uses(caller: Caller, fee: str, asked: int) -> int:
    name = fee.removesuffix("_preview")  # it is the same tool
    most = caller.guards.hosted_tools.get(name)
    if not isinstance(most, int) or most < 1:
        hint = f"Agent {caller.agent_name} may not use it; a member can allow it, with a cap, on the agent's page."
        raise UnpricedFeature(feature=f"the hosted tool {name}", param="tools", hint=hint)
    if asked > most:
        raise over_limit(caller, "calls", limit=most, asked=asked, name=name)
    return asked or most
