"""The one table: what each reason looks like in each dialect, and its sentence."""

from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """Whose words the caller's client speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


class Wait(StrEnum):
    """What Retry-After says."""

    NONE = "none"
    RESET = "until the window ends"
    SHORT = "one to five seconds"
    GIVEN = "the error's own retry_after_seconds"


@dataclass(frozen=True, slots=True)
class Row:
    """How a reason is told.

    status: HTTP; statuses 429 of budgets become 402 where the agent says so (`may_be_402`).
    openai_code: None stands for the reason itself.
    sentence: a template over the error's words(); sentence_of_call: where the limit is not a budget's but the
    agent's for each call.
    """

    status: int
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    gemini_status: str
    should_retry: bool
    wait: Wait
    sentence: str
    may_be_402: bool = False
    sentence_of_call: str = ""


def _forbidden(sentence: str) -> Row:
    return Row(403, "permission_error", None, "permission_error", "PERMISSION_DENIED", False, Wait.NONE, sentence)


def _invalid(sentence: str) -> Row:
    return Row(
        400, "invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT", False, Wait.NONE, sentence
    )


def _key(sentence: str) -> Row:
    return Row(
        401,
        "authentication_error",
        "invalid_api_key",
        "authentication_error",
        "UNAUTHENTICATED",
        False,
        Wait.NONE,
        sentence,
    )


def _limited(sentence: str, *, retry: bool = False, wait: Wait = Wait.NONE) -> Row:
    return Row(429, "rate_limit_exceeded", None, "rate_limit_error", "RESOURCE_EXHAUSTED", retry, wait, sentence)


def _quota(sentence: str, wait: Wait, *, of_call: str = "") -> Row:
    code = "insufficient_quota"
    return Row(
        429, code, code, "billing_error", "RESOURCE_EXHAUSTED", False, wait, sentence, may_be_402=True,
        sentence_of_call=of_call,
    )  # fmt: skip


def _server(status: int, sentence: str, *, retry: bool = False, wait: Wait = Wait.NONE) -> Row:
    anthropic = {502: "api_error", 503: "overloaded_error", 504: "timeout_error"}[status]
    gemini = {502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}[status]
    return Row(status, "server_error", None, anthropic, gemini, retry, wait, sentence)


_BUDGET = "Agent {agent}: the {scope} budget {name} ({limit} per {window}) has {spent} spent and {held} held"

TABLE: dict[str, Row] = {
    "budget_exceeded": _quota(
        _BUDGET + "; this call may cost up to {asked}, {available} is available. {resets}{affordable}"
        " Raise the budget, or wait for the reset.",
        Wait.RESET,
    ),
    "call_too_expensive": _quota(
        _BUDGET + "; this call may cost up to {asked}, more than one call may.{affordable}"
        " Lower its output bound, if it has one, or its input, or raise the limit. {resets}",
        Wait.NONE,
        of_call="Agent {agent} may use at most {limit} for one call; this call may use up to {asked}.{affordable}"
        " Ask for less, or raise the limit on the agent's page.",
    ),
    "held_in_flight": _limited(
        _BUDGET + " by running calls; this call may cost up to {asked} and will fit when they settle."
        " Try again in a moment. {resets}",
        retry=True,
        wait=Wait.SHORT,
    ),
    "rate_limited": _limited("Agent {agent} {why}.", retry=True, wait=Wait.GIVEN),
    "session_limit": _limited("Session {session} has reached its limit of {limit}. Start a new session or reset it."),
    "too_many_subjects": _limited("The limit of {limit} different {kind} in an hour is reached."),
    "loop_detected": _limited("Agent {agent} looks like a loop: {rule}. {remedy}"),
    "agent_paused": _forbidden("Agent {agent} is paused. A member can resume it on its page."),
    "agent_unknown": _forbidden("There is no agent {agent} here, and this key may not create one."),
    "model_not_allowed": _forbidden("Agent {agent} may not use the model {model}. {allowed}"),
    "unpriced_model": _forbidden(
        "The model {model} has no price in the price book, so its calls cannot be held to a budget."
        " Check its spelling, or ask for a rate to be added."
    ),
    "unsupported_endpoint": _forbidden("{endpoint} is not supported: its cost cannot be bounded before the call."),
    "provider_not_connected": _forbidden("The provider {provider} is not connected. Add its key: {page}"),
    "unbounded_call": _invalid("The most this call can cost cannot be known before it is made: {what}."),
    "unpriced_feature": _invalid("There is no price for {feature}, so the call cannot be held to a budget."),
    "output_too_long": _invalid(
        "The call asks for up to {asked_tokens} output tokens; agent {agent} may ask for {max_tokens}."
        " Set the output bound to {max_tokens} or less."
    ),
    "agent_required": _invalid("This key needs the header {param}, which is missing."),
    "malformed": _invalid("The request is not valid: {problem}."),
    "key_missing": _key("No API key. Send an AWX key as bearer token, x-api-key or x-goog-api-key."),
    "key_malformed": _key("This is not an AWX key (awx_live_… or awx_test_…), or the request carries two keys."),
    "key_ambiguous": _key(
        "More than one organisation connected this provider key, so it does not say who is calling. Use an AWX key."
    ),
    "key_unknown": _key("This AWX key does not exist. Check that it was copied whole."),
    "key_revoked": _key("The AWX key {shown} was revoked. Create a new one on {page}."),
    "key_expired": _key("The AWX key {shown} has expired. Create a new one on {page}."),
    "unknown_path": Row(
        404,
        "invalid_request_error",
        None,
        "not_found_error",
        "NOT_FOUND",
        False,
        Wait.NONE,
        "There is nothing at {method} {path}. The base URL for this client is {base_url}",
    ),
    "not_found": Row(
        404, "invalid_request_error", None, "not_found_error", "NOT_FOUND", False, Wait.NONE, "There is no {what} here."
    ),
    "body_too_large": Row(
        413,
        "invalid_request_error",
        None,
        "request_too_large",
        "INVALID_ARGUMENT",
        False,
        Wait.NONE,
        "The request body is larger than {max_bytes} bytes.",
    ),
    "encoding_unsupported": Row(
        415,
        "invalid_request_error",
        None,
        "invalid_request_error",
        "INVALID_ARGUMENT",
        False,
        Wait.NONE,
        "The Content-Encoding {encoding} is not supported; send the body uncompressed.",
    ),
    "provider_unreachable": _server(502, "The provider {provider} could not be reached.", retry=True),
    "provider_key_rejected": _server(
        502, "The provider {provider} rejected the key stored for this organisation. Replace it: {page}"
    ),
    "provider_cut": _server(502, "The provider {provider} ended its answer early; what it billed is charged."),
    "interrupted": _server(
        502, "The call was interrupted in the proxy while it ran; what the provider may bill for it is charged."
    ),
    "provider_timeout": _server(504, "The provider {provider} did not answer within {waited_seconds} seconds."),
    "ledger_away": _server(
        503, "Budgets cannot be checked at the moment, so no call is let through.", retry=True, wait=Wait.SHORT
    ),
    "overloaded": _server(503, "Too many calls at once. Try again in a moment.", retry=True, wait=Wait.SHORT),
}
