"""Gradients as they are given back: by name of the parameter, then by what has it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .description import Input, Network, Population, Projection
from .errors import InputError, nearest


class Gradients(Mapping[str, Any]):
    """Gradients by name of the parameter, then by the thing that has it: a population (or its name), a projection or an input (or its place
    in the network). Each is a float where the parameter is one number, else an array of its shape; of a drawn parameter, one for each
    neuron or synapse."""

    def __init__(self, network: Network, values: dict[str, dict[tuple[str, int], Any]]) -> None:
        self._network, self._values = network, values

    def __getitem__(self, name: str) -> "GradientsOf":
        if name not in self._values:
            raise InputError(f'there is no gradient of "{name}"{nearest(name, self._values)}; name it in wrt')
        return GradientsOf(self._network, name, self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class GradientsOf(Mapping[Any, Any]):
    """Those of one parameter."""

    def __init__(self, network: Network, name: str, values: dict[tuple[str, int], Any]) -> None:
        self._network, self._name, self._values = network, name, values

    def __getitem__(self, thing: Any) -> Any:
        key = self._key(thing)
        if key not in self._values:
            raise InputError(f'there is no gradient of "{self._name}" for {thing}; there is for {", ".join(map(str, self)) or "nothing"}')
        return self._values[key]

    def at(self, kind: str, place: int) -> Any:
        """Return that of a "population", "projection" or "input" by its place in the network."""
        return self._values[kind, place]

    def _key(self, thing: Any) -> tuple[str, int]:
        network = self._network
        if isinstance(thing, str | Population):
            name = thing if isinstance(thing, str) else thing.name
            return "population", next((k for k, known in enumerate(network.populations) if known.name == name), -1)
        if isinstance(thing, Projection):
            return "projection", next((k for k, known in enumerate(network.projections) if known is thing), -1)
        if isinstance(thing, Input):
            return "input", next((k for k, known in enumerate(network.inputs) if known is thing), -1)
        return "projection", int(thing)

    def __iter__(self) -> Iterator[Any]:
        lists: dict[str, Sequence[Any]] = {
            "population": [population.name for population in self._network.populations],
            "projection": self._network.projections,
            "input": self._network.inputs,
        }
        return (lists[kind][place] for kind, place in self._values)

    def __len__(self) -> int:
        return len(self._values)
