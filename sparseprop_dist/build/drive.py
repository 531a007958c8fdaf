"""The Poisson inputs of a rank: one entry for each input, group of neurons and block."""

from typing import Any

import numpy as np

from ..clock import ticks
from ..description import Input, Network
from ..distributions import Distribution
from ..inputs import Poisson
from ..partition import GROUP, Share
from ..state import Blocks, Drive

FIELDS = ("input", "group", "bits", "shift", "low", "stop", "whole", "weight", "largest", "weight_first")


class _Builder:
    """Collects entries; arrays of different lengths grow side by side."""

    def __init__(self, network: Network, blocks: Blocks, slab_bits: int) -> None:
        self.network, self.blocks, self.slab_bits = network, blocks, slab_bits
        self.entries: list[tuple[int, dict[str, float]]] = []  # block, fields
        self.pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        padding = np.zeros(1 << blocks.block_bits)  # where a block's values start, counted from its column 0, is then never negative
        self.weights, self.rates = [padding], [padding]
        self.n_weights = self.n_rates = len(padding)

    def add(self, k: int, driven: Input, share: Share, offset: int, groups_before: int, size: int) -> None:
        """Add the entries of input ``k`` onto one share, whose population starts at ``offset`` in the target pool."""
        blocks = self.blocks
        for block in range(len(blocks.gid)):
            start = int(blocks.gid[block]) - share.first_gid  # member at column 0
            stop = start + int(blocks.first[block + 1] - blocks.first[block])
            if not share.local <= blocks.first[block] < share.local + share.stop - share.start:
                continue
            for group in range(start // GROUP, -(-stop // GROUP)):
                self._entry(k, driven, block, start, stop, offset, group, groups_before, size)

    def _entry(
        self, k: int, driven: Input, block: int, start: int, stop: int, offset: int, group: int, groups_before: int, size: int
    ) -> None:
        begin, end = group * GROUP, min((group + 1) * GROUP, size)
        rates = self.network.input_rates(driven, offset + begin, offset + end)
        peak = rates.max(axis=1)
        if not peak.any():
            return
        low, high = max(begin, start), min(end, stop)
        bits = int(end - begin - 1).bit_length()
        whole = begin >= start and end <= stop and end - begin == 1 << bits
        fields: dict[str, float] = {"input": k, "group": groups_before + group, "bits": bits, "shift": start - begin}
        fields |= {"low": low - start, "stop": high - start, "whole": whole}
        self._piece(driven, rates[:, low - begin : high - begin], peak, low - start)
        if isinstance(driven.weight, Distribution | np.ndarray):
            own = self.network.input_weights(driven, offset + low, offset + high)
            self.weights.append(own)
            fields |= {"weight": 0.0, "largest": float(np.abs(own).max()), "weight_first": self.n_weights - (low - start)}
            self.n_weights += high - low
        else:
            assert driven.weight is not None
            fields |= {"weight": driven.weight, "largest": abs(driven.weight), "weight_first": -1}
        self.entries.append((block, fields))

    def _piece(self, driven: Input, rates: np.ndarray, peak: np.ndarray, low: int) -> None:
        starts = ticks(driven.kind.starts)  # type: ignore[union-attr]
        firsts = np.full(len(starts), -1)
        for piece in range(len(starts)):
            if (rates[piece] != peak[piece]).any():
                self.rates.append(rates[piece])
                firsts[piece] = self.n_rates - low
                self.n_rates += rates.shape[1]
        self.pieces.append((starts >> self.slab_bits, starts & ((1 << self.slab_bits) - 1), peak, firsts))

    def finish(self) -> Drive:
        order: Any = np.argsort([block for block, _ in self.entries], kind="stable") if self.entries else []
        fields = {
            name: np.array([self.entries[e][1][name] for e in order], np.float64 if name in ("weight", "largest") else np.int64)
            for name in FIELDS
        }
        fields["whole"] = fields["whole"].astype(np.uint8)
        counts = (
            np.bincount([block for block, _ in self.entries], minlength=len(self.blocks.gid))
            if self.entries
            else np.zeros(len(self.blocks.gid), int)
        )
        pieces = [self.pieces[e] for e in order]
        slabs, offsets, peaks, firsts = (np.concatenate([piece[c] for piece in pieces]) if pieces else np.empty(0) for c in range(4))
        return Drive(
            entry_ptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **fields,
            weights=np.concatenate(self.weights),
            piece_ptr=np.concatenate([[0], np.cumsum([len(piece[0]) for piece in pieces])]).astype(np.int64),
            piece_slab=slabs.astype(np.int64),
            piece_offset=offsets.astype(np.int64),
            peak=peaks.astype(np.float64),
            rate_first=firsts.astype(np.int64),
            rates=np.concatenate(self.rates),
            seed=self.network.seed,
        )


def build_drive(network: Network, shares: list[Share], blocks: Blocks, slab_bits: int) -> tuple[Drive, np.ndarray]:
    """Return the Poisson inputs of a rank, and the largest absolute weight (mV) that meets each block."""
    builder = _Builder(network, blocks, slab_bits)
    by_name = {share.population: share for share in shares}
    for k, driven in enumerate(network.inputs):
        if not isinstance(driven.kind, Poisson):
            continue
        offset = groups = 0
        for name in driven.targets:
            size = network.population(name).size
            builder.add(k, driven, by_name[name], offset, groups, size)
            offset += size
            groups += -(-size // GROUP)
    drive = builder.finish()
    starts, stops = drive.entry_ptr[:-1], drive.entry_ptr[1:]
    return drive, np.array([drive.largest[start:stop].max(initial=0.0) for start, stop in zip(starts, stops, strict=True)])
