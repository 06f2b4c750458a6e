"""PostgreSQL refuses to run as root: whom to become instead, and what that user can reach."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shredder.embedded.errors import CannotStart

# Where root puts what a plain user must reach although the checkout is closed to others.
SHARED = Path("/var/lib/awx-shredder")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The account PostgreSQL runs under; `dropped` when root became it."""

    uid: int
    gid: int
    dropped: bool

    def popen_options(self) -> dict[str, Any]:
        """Arguments for Popen that make a child run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.dropped else {}

    def can_reach(self, path: Path) -> bool:
        """Whether every folder down to `path`, and `path` itself, is open to this user."""
        return not self.dropped or all(self._may_enter(folder) for folder in [path, *path.parents])

    def _may_enter(self, path: Path) -> bool:
        facts = path.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & 0o100)
        if facts.st_gid == self.gid:
            return bool(facts.st_mode & 0o010)
        return bool(facts.st_mode & 0o001)


def server_user() -> ServerUser:
    """Ourselves, or `postgres` or `nobody` when we are root."""
    if os.geteuid() != 0:
        return _ourselves()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(uid=entry.pw_uid, gid=entry.pw_gid, dropped=True)
    raise CannotStart("PostgreSQL cannot run as root and there is no user postgres or nobody: set DATABASE_URL")


def _ourselves() -> ServerUser:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise CannotStart(
            f"user {os.geteuid()} has no passwd entry, so PostgreSQL cannot be set up: set DATABASE_URL and REDIS_URL"
        ) from None
    return ServerUser(uid=os.geteuid(), gid=os.getegid(), dropped=False)
