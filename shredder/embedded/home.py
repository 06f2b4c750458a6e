"""Where an installation keeps its data, and who may run on it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shredder.embedded.errors import CannotStart

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def home_folder() -> Path:
    """The data folder: SHREDDER_HOME, or `var` in the checkout."""
    return Path(os.environ.get("SHREDDER_HOME") or CHECKOUT / "var").absolute()


def recorded_site(home: Path) -> Path:
    """Where `up` keeps its site's address while it runs; one that was killed leaves it, and its pages serve on."""
    return home / "run" / "site"


def make_home(home: Path) -> None:
    """Create the data folder; root's must let the servers' user pass through to its own folder."""
    if home.is_dir():
        return
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)


def servers_are_embedded() -> bool:
    """False when both DATABASE_URL and REDIS_URL name servers of the operator's own; one alone is a mistake."""
    given = [name for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)]
    if len(given) == 1:
        missing = "REDIS_URL" if given == ["DATABASE_URL"] else "DATABASE_URL"
        raise CannotStart(f"{given[0]} is set but {missing} is not: set both, or neither to use the embedded servers")
    return not given


@contextmanager
def sole_owner(home: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases it even when this process is killed."""
    make_home(home)
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotStart(f"already running on {home} (process {lock.read().strip() or 'unknown'})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
