"""The price book's file and the list of ids beside it: read, written whole or not at all, and compared."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.pricebook import BOOK_PATH, PriceBook

Row = dict[str, Any]
# Which ids each list named when the book was built; a test holds the book against them.
IDS_PATH = Path(__file__).parent / "source_ids.json"
GENERATOR = "agents/data/build_pricebook.py"
# They say when somebody looked, not what a call costs.
NOT_COMPARED = frozenset({"models", "verified_on", "since", "provider"})


def read_rows() -> list[Row]:
    """The rows of the book as it is."""
    rows: list[Row] = json.loads(BOOK_PATH.read_text())["rows"]
    return rows


def write_book(rows: Sequence[Row], sources: Mapping[str, str], on: str) -> None:
    """One row on a line, so that a change of price is a change of a line.

    What the product cannot read never takes the book's place: raises pricing.dated.InvalidRow.
    """
    head = {"generator": GENERATOR, "generated_on": on, "sources": dict(sources)}
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    _replace(BOOK_PATH, f'{json.dumps(head, sort_keys=True)[:-1]}, "rows": [\n{lines}\n]}}\n', check=PriceBook.load)


def write_ids(ids: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Provider, then list, then ids."""
    _replace(IDS_PATH, json.dumps(ids, indent=1, sort_keys=True) + "\n", check=lambda _: None)


def differences(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    """What one book says and another does not, a line for each id: added, removed, or changed from what to what."""
    old, new = _by_id(before), _by_id(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"added {name}"
        elif name not in new:
            yield f"removed {name}"
        elif changes := list(_changes(old[name], new[name])):
            yield f"changed {name}: {', '.join(changes)}"


def _by_id(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    return {
        f"{row['provider']}/{model}" + (f" since {row['since']}" if row.get("since") else ""): dict(_flat(row))
        for row in rows
        for model in row["models"]
    }


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return
    for key, part in value.items():
        if path or key not in NOT_COMPARED:
            yield from _flat(part, f"{path}.{key}" if path else key)


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key, 'none')} → {new.get(key, 'none')}"


def _replace(path: Path, content: str, check: Callable[[Path], object]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        check(Path(name))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
