"""index.sqlite: what sweep.csv says, for SQL.

    sqlite3 index.sqlite "SELECT json_extract(swept, '$.\"strategy.lr\"'), AVG(acc_final)
                          FROM runs WHERE status = 'completed' GROUP BY 1"

It is made in a folder of this machine, and then takes the place of the old one in one step: disks
on a network often lack the locks that a data base needs.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.disk.opening import read_bytes
from clrun.disk.secrets import hidden_text

if TYPE_CHECKING:
    from clrun.sweep.summary import Row

LARGEST = 2**30
"""Bytes of an index"""

COLUMNS = (
    *("number", "folder", "config_hash", "status", "reason", "swept", "overrides"),
    *("metrics", "cost", "seconds", "attempts", "host", "ended", "is_reference"),
)
"""Those that a row is made of again"""

SCHEMA = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    swept TEXT NOT NULL,      -- JSON: swept key -> its value as typed
    overrides TEXT NOT NULL,  -- JSON: list of words
    acc_final REAL,
    metrics TEXT NOT NULL,    -- JSON: name -> number or null
    cost TEXT NOT NULL,       -- JSON: name -> number or null
    seconds REAL,
    attempts INTEGER NOT NULL,
    host TEXT NOT NULL,
    ended TEXT NOT NULL,
    is_reference INTEGER NOT NULL  -- 1: naive or joint, to hold others against
);
CREATE TABLE written (runs_sha256 TEXT NOT NULL);
CREATE INDEX runs_by_hash ON runs (config_hash);
"""


def index_bytes(found: Sequence[Row]) -> bytes:
    """The data base of these rows; the same rows give the same bytes."""
    with tempfile.TemporaryDirectory(prefix="clrun-") as folder:
        path = Path(folder) / "index.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(f"BEGIN; {SCHEMA}")
            marks = ", ".join("?" * 15)
            connection.executemany(f"INSERT INTO runs VALUES ({marks})", map(_values, found))
            connection.execute("INSERT INTO written VALUES (?)", (_checksum(connection),))
            connection.execute("COMMIT")
        return read_bytes(path, most=LARGEST)


def read_index(path: Path) -> list[Row] | None:
    """The rows of an index; None where there is none, or it is not what was written."""
    from clrun.sweep.summary import Row

    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as index:
            [(written,)] = index.execute("SELECT runs_sha256 FROM written")
            if written != _checksum(index):
                return None
            found = index.execute(f"SELECT {', '.join(COLUMNS)} FROM runs ORDER BY number")
            return [_row(Row, values) for values in found]
    except (sqlite3.Error, ValueError, TypeError):
        return None


def _checksum(connection: sqlite3.Connection) -> str:
    found = hashlib.sha256()
    for values in connection.execute("SELECT * FROM runs ORDER BY number"):
        found.update(repr(values).encode())
    return found.hexdigest()


def _row(cls: type[Row], values: Sequence[Any]) -> Row:
    given = dict(zip(COLUMNS, values, strict=True))
    for name in ("values", "overrides", "metrics", "cost"):
        given[name] = json.loads(given.pop("swept" if name == "values" else name))
    given["is_reference"] = bool(given["is_reference"])
    return cls(**{**given, "overrides": tuple(given["overrides"])})


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.number,
        *map(hidden_text, (row.folder, row.config_hash, row.status)),
        None if row.reason is None else hidden_text(row.reason),
        *map(_json, (row.values, row.overrides)),
        row.metrics.get("acc_final"),
        *map(_json, (row.metrics, row.cost)),
        row.seconds,
        row.attempts,
        row.host,
        row.ended,
        row.is_reference,
    )


def _json(value: object) -> str:
    return hidden_text(json.dumps(value))
