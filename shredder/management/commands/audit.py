"""Checks that ledger, book and sums agree; says where they do not."""

import sys
from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from agents.audit import AuditUnderWay, audit

# The hourly run of a worker reads an hour of calls; only the first reads the whole book.
WAIT_SECONDS = 600


class Command(BaseCommand):
    help = "Check every invariant of ledger and book; exit 1 and name the difference when one does not hold."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="write one JSON object")
        parser.add_argument("--full", action="store_true", help="read again what earlier runs have read, and compare")
        parser.add_argument(
            "--accept", action="store_true", help="with --full: after this run, take the book as it is now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["accept"] and not options["full"]:
            raise CommandError("--accept goes with --full: what is accepted must have been compared.", returncode=2)
        try:
            report = audit(full=options["full"], accept=options["accept"], wait_seconds=WAIT_SECONDS)
        except AuditUnderWay:
            raise CommandError(
                "Another audit has been running for ten minutes; try again later.", returncode=2
            ) from None
        if options["json"]:
            self.stdout.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
        else:
            for line in report.lines():
                self.stdout.write(line)
        if not report.ok:
            sys.exit(1)
