"""Records that kernels hold by their address.

Numba passes a NamedTuple by its parts: a hundred arrays are seven hundred arguments, taken apart and put together at every call. Records
are made by Python alone and do not change while a kernel runs. So the way in from Python writes the parts to its stack once, and what
kernels pass on is where they are. Their reads are marked invariant: LLVM keeps the address of an array over stores to others, as it did
for an argument. See ``docs/design/dispatch.md``.
"""

import hashlib
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.imputils import lower_getattr_generic
from numba.extending import NativeValue, register_model, typeof_impl, unbox


class Address(types.NamedTuple):
    """The type of a record that is held by its address."""

    def __init__(self, kinds: list[Any], record: type) -> None:
        super().__init__(kinds, record)
        parts = ", ".join(map(str, kinds))
        # part of the names of all functions that take it
        self.name = f"{record.__name__}.{hashlib.sha256(parts.encode()).hexdigest()[:8]}"


@register_model(Address)
class AddressModel(models.PrimitiveModel):
    """An address in registers, in memory and as an argument."""

    def __init__(self, manager: Any, kind: Address) -> None:
        self.parts = ir.LiteralStructType([manager.lookup(part).get_value_type() for part in kind.types])
        super().__init__(manager, kind, self.parts.as_pointer())


@unbox(Address)
def _unbox(kind: Address, record: Any, c: Any) -> NativeValue:
    parts = c.context.data_model_manager[kind].parts
    place, failed = cgutils.alloca_once(c.builder, parts), cgutils.alloca_once_value(c.builder, cgutils.false_bit)
    for number, part in enumerate(kind.types):
        native = c.unbox(part, c.pyapi.tuple_getitem(record, number))
        with c.builder.if_then(native.is_error, likely=False):
            c.builder.store(cgutils.true_bit, failed)
        c.builder.store(native.value, cgutils.gep_inbounds(c.builder, place, 0, number))
    return NativeValue(place, is_error=c.builder.load(failed))


@lower_getattr_generic(Address)
def _read(context: Any, builder: Any, kind: Address, address: Any, name: str) -> Any:
    part = builder.load(cgutils.gep_inbounds(builder, address, 0, kind.fields.index(name)))
    part.set_metadata("invariant.load", builder.module.add_metadata([]))
    return part


def by_address(record: type) -> type:
    """Let kernels hold the records of a NamedTuple class by their address. They can read its fields, by name, and pass it on."""
    typeof_impl.register(record)(lambda value, context: Address([typeof_impl(part, context) for part in value], record))
    return record
