"""Primitives as expressions of C, on numbers and on vectors of lanes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdyn.engine.kernels import Unsupported
from jaxdyn.engine.native_terms import Term, c_type, literal, spread

__all__ = ["EXPRESSIONS", "expression"]


class _Expression:
    """The equation that a rule writes down: its operands, and whether any is a vector."""

    def __init__(self, terms: Sequence[Term], dtype: Any, params: dict[str, Any], needs: set[str]) -> None:
        self.terms, self.dtype, self.params, self.needs = list(terms), np.dtype(dtype), params, needs
        self.vector = any(term.vector for term in terms)
        self.texts = [term.text for term in terms]

    @property
    def of(self) -> Any:
        """Type of the operands."""
        return np.dtype(self.terms[-1].dtype)

    def is_float(self) -> bool:
        return self.of.kind == "f"

    def full(self, i: int) -> str:
        """An operand as a vector if any of them is one."""
        return spread(self.terms[i]) if self.vector else self.texts[i]

    def select(self, test: str, yes: str, no: str, dtype: Any = None) -> str:
        """One of two, both vectors if this is about vectors; the test is a mask then."""
        dtype = np.dtype(self.of if dtype is None else dtype)
        if not self.vector:
            return f"(({test}) ? ({yes}) : ({no}))"
        bits = "vb8" if dtype == np.bool_ else f"vi{8 * dtype.itemsize}"
        return f"SELECT({c_type(dtype, True)}, {bits}, ({test}), ({yes}), ({no}))"

    def test(self, text: str) -> str:
        """A comparison as a truth value."""
        return f"MASK({text})" if self.vector else f"({text})"

    def call(self, name: str, *texts: str) -> str:
        """A function of the C library."""
        if not self.is_float():
            raise Unsupported(f"{name} of integers")
        name += "f" if self.of == np.float32 else ""
        if not self.vector:
            return f"{name}({', '.join(texts)})"
        self.needs.add(f"VECTOR{len(texts)}({c_type(self.of)}, {name})")
        return f"v_{name}({', '.join(texts)})"

    def number(self, value: float) -> str:
        return literal(value, self.of).text


def expression(name: str, terms: Sequence[Term], dtype: Any, params: dict[str, Any], needs: set[str]) -> Term:
    """A primitive of terms as a term; what its text needs to be declared is added to `needs`."""
    if name not in EXPRESSIONS:
        raise Unsupported(f"{name} within a loop")
    own = _Expression(terms, dtype, params, needs)
    return Term(f"({EXPRESSIONS[name](own)})", dtype, own.vector)


def _infix(operator: str) -> Callable[[Any], str]:
    def rule(e: _Expression) -> str:
        if not any(term.vector for term in e.terms) or e.dtype == np.bool_:
            return f"{e.full(0)} {operator} {e.full(1)}"
        return f"{e.texts[0]} {operator} {e.texts[1]}"

    return rule


def _comparison(operator: str) -> Callable[[Any], str]:
    return lambda e: e.test(f"{e.full(0)} {operator} {e.full(1)}")


def _function(name: str) -> Callable[[Any], str]:
    return lambda e: e.call(name, *(e.full(i) for i in range(len(e.terms))))


def _quotient(e: _Expression) -> str:
    if not e.is_float():
        raise Unsupported("division of integers")  # by zero it would end the process
    if e.vector and not e.terms[1].vector:  # one division for all lanes, or for all steps
        return f"{e.texts[0]} * ({e.number(1)} / {e.texts[1]})"
    return f"{e.full(0)} / {e.full(1)}"


def _larger(e: _Expression, a: str, b: str, operator: str = ">") -> str:
    """The larger (or smaller) of two, nan if one is."""
    nan = f" | ({a} != {a})" if e.is_float() else ""
    return e.select(e.test(f"({a} {operator} {b}){nan}"), a, b)


def _extremum(operator: str) -> Callable[[Any], str]:
    return lambda e: _larger(e, e.full(0), e.full(1), operator)


def _clamped(e: _Expression) -> str:
    least, x, most = (e.full(i) for i in range(3))
    return _larger(e, _larger(e, x, least), most, "<")


def _integer_power(e: _Expression) -> str:
    x, exponent = e.texts[0], e.params["y"]
    if exponent == 0:
        return e.number(1) if not e.vector else spread(literal(1, e.of))
    if exponent < 0 and not e.is_float():
        raise Unsupported("negative powers of integers")
    product, power, rest = "", x, abs(exponent)
    while rest:
        if rest & 1:
            product = f"{product} * {power}" if product else power
        rest >>= 1
        if rest:
            power = f"({power} * {power})"
    return product if exponent > 0 else f"{e.number(1)} / ({product})"


def _power(e: _Expression) -> str:
    """A whole exponent is converted, as XLA does."""
    base, exponent = e.terms
    if np.dtype(exponent.dtype).kind in "iu":
        exponent = expression("convert_element_type", [exponent], base.dtype, {}, e.needs)
    powers = _Expression([base, exponent], e.dtype, e.params, e.needs)
    return powers.call("pow", powers.full(0), powers.full(1))


def _size(e: _Expression) -> str:
    x = e.texts[0]
    if not e.is_float():
        return e.select(e.test(f"{x} < 0"), f"-{x}", x) if e.of.kind == "i" else x
    if not e.vector:
        return e.call("fabs", x)
    bits = f"vi{8 * e.of.itemsize}"
    return f"({c_type(e.of, True)})(({bits}){x} & {np.iinfo(f'int{8 * e.of.itemsize}').max})"


def _sign(e: _Expression) -> str:
    x = e.full(0)
    one, minus = (
        spread(literal(k, e.of)) if e.vector else literal(k, e.of).text for k in (1, -1 if e.of.kind != "u" else 0)
    )
    below = e.select(e.test(f"{x} < 0"), minus, x)
    return e.select(e.test(f"{x} > 0"), one, below)


def _negation(e: _Expression) -> str:
    if e.of == np.bool_ and not e.vector:
        return f"!{e.texts[0]}"
    return f"~{e.texts[0]}"


def _choice(e: _Expression) -> str:
    which, *cases = e.terms
    if which.dtype != np.bool_ or len(cases) != 2:
        raise Unsupported("select_n among several within a loop")
    if not which.vector:
        return f"{which.text} ? {e.full(2)} : {e.full(1)}"
    return e.select(which.text, e.full(2), e.full(1))


def _converted(e: _Expression) -> str:
    new, old, x = e.dtype, e.of, e.texts[0]
    if new == old:
        return x
    if new == np.bool_:
        return e.test(f"{x} != 0")
    if old == np.bool_ and e.vector:
        return f"__builtin_convertvector(-({x}), {c_type(new, True)})"
    if old.kind == "f" and new.kind in "iu":
        limits = np.iinfo(new)
        least = "INT64_MIN" if limits.min == np.iinfo(np.int64).min else str(limits.min)
        most = f"{limits.max}{'ULL' if limits.max > np.iinfo(np.int64).max else ''}"
        e.needs.add(f"WHOLE({c_type(old)}, {c_type(new)}, {least}, {most})")
        return f"{'v_' if e.vector else ''}{c_type(old)}_{c_type(new)}({x})"
    if e.vector:
        return f"__builtin_convertvector({x}, {c_type(new, True)})"
    return f"({c_type(new)}){x}"


def _same_bits(e: _Expression) -> str:
    if e.dtype == e.of:
        return e.texts[0]
    if e.dtype.itemsize != e.of.itemsize or np.bool_ in (e.dtype, e.of) or not e.vector:
        raise Unsupported("bitcast_convert_type of a number within a loop")
    return f"({c_type(e.dtype, True)}){e.texts[0]}"


def _shift(operator: str, kinds: str) -> Callable[[Any], str]:
    """Shift of numbers of these kinds, which C does as XLA; by as many bits as there are nothing is left."""

    def rule(e: _Expression) -> str:
        if e.of.kind not in kinds:
            raise Unsupported(f"{operator} of {e.of} within a loop")
        bits = 8 * e.of.itemsize
        x, by, zero = e.full(0), e.full(1), literal(0, e.of)
        inside = e.test(f"{by} < {bits}" if e.of.kind == "u" else f"({by} >= 0) & ({by} < {bits})")
        return e.select(inside, f"{x} {operator} ({by} & {bits - 1})", spread(zero) if e.vector else zero.text)

    return rule


def _rounded(e: _Expression) -> str:
    return e.call("round" if int(e.params["rounding_method"]) == 0 else "rint", e.full(0))


def _finite(e: _Expression) -> str:
    infinity = "INFINITY" if e.of == np.float32 else "(f64)INFINITY"
    return e.test(f"({_size(e)}) < {infinity}")


def _logistic(e: _Expression) -> str:
    return f"{e.number(1)} / ({e.number(1)} + {e.call('exp', f'-{e.full(0)}')})"


FUNCTIONS = dict.fromkeys(
    """acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 floor log log1p sin sinh sqrt
    tan tanh""".split()
) | {"rem": "fmod"}

EXPRESSIONS: dict[str, Callable[[Any], str]] = {
    **{name: _function(named or name) for name, named in FUNCTIONS.items()},
    "abs": _size,
    "add": _infix("+"),
    "add_any": _infix("+"),
    "and": _infix("&"),
    "bitcast_convert_type": _same_bits,
    "clamp": _clamped,
    "convert_element_type": _converted,
    "copy": lambda e: e.texts[0],
    "copy_p": lambda e: e.texts[0],
    "div": _quotient,
    "eq": _comparison("=="),
    "ge": _comparison(">="),
    "gt": _comparison(">"),
    "integer_pow": _integer_power,
    "is_finite": _finite,
    "le": _comparison("<="),
    "logistic": _logistic,
    "lt": _comparison("<"),
    "max": _extremum(">"),
    "min": _extremum("<"),
    "mul": _infix("*"),
    "ne": _comparison("!="),
    "neg": lambda e: f"-{e.texts[0]}",
    "not": _negation,
    "or": _infix("|"),
    "pow": _power,
    "round": _rounded,
    "rsqrt": lambda e: f"{e.number(1)} / {e.call('sqrt', e.full(0))}",
    "select_n": _choice,
    "shift_left": _shift("<<", "iu"),
    "shift_right_logical": _shift(">>", "u"),
    "sign": _sign,
    "square": lambda e: f"{e.texts[0]} * {e.texts[0]}",
    "stop_gradient": lambda e: e.texts[0],
    "sub": _infix("-"),
    "xor": _infix("^"),
}
"""C text of each primitive that acts on each number by itself."""
