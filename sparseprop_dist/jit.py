"""The one place that compiles: ``njit``, the dispatch of protocol functions on records, a few machine instructions, and the cache.

Owns how Python becomes machine code. Knows no model and no kernel. Numba's cache stamps only the file of the cached function: an edit
elsewhere would leave old machine code in use, silently. So the cache folder is named by a hash of every source of the package, of the
versions and of the flags (``docs/design/dispatch.md``).
"""

import atexit
import functools
import hashlib
import inspect
import os
import pathlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, overload

PACKAGE = pathlib.Path(__file__).parent


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    flags = (numba.__version__, llvmlite.__version__, np.__version__, config.BOUNDSCHECK, config.OPT, config.CPU_NAME)
    digest.update(repr(flags).encode())
    return digest.hexdigest()[:16]


def _cache_folder() -> pathlib.Path:
    """Below NUMBA_CACHE_DIR if that is set, else below the user's cache folder; where that cannot be written, one that lives as long as
    this process: Numba's own way out is the package's folder, by file dates alone, or none."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = pathlib.Path(config.CACHE_DIR) if config.CACHE_DIR else pathlib.Path(home) / "sparseprop_dist"
    folder = root / _fingerprint()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        remedy = "set NUMBA_CACHE_DIR to a folder that can, or each start will compile for half a minute"
        warnings.warn(f'compiled code cannot be kept in "{folder}" ({error.strerror}); {remedy}', stacklevel=2)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sparseprop_dist-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


ENABLED = not config.DISABLE_JIT
CACHE = _cache_folder()
config.CACHE_DIR = str(CACHE)


def njit(function: Callable[..., Any]) -> Any:
    """Compile a kernel, with the flags that keep bits: no fastmath, no threads; division as in NumPy, since a test for zero blocks
    vectorisation.

    Without Numba's runtime (``_nrt``): kernels cannot allocate, which they must not anyway, and the arrays of a record are not counted at
    every call. Counting cost 100 ns in `receive` of the LIF, which takes 2.
    """
    return numba.njit(function, cache=True, error_model="numpy", nogil=True, _nrt=False, no_cfunc_wrapper=True)


def inner(function: Callable[..., Any], **more: bool) -> Any:
    """As `njit`, for what kernels call: without a way in from Python, which unpacks every array of every record and takes longer to compile
    than most bodies (``docs/design/dispatch.md``). Called from Python, as tests do, it is compiled into a way in of its own."""
    flags = {"error_model": "numpy", "nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made = numba.njit(function, cache=True, **flags, **more)
    if ENABLED:
        made._insert = lambda *_: None  # what the dispatcher calls from Python: there is nothing to call
        made._compile_for_args = lambda *_, **__: _way_in(made)
    return made


@functools.cache
def _way_in(made: Any) -> Any:
    names = ", ".join(inspect.signature(made.py_func).parameters)
    return numba.njit(written([f"def way_in({names}):", f"    return made({names})"], {"made": made}, "way_in"), _nrt=False)


def inline(function: Callable[..., Any]) -> Any:
    """As `njit`, and copied into its callers: for bodies of a few instructions inside vectorised loops."""
    return numba.njit(function, error_model="numpy", inline="always")


def merged(function: Callable[..., Any]) -> Any:
    """As `inner`, copied into its callers by LLVM, for parts of a loop that take many records: a call passes each array as seven numbers,
    which costs 50 ns where it stays a call."""
    return inner(function, forceinline=True)


def python_body(function: Any) -> Callable[..., Any]:
    """Return the Python function behind a compiled one, for use on whole arrays."""
    return getattr(function, "py_func", function)


def protocol(stub: Callable[..., Any]) -> Any:
    """Make ``stub`` a function that every record of its family must implement; ``stub.registry`` lists who does."""
    return functools.singledispatch(stub)


def implements(function: Any, record: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give ``function`` a body for arguments whose first is a ``record``: run by Python when the JIT is off, compiled into its callers
    otherwise."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        function.register(record, body)
        overloaded(function, body, lambda kind: kind is record)
        return body

    return register


def written(lines: Iterable[str], scope: dict[str, Any], name: str) -> Callable[..., Any]:
    """Return the function ``name`` that the lines define: for bodies that Numba needs written out, since it has no loop over members of
    different types. The lines are text of this package alone."""
    exec("\n".join(lines), scope)
    return scope[name]


def overloaded(function: Any, body: Callable[..., Any], wanted: Callable[[Any], bool]) -> None:
    """Compile ``body`` where ``function`` is called with a first argument whose class is ``wanted`` (None: no record)."""

    @overload(function, strict=False, jit_options={"error_model": "numpy", "no_cfunc_wrapper": True})
    def typed(*args: Any) -> Any:
        return body if wanted(getattr(args[0], "instance_class", None)) else None


def _prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [builder.bitcast(builder.gep(data, [args[1]]), byte), i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), emit


STRIDE = 16
"""Words that the vector instructions below take at a time. LLVM does not find them by itself: it unrolls loops of a known short length
before it vectorises."""


def _vector_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int = STRIDE) -> Any:
    from llvmlite import ir

    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(context.get_value_type(array_type.dtype), lanes)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _splat(builder: Any, value: Any, lanes: int = STRIDE) -> Any:
    from llvmlite import ir

    vector = builder.insert_element(ir.VectorType(value.type, lanes)(ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(vector, vector, ir.VectorType(ir.IntType(32), lanes)([0] * lanes))


def _count_below(typingctx: Any, words: Any, first: Any, limit: Any, room: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        array, first, limit, room = args
        element = ir.IntType(signature.args[0].dtype.bitwidth)
        loaded = builder.load(_vector_at(context, builder, signature.args[0], array, first), align=element.width // 8)
        limit = builder.trunc(limit, element) if element.width < 64 else limit
        below = builder.icmp_unsigned("<", loaded, _splat(builder, limit))
        i64 = ir.IntType(64)
        numbers = ir.VectorType(i64, STRIDE)(list(range(STRIDE)))
        inside = builder.icmp_signed("<", numbers, _splat(builder, room))
        mask = builder.bitcast(builder.and_(below, inside), ir.IntType(STRIDE))
        return builder.zext(builder.ctpop(mask), i64)

    return types.int64(words, types.int64, types.uint64, types.int64), emit


def _spread(typingctx: Any, words: Any, first: Any, out: Any, start: Any, field: Any, up: Any, add: Any, place: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        array, first, out, start, field, up, add, place = args
        loaded = builder.load(_vector_at(context, builder, signature.args[0], array, first), align=signature.args[0].dtype.bitwidth // 8)
        wide = ir.VectorType(ir.IntType(64), STRIDE)
        word = builder.zext(loaded, wide) if loaded.type != wide else loaded
        high = builder.shl(builder.lshr(word, _splat(builder, field)), _splat(builder, up))
        high = builder.shl(builder.add(high, _splat(builder, add)), _splat(builder, place))
        one = ir.IntType(64)(1)
        mask = _splat(builder, builder.sub(builder.shl(one, field), one))
        builder.store(builder.or_(high, builder.and_(word, mask)), _vector_at(context, builder, signature.args[2], out, start), align=8)
        return context.get_dummy_value()

    return types.void(words, types.int64, out, *[types.int64] * 5), emit


LANES = 64
"""Values that `mask_at_least` compares at a time, one bit each."""


def _mask_at_least(typingctx: Any, values: Any, first: Any, limit: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        array, first, limit = args
        dtype = signature.args[0].dtype
        loaded = builder.load(_vector_at(context, builder, signature.args[0], array, first, LANES), align=dtype.bitwidth // 8)
        compare = builder.fcmp_ordered if dtype == types.float64 else builder.icmp_signed
        return builder.bitcast(compare(">=", loaded, _splat(builder, limit, LANES)), ir.IntType(LANES))

    return types.int64(values, types.int64, values.dtype), emit


def _moebius(typingctx: Any, x: Any, i: Any, j: Any, k: Any, m: Any, a: Any, b: Any, c: Any, d: Any, most: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        data, lane = context.make_array(signature.args[0])(context, builder, args[0]).data, ir.IntType(32)
        places = [builder.gep(data, [index]) for index in args[1:5]]
        a, b, c, d, most = (_splat(builder, value, 4) for value in args[5:])
        value = a.type(ir.Undefined)
        for number, place in enumerate(places):
            value = builder.insert_element(value, builder.load(place), lane(number))
        value = builder.fdiv(builder.fadd(builder.fmul(a, value), b), builder.fadd(builder.fmul(c, value), d))
        least = builder.fsub(_splat(builder, ir.DoubleType()(0.0), 4), most)
        value = builder.select(builder.fcmp_ordered(">", least, value), least, value)
        value = builder.select(builder.fcmp_ordered("<", most, value), most, value)
        for number, place in enumerate(places):
            builder.store(builder.extract_element(value, lane(number)), place)
        return context.get_dummy_value()

    return types.void(x, *[types.uint64] * 4, *[types.float64] * 5), emit


def _lowest_bit(typingctx: Any, mask: Any) -> Any:
    return types.int64(types.int64), lambda context, builder, signature, args: builder.cttz(args[0], cgutils.true_bit)


def _allgather(typingctx: Any, address: Any, send: Any, receive: Any, datatype: Any, comm: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        address, send, receive, datatype, comm = args
        byte, i32, i64 = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        # handles are pointers or int, by the library: both are passed in a word
        kind = ir.FunctionType(i32, [byte, i32, i64, byte, i32, i64, i64]).as_pointer()
        out = context.make_array(signature.args[1])(context, builder, send)
        into = context.make_array(signature.args[2])(context, builder, receive)
        count = builder.trunc(out.nitems, i32)
        arguments = [builder.bitcast(out.data, byte), count, datatype, builder.bitcast(into.data, byte), count, datatype, comm]
        return builder.sext(builder.call(builder.inttoptr(address, kind), arguments), i64)

    return types.int64(types.int64, send, receive, types.int64, types.int64), emit


def _item_bytes(typingctx: Any, array: Any) -> Any:
    return types.int64(array), lambda context, builder, signature, args: context.get_constant(types.int64, array.dtype.bitwidth // 8)


def _float_bits(typingctx: Any, x: Any) -> Any:
    from llvmlite import ir

    return types.int64(types.float64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(64))


def _bits_float(typingctx: Any, x: Any) -> Any:
    from llvmlite import ir

    return types.float64(types.int64), lambda context, builder, signature, args: builder.bitcast(args[0], ir.DoubleType())


if ENABLED:
    prefetch, float_bits, bits_float, item_bytes = map(intrinsic, (_prefetch, _float_bits, _bits_float, _item_bytes))
    count_below, spread, allgather = intrinsic(_count_below), intrinsic(_spread), intrinsic(_allgather)
    mask_at_least, lowest_bit, moebius = intrinsic(_mask_at_least), intrinsic(_lowest_bit), intrinsic(_moebius)
else:

    def allgather(address: Any, send: Any, receive: Any, datatype: Any, comm: Any) -> Any:
        """Call the MPI_Allgather at ``address``: send an array of words of ``datatype`` to all ranks, receive as many of each; return its
        status."""
        raise NotImplementedError("only compiled code can call an address")

    def prefetch(array: Any, index: Any) -> None:
        """Ask for ``array[index]`` ahead of its use; may lie outside of the array."""

    def item_bytes(array: Any) -> Any:
        """Return the bytes of an element: a constant of the compiled code, where ``array.itemsize`` is a number that it reads."""
        return array.itemsize

    def float_bits(x: Any) -> Any:
        """Return the 64 bits of a float64 as an int64."""
        return np.float64(x).view(np.int64)

    def bits_float(x: Any) -> Any:
        """Return the float64 that has these 64 bits."""
        return np.int64(x).view(np.float64)

    def count_below(words: Any, first: Any, limit: Any, room: Any) -> Any:
        """Return how many of the STRIDE words from ``first`` on, but at most of the first ``room``, are below ``limit`` (uint64)."""
        return np.int64((words[first : first + min(STRIDE, room)] < limit).sum())

    def mask_at_least(values: Any, first: Any, limit: Any) -> Any:
        """Return an int64 whose bit k says that the value at ``first + k`` is at least ``limit``, k < LANES."""
        return np.packbits(values[first : first + LANES] >= limit, bitorder="little").view(np.int64)[0]

    def lowest_bit(mask: Any) -> Any:
        """Return the number of the lowest bit that is set; some is."""
        return np.int64((int(mask) & -int(mask)).bit_length() - 1)

    def moebius(x: Any, i: Any, j: Any, k: Any, m: Any, a: Any, b: Any, c: Any, d: Any, most: Any) -> None:
        """Replace four values of ``x``, at distinct places, by ``(a x + b) / (c x + d)``, and at most +-``most``. One division takes
        as long as four at a time."""
        for place in (i, j, k, m):
            x[place] = min(max((a * x[place] + b) / (c * x[place] + d), -most), most)

    def spread(words: Any, first: Any, out: Any, start: Any, field: Any, up: Any, add: Any, place: Any) -> None:
        """Write STRIDE words ``high << field | low`` as int64 ``((high << up) + add) << place | low``."""
        word = words[first : first + STRIDE].astype(np.int64)
        out[start : start + STRIDE] = (((word >> field) << up) + add) << place | (word & ((1 << field) - 1))
