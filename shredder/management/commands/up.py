"""Runs everything on one machine."""

import os
import sys
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser

from shredder.embedded.errors import CannotStart
from shredder.embedded.installation import Plan, run

WORKERS_MAX = 64


class Command(BaseCommand):
    help = "Set up and run everything: servers, web, worker and timetable."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **options)
        # One clear line instead of the usage text in front of it.
        parser.__class__ = _OneLineParser
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000; 0: any free one)")
        parser.add_argument("--workers", type=int, help="web processes (default: one for each core)")
        parser.add_argument("--once", action="store_true", help="stop as soon as everything is ready")

    def handle(self, *args: Any, **options: Any) -> None:
        workers = options["workers"] if options["workers"] is not None else os.process_cpu_count() or 1
        if not 1 <= workers <= WORKERS_MAX:
            self._refuse(f"--workers must be between 1 and {WORKERS_MAX}, not {workers}")
        if not 0 <= options["port"] <= 65_535:
            self._refuse(f"--port must be between 0 and 65535, not {options['port']}")
        plan = Plan(host=options["host"], port=options["port"], workers=workers, once=options["once"])
        try:
            run(plan)
        except (CannotStart, OSError) as reason:
            self._refuse(str(reason), code=1)

    def _refuse(self, reason: str, *, code: int = 2) -> NoReturn:
        self.stderr.write(f"up: {reason}")
        raise SystemExit(code)


class _OneLineParser(CommandParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"up: {message} (see ./dev up --help)\n")
        raise SystemExit(2)
