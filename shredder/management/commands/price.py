"""Prices finished calls from the command line, one JSON object a line."""

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.money import usd_exact
from agents.pricebook import PriceBook, UnpricedModel, current_book
from agents.pricing import UnpricedFeature, cost_pico
from proxy.providers.usage import UsageUnreadable, read_usage


class Command(BaseCommand):
    help = "Read {id, provider, endpoint, model, at, usage, context} lines; write {id, cost_usd} or {id, error}."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="the lines; standard input where none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"] is None:
            self._price(sys.stdin.buffer)
            return
        try:
            with open(options["file"], "rb") as lines:
                self._price(lines)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error

    def _price(self, lines: Iterable[bytes]) -> None:
        book = current_book()
        try:
            for line in lines:
                if line.strip():
                    self.stdout.write(orjson.dumps(priced(line, book)).decode())
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough. What Python would still flush at its end must go somewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class InvalidLine(Exception):
    """A line that does not describe a call; `reason` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def priced(line: bytes, book: PriceBook) -> dict[str, Any]:
    """The answer to one line: its id with the cost in dollars, or with the reason there is none."""
    try:
        case = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return {"id": None, "error": f"not JSON: {error}"}
    if not isinstance(case, dict):
        return {"id": None, "error": "not a JSON object"}
    try:
        return {"id": case.get("id"), "cost_usd": usd_exact(_cost_pico(case, book))}
    except InvalidLine as error:
        reason = error.reason
    except UnpricedModel as error:
        reason = f"unpriced model: {error.provider}/{error.model}"
    except UnpricedFeature as error:
        reason = f"unpriced feature: {error.name}"
    except UsageUnreadable as error:
        reason = f"unreadable usage: {error}"
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The line is anybody's; whatever shape it has, the next one must still be priced.
        reason = f"unreadable usage: {error}"
    return {"id": case.get("id"), "error": reason}


def _cost_pico(case: Mapping[str, Any], book: PriceBook) -> int:
    provider, endpoint, model = (_text(case, name) for name in ("provider", "endpoint", "model"))
    context = case.get("context")
    row = book.row(provider, model, _moment(_text(case, "at")))
    usage, circumstances = read_usage(
        provider, endpoint, _object(case.get("usage"), "usage"), _object({} if context is None else context, "context")
    )
    return cost_pico(row, usage, circumstances)


def _text(case: Mapping[str, Any], name: str) -> str:
    value = case.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidLine(f"{name} must be a text")
    return value


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidLine(f"{name} must be an object")
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidLine("at must be an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise InvalidLine("at must name its time zone")
    return moment
