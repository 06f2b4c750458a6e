"""Compares the price book with the two public lists it was made from, or makes it anew."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.data import book_file
from agents.data.build_pricebook import Builder
from agents.data.price_sources import BrokenSource, Genai, Litellm
from agents.data.soundness import jumps
from agents.data.source_files import SourceUnavailable, wheel_of

Row = dict[str, Any]
KEPT = "Nothing was written; the price book is as it was."


class Command(BaseCommand):
    help = (
        "check: say what the public lists say otherwise than the price book; exit 1 if anything. build: write it anew. "
        "Exit 2 when a list cannot be had or cannot be right."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["check", "build"])
        for name in ("litellm", "genai-prices"):
            parser.add_argument(f"--{name}", type=Path, metavar="WHEEL", help="its wheel (default: fetched with pip)")
        today = f"{datetime.now(UTC):%F}"
        parser.add_argument("--on", default=today, metavar="YYYY-MM-DD", help="the day the lists were read (today)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            builder = _builder(options)
            rows = builder.rows()
            problems = builder.problems(rows)
            broken = list(jumps(rows, book_file.read_rows()))
        except SourceUnavailable as error:
            raise CommandError(error.reason, returncode=2) from error
        except BrokenSource as error:
            raise CommandError(f"{error}. {KEPT}", returncode=2) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # The lists are others' files; whatever shape they have is a fact about them.
            raise CommandError(f"The lists cannot be read: {error!r}. {KEPT}", returncode=2) from error
        if broken:
            raise CommandError("\n".join(["The lists cannot be right:", *broken, KEPT]), returncode=2)
        sources = {"genai-prices": builder.genai.version, "litellm": builder.litellm.version}
        if options["action"] == "build":
            self._build(builder, rows, problems, sources)
        else:
            self._check(rows, problems, sources)

    def _check(self, rows: list[Row], problems: list[str], sources: Mapping[str, str]) -> None:
        lines = [*problems, *book_file.differences(book_file.read_rows(), rows)]
        for line in lines:
            self.stdout.write(line)
        if lines:
            sys.exit(1)
        self.stdout.write(f"The price book agrees with {_named(sources)}: {_size(rows)}.")

    def _build(self, builder: Builder, rows: list[Row], problems: list[str], sources: Mapping[str, str]) -> None:
        if problems:
            raise CommandError("\n".join([*problems, KEPT]), returncode=1)
        for line in book_file.differences(book_file.read_rows(), rows):
            self.stdout.write(line)
        book_file.write_book(rows, sources, builder.on)
        book_file.write_ids(builder.ids())
        self.stdout.write(f"Written from {_named(sources)}: {_size(rows)}.")


def _builder(options: Mapping[str, Any]) -> Builder:
    try:
        datetime.strptime(options["on"], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError("--on must be a day, written YYYY-MM-DD.", returncode=2) from None
    with TemporaryDirectory() as fetched:
        litellm = Litellm(wheel_of("litellm", options["litellm"], Path(fetched)))
        genai = Genai(wheel_of("genai-prices", options["genai_prices"], Path(fetched)))
    return Builder(litellm, genai, options["on"])


def _named(sources: Mapping[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in sources.items())


def _size(rows: list[Row]) -> str:
    return f"{len(rows)} rows for {sum(len(row['models']) for row in rows)} model ids"
