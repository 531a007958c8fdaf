"""Nodes or edges of a population, and their attributes.

SONATA lays both out alike: each element has a type, whose attributes stand in a row of a CSV table, and belongs to a group, whose
datasets hold one value for each member and go before the row. Owns that rule. Knows nothing of what the attributes mean.

Formula: attribute of element e = ``group[group_id[e]][name][group_index[e]]`` if that dataset exists, else ``row[type_id[e]][name]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sparseprop_dist.errors import InputError
from sparseprop_dist.sonata import hdf5
from sparseprop_dist.sonata.tables import TypeTable, read_table

Column = float | NDArray[np.float64]
"""An attribute of all elements: one number if they share it (1e7 equal delays take no memory), otherwise one each."""


@dataclass(frozen=True)
class Block:
    """The elements of one HDF5 group: elements ``where`` have its rows ``index``. Slices where all elements are in it, in order."""

    group: h5py.Group
    where: Any
    index: Any

    def take(self, values: NDArray[Any], name: str) -> NDArray[Any]:
        """Return the values of a dataset of this group, in the order of its elements."""
        least = self.index.stop if isinstance(self.index, slice) else int(self.index.max(initial=-1)) + 1
        if len(values) < least:
            raise InputError(f'"{name}" in {hdf5.place(self.group)} has {len(values)} entries, but row {least - 1} of the group is in use')
        return values[self.index]


class Elements:
    """The elements of one population in an open HDF5 file.

    Parameters
    ----------
    kind : "node" or "edge"
    population : the HDF5 group /nodes/<population> or /edges/<population>
    table : path of the CSV file, None if there is none
    """

    def __init__(self, kind: str, population: h5py.Group, table: Path | None) -> None:
        self.kind = kind
        self.population = population
        self.name = population.name.rsplit("/", 1)[-1]
        self.where = f'{kind}s of population "{self.name}" in "{population.file.filename}"'
        type_id = hdf5.integers(population, f"{kind}_type_id")
        self.size = len(type_id)
        if table is None:
            ids = np.unique(type_id)
            self.table = TypeTable("no table", ids, [{}] * len(ids))
        else:
            self.table = read_table(table, f"{kind}_type_id", self.name)
        self.row = self._rows(type_id)
        self.used = np.flatnonzero(np.bincount(self.row, minlength=len(self.table.ids)))
        self.blocks = self._blocks()

    def numbers(self, name: str, default: float | None = None) -> Column:
        """Return a numeric attribute; where it is not given, `default`, or an error if that is None."""
        rows = self.table.numbers(name)
        missing = np.isnan(rows)
        given = self.override(self.spread(np.where(missing, 0.0 if default is None else default, rows)), name)
        if default is None and missing[self.used].any():
            lacking = missing[self.row]
            for block in self.blocks:
                if name in block.group:
                    lacking[block.where] = False
            if lacking.any():
                first = int(np.argmax(lacking))
                row = f"row {self.table.ids[self.row[first]]} of {self.table.where}"
                raise InputError(f'{self.kind} {first} of the {self.where} has no "{name}"; give it in {row}, or as a dataset of the group')
        return given

    def override(self, values: Column, name: str) -> Column:
        """Return `values` with those of the groups that have a dataset `name` ("dynamics_params/tau", too) in their places."""
        for block in self.blocks:
            if not isinstance(block.group.get(name), h5py.Dataset):
                continue
            column = block.take(hdf5.numbers(block.group, name), name)
            if isinstance(block.where, slice):
                values = column
            else:
                values = np.full(self.size, values) if np.ndim(values) == 0 else np.array(values)
                values[block.where] = column
        return values

    def words(self, name: str) -> tuple[list[str | None], NDArray[np.int32]]:
        """Return the distinct texts of an attribute (None: not given), and for each element which of them it has."""
        rows = self.table.texts(name)
        known: dict[str | None, int] = {}
        codes = np.array([known.setdefault(text, len(known)) for text in rows], dtype=np.int32)[self.row]
        for block in self.blocks:
            if isinstance(block.group.get(name), h5py.Dataset):
                texts, which = _text_column(block.group, name)
                own = np.array([known.setdefault(text, len(known)) for text in texts], dtype=np.int32)
                codes[block.where] = own[block.take(which, name)]
        used = np.bincount(codes, minlength=len(known)) > 0
        return [text for text, code in known.items() if used[code]], (np.cumsum(used, dtype=np.int32) - 1)[codes]

    def spread(self, rows: NDArray[np.float64]) -> Column:
        """Return what each element has, given what each row of the table has."""
        used = rows[self.used]
        return float(used[0]) if used.size and np.all(used == used[0]) else rows[self.row]

    def subgroups(self, name: str) -> list[h5py.Group]:
        """Return the HDF5 groups `name` inside the groups of the elements."""
        return [block.group[name] for block in self.blocks if isinstance(block.group.get(name), h5py.Group)]

    def _rows(self, type_id: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the row of the table that each element's type has."""
        ids = self.table.ids
        row = np.searchsorted(ids, type_id).astype(np.int32)
        unknown = np.ones(self.size, bool) if not len(ids) else ids[np.minimum(row, len(ids) - 1)] != type_id
        if unknown.any():
            first = int(np.argmax(unknown))
            known = ", ".join(map(str, ids[:6])) or "none"
            given = f"{self.kind} {first} of the {self.where} has {self.kind}_type_id {type_id[first]}"
            raise InputError(f"{given}, which the table {self.table.where} lacks (it has {known}); add a row to the table")
        return row

    def _blocks(self) -> Sequence[Block]:
        names = (f"{self.kind}_group_id", f"{self.kind}_group_index")
        groups = [name for name, member in self.population.items() if name.isdigit() and isinstance(member, h5py.Group)]
        everything = slice(0, self.size)
        if not any(name in self.population for name in names) and len(groups) <= 1:
            return [Block(self.population[name], everything, everything) for name in groups]
        group_id, index = (hdf5.integers(self.population, name, self.size) for name in names)
        if self.size and group_id.min() == group_id.max() and np.array_equal(index, np.arange(self.size)):
            return [Block(hdf5.group(self.population, str(group_id[0])), everything, everything)]
        blocks = []
        for number in np.unique(group_id):
            where = np.flatnonzero(group_id == number)
            blocks.append(Block(hdf5.group(self.population, str(number)), where, index[where]))
        return blocks


def _text_column(group: h5py.Group, name: str) -> tuple[list[str | None], NDArray[np.intp]]:
    """Return the distinct texts of a dataset of strings, of an enumeration, or of numbers into /@library/<name>, and which each entry
    has."""
    found = hdf5.dataset(group, name)
    library, enumeration = group.get(f"@library/{name}"), h5py.check_enum_dtype(found.dtype)
    if h5py.check_string_dtype(found.dtype) is not None:
        distinct, which = np.unique(found.asstr()[()].astype(object), return_inverse=True)
        return list(distinct), which
    if enumeration is not None:
        ordered = sorted(enumeration.items(), key=lambda item: item[1])
        return [text for text, _ in ordered], np.searchsorted([value for _, value in ordered], found[()])
    if isinstance(library, h5py.Dataset):
        texts, which = list(library.asstr()[()]), hdf5.integers(group, name)
        if which.max(initial=-1) >= len(texts):
            raise InputError(f"{hdf5.place(found)} holds {which.max()}, but its @library has {len(texts)} entries")
        return texts, which
    raise InputError(f"{hdf5.place(found)} is of type {found.dtype}; it must hold text")
