"""A flow as text: the expression of F in V, such as ``(-(V + 65) + 2 exp((V + 50) / 2)) / 10`` with ``*`` written out.

Owns what an expression may hold and what its functions are. Nothing is executed but arithmetic on arrays: sums, products, quotients,
whole powers, and functions made of them, so that a table has the same bits on every machine.
"""

import ast
from collections.abc import Callable

import numpy as np

from sparseprop_dist import quantile
from sparseprop_dist.errors import InputError
from sparseprop_dist.quantile import Floats

MOST_POWER = 64
DEEPEST = 100
"""Operations inside each other, at most: Python's own limit is near 1,000."""
HALF_PI = (1.57079632673412561417, 6.07710050650619224932e-11)
"""pi/2 in two parts, the first of 33 bits: its products with small integers are exact."""
SINE = tuple((-1.0) ** n / float(np.prod(np.arange(1.0, 2 * n + 2))) for n in range(9))
COSINE = tuple((-1.0) ** n / float(np.prod(np.arange(1.0, 2 * n + 1))) for n in range(10))
EXPM1 = tuple(1.0 / float(np.prod(np.arange(1.0, n + 2))) for n in range(14))


def _exp(x: Floats) -> Floats:
    return np.where(np.isnan(x), np.nan, quantile.exp(np.where(np.isnan(x), 0.0, x)))


def _log(x: Floats) -> Floats:
    good = (x > 0.0) & (x < np.inf)
    return np.where(good, quantile.log(np.where(good, x, 1.0)), np.where(x == np.inf, np.inf, np.where(x == 0.0, -np.inf, np.nan)))


def _sin(x: Floats, quarters: int = 0) -> Floats:
    """sin(x + quarters pi/2) for abs(x) < 1e5; beyond, where too few digits are left, nan."""
    good = np.abs(x) < 1e5
    x = np.where(good, x, 0.0)
    n = np.rint(x * (2.0 / np.pi))
    r = (x - n * HALF_PI[0]) - n * HALF_PI[1]
    sine, cosine = r * quantile.polynomial(SINE, r * r), quantile.polynomial(COSINE, r * r)
    quarter = (n.astype(np.int64) + quarters) % 4
    value = np.where(quarter % 2 == 0, sine, cosine)
    return np.where(good, np.where(quarter < 2, value, -value), np.nan)


def _cos(x: Floats) -> Floats:
    return _sin(x, 1)


def _tanh(x: Floats) -> Floats:
    """With e^(2x) - 1 by its own series near 0, where the difference would lose digits."""
    twice = np.minimum(2.0 * np.abs(x), 100.0)
    small = np.minimum(twice, 0.5)
    less = np.where(twice < 0.5, small * quantile.polynomial(EXPM1, small), _exp(twice) - 1.0)
    return np.where(np.isnan(x), np.nan, np.copysign(less / (less + 2.0), x))


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {"exp": _exp, "log": _log, "sin": _sin, "cos": _cos, "tanh": _tanh, "sqrt": np.sqrt}
OPERATIONS: dict[type, Callable[[Floats, Floats], Floats]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
ALLOWED = f"give an expression in V of numbers, + - * / **, parentheses, and {', '.join(FUNCTIONS)}"


def parsed(text: str) -> Callable[[Floats], Floats]:
    """Return F as a function of an array of potentials (mV); inf and nan where it has no finite value.

    Raises
    ------
    InputError
        for anything but numbers, V, + - * / ** and the functions; powers must be whole numbers.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        meaning = _meaning(tree, text, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f'F is "{_short(text)}", which is no expression; {ALLOWED}') from None

    def F(V: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.asarray(meaning(V), np.float64) + np.zeros_like(V)

    return F


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _wrong(node: ast.AST, text: str) -> InputError:
    return InputError(f'F is "{_short(text)}", which holds "{_short(ast.unparse(node))}"; {ALLOWED}')


def _meaning(node: ast.expr, text: str, depth: int) -> Callable[[Floats], Floats]:
    """The function that a part of the expression is."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value = float(node.value)  # type: ignore[arg-type]
        return lambda V: np.float64(value) + np.zeros_like(V)
    if isinstance(node, ast.Name) and node.id == "V":
        return lambda V: V
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _meaning(node.operand, text, depth + 1)
        return inner if isinstance(node.op, ast.UAdd) else lambda V: -inner(V)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(_meaning(node.left, text, depth + 1), node, text)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        operation = OPERATIONS[type(node.op)]
        left, right = _meaning(node.left, text, depth + 1), _meaning(node.right, text, depth + 1)
        return lambda V: operation(left(V), right(V))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        function = FUNCTIONS.get(node.func.id)
        if function is not None:
            argument = _meaning(node.args[0], text, depth + 1)
            return lambda V: function(argument(V))
    raise _wrong(node, text)


def _power(inner: Callable[[Floats], Floats], node: ast.BinOp, text: str) -> Callable[[Floats], Floats]:
    """A whole power, by products: pow of the library differs between machines."""
    given = node.right.operand if isinstance(node.right, ast.UnaryOp) and isinstance(node.right.op, ast.USub) else node.right
    exponent = given.value if isinstance(given, ast.Constant) else None
    if not isinstance(exponent, int | float) or isinstance(exponent, bool) or exponent != int(exponent) or exponent > MOST_POWER:
        raise InputError(
            f'F is "{_short(text)}", which holds "{_short(ast.unparse(node))}"; a power must be a whole number, {MOST_POWER} at most; '
            "write a ** b as exp(b * log(a))"
        )
    times, inverse = int(exponent), given is not node.right

    def power(V: Floats) -> Floats:
        base, total = inner(V), np.ones_like(V)
        for _ in range(times):
            total = total * base
        return 1.0 / total if inverse else total

    return power
