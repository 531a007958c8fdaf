"""The CSV tables of node types and edge types.

Owns their dialect (columns separated by spaces, fields with spaces in double quotes) and what counts as no value. Knows nothing of HDF5.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError

NO_VALUE = frozenset({"", "NULL", "NONE", "NA", "NAN"})
"""Fields, in capitals, that mean that the type has no such attribute."""


@dataclass(frozen=True)
class TypeTable:
    """The types of one population: row k has the id ``ids[k]``, ids ascending."""

    where: str
    """How an error calls the table."""
    ids: NDArray[np.int64]
    rows: Sequence[dict[str, str]]

    def texts(self, column: str) -> list[str | None]:
        """Return the field of each row, None where there is none."""
        fields = (row.get(column, "") for row in self.rows)
        return [None if field.upper() in NO_VALUE else field for field in fields]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return the number of each row, NaN where there is none."""
        values = np.full(len(self.rows), np.nan)
        for row, text in enumerate(self.texts(column)):
            try:
                values[row] = np.nan if text is None else float(text)
            except ValueError:
                raise InputError(f'{column} is "{text}" for type {self.ids[row]} in {self.where}; it must be a number') from None
        return values


def read_table(path: Path, key: str, population: str) -> TypeTable:
    """Read the rows of one population.

    Parameters
    ----------
    path : path of the CSV file
    key : "node_type_id" or "edge_type_id"
    population : rows whose column "population" names another one are left out
    """
    where = f'"{path}"'
    header, lines = _split(path, where)
    if key not in header:
        raise InputError(f'the table {where} has no column "{key}"; its columns are {", ".join(header)}')
    rows: dict[int, dict[str, str]] = {}
    for number, fields in lines:
        if len(fields) != len(header):
            hint = "put fields that contain spaces in double quotes, and write NULL for none"
            raise InputError(f"line {number} of {where} has {len(fields)} fields, but its header has {len(header)}; {hint}")
        row = dict(zip(header, fields, strict=True))
        owner = row.get("population", "")
        if owner != population and owner.upper() not in NO_VALUE:
            continue
        try:
            identity = int(row[key])
        except ValueError:
            raise InputError(f'line {number} of {where} has "{row[key]}" as its {key}; it must be a whole number') from None
        if identity in rows:
            raise InputError(f"line {number} of {where} repeats the {key} {identity}; give each type once")
        rows[identity] = row
    ids = np.array(sorted(rows), dtype=np.int64)
    return TypeTable(where, ids, [rows[int(identity)] for identity in ids])


def _split(path: Path, where: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the (line number, fields) below it."""
    if not path.is_file():
        raise InputError(f"there is no table {where}; mend the path, or put the file there")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        parsed = [
            (number, next(csv.reader([line.strip()], delimiter=" ", skipinitialspace=True, strict=True)))
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the table {where} cannot be read ({error}); it must be text, its columns separated by spaces") from error
    if not parsed:
        raise InputError(f"the table {where} is empty; its first line must name the columns")
    header = parsed[0][1]
    for sign, name in ((",", "commas"), (";", "semicolons"), ("\t", "tabs")):
        if any(sign in field for field in header):
            raise InputError(f"the columns of {where} are separated by {name}; SONATA separates them by spaces")
    return header, parsed[1:]
