"""Runs the steps that are named on the command line and prints what each saw: one JSON object on a line of its own.

A program knows nothing of Shredder: addresses and keys come from the two variables that its SDK reads itself. It runs
in an environment of its own, so it imports nothing of this repository but this file.
"""

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

ASK = "Say hello [[tokens_out=20]]"
ASK_TOOL = "Look at one [[tool_calls=1]]"
OPENAI_MODEL = "gpt-4o-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"
GEMINI_MODEL = "gemini-2.5-flash"
OUTPUT_TOKENS = 100
LOOK = {
    "type": "object",
    "properties": {"at": {"type": "integer", "description": "What to look at"}},
    "required": ["at"],
}


def run(package: str, **steps: Callable[[], Any]) -> None:
    """Run the wanted steps; an exception of one is what it saw. package: whose version is told."""
    seen: dict[str, Any] = {"version": version(package)}
    for name in sys.argv[1:]:
        try:
            found = steps[name]()
            seen[name] = asyncio.run(found) if inspect.iscoroutine(found) else found
        except Exception as error:
            seen[name] = failure(error)
    print("\n" + json.dumps(seen))


def failure(error: BaseException) -> dict[str, Any]:
    """What a program can know of an exception: its classes, its text, its status and what caused it."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    causes = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(causes) < 5:
        causes.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return {
        "error": type(error).__name__,
        "classes": [f"{one.__module__.partition('.')[0]}.{one.__name__}" for one in type(error).__mro__],
        "message": str(error),
        "status": status if isinstance(status, int) else None,
        "causes": causes,
    }
