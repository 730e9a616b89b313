"""Symplectic methods for separable Hamiltonians. A method is the weights of a composition: data, not code."""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jaxdyn._record import record, static
from jaxdyn._types import Array
from jaxdyn.about import unknown_name
from jaxdyn.methods.dependence import depends_on
from jaxdyn.methods.method import Rhs, Step

__all__ = ["Composition", "Leapfrog", "Symplectic", "Yoshida4", "Yoshida6"]


@dataclasses.dataclass(frozen=True)
class Composition:
    """Symmetric composition of leapfrog steps: their lengths in units of the whole step, and its order."""

    weights: tuple[float, ...]
    order: int

    def __post_init__(self) -> None:
        """Refuse weights that are no method, or a method that cannot be run backwards."""
        if abs(math.fsum(self.weights) - 1) > 1e-14 * sum(map(abs, self.weights)):
            raise ValueError(f"weights of a composition must add up to 1, got {math.fsum(self.weights)}")
        if self.weights != self.weights[::-1]:
            raise ValueError(f"weights of a composition must read the same backwards, got {self.weights}")


VERLET = Composition(weights=(1.0,), order=2)

# Yoshida 1990, Physics Letters A 150, 262-268: the triple jump, 1 / (2 - 2^(1/3)) outside.
_OUTER, _INNER = 1.3512071919596577, -1.7024143839193153
TRIPLE_JUMP = Composition(weights=(_OUTER, _INNER, _OUTER), order=4)

# The same, table 1, solution A, refined: the root of the four order conditions of a symmetric composition of seven
# (sums of w, w^3, w^5, and w^3 times the squared middle of the sub-step: 1, 0, 0, 0) next to the 15 printed digits.
_W0, _W1, _W2, _W3 = 1.3151863206839112, -1.177679984178871, 0.23557321335935813, 0.7845136104775573
SOLUTION_A = Composition(weights=(_W3, _W2, _W1, _W0, _W1, _W2, _W3), order=6)


@record
class Symplectic:
    """Any symmetric composition of leapfrog steps, for dq/dt = g(t, p), dp/dt = f(t, q).

    These are the equations of Hamiltonians H = T(p) + V(q), which may also depend on time. A step of the composition is
    a sequence of kicks (p moves by f) and drifts (q moves by g): an exactly symplectic map, and reversible. The energy
    of a Hamiltonian that does not depend on time then swings by O(dt^order) and does not drift, for times
    exponentially long in 1 / dt, unless dt is large.

    Parameters
    ----------
    composition
        Weights and order.
    positions
        The positions q, half of all states, by names or indices; the others are the momenta, in their order. By
        default the first half. A permutation of pairs does no harm: each state only takes its own rate.
    checked
        Whether the equations are read, while they are traced, for what the method stands on: dq/dt without q, dp/dt
        without p. The reading is cautious: it may refuse equations whose terms cancel, never pass others. False
        leaves it out; of equations that are not separable the result is then wrong, of order 0.

    Raises
    ------
    TypeError, ValueError
        For positions that are no names or indices; while tracing a run: for an odd number of states, unknown positions
        or not half of the states, and equations that are not separable.

    Notes
    -----
    A step of `Leapfrog` costs one evaluation of f and one of g, of `Yoshida4` 3, of `Yoshida6` 7: the last kick's force
    is the first of the next step. The half of the field that a kick or a drift does not use is not computed where the
    equations are compiled with the method. dt may be negative; it must not change on the way,
    or the energy drifts. Kicks are done at the times of their beginning and end, drifts at that of their middle, which
    keeps the order for driven systems.

    In single precision rounding, not the method, makes the energy walk: about eps sqrt(n_steps).

    Transforms: jit, vmap, lanes, forward and reverse derivatives.

    References
    ----------
    Verlet 1967, Physical Review 159, 98-103, doi:10.1103/PhysRev.159.98; Yoshida 1990, Physics Letters A 150, 262-268,
    doi:10.1016/0375-9601(90)90092-3; Hairer, Lubich & Wanner 2006, Geometric Numerical Integration, II.4, V.3, IX.8.

    Examples
    --------
    >>> import jax.numpy as jnp, jaxdyn
    >>> system = jaxdyn.models.pendulum(x0=[1.0, 0.0])
    >>> run = jaxdyn.trajectory(system, n_steps=100_000, dt=0.1, method=jaxdyn.Leapfrog(), save=jaxdyn.Every(1000))
    >>> energy = run.x[:, 1] ** 2 / 2 - jnp.cos(run.x[:, 0])
    >>> bool(abs(energy - energy[0]).max() < 2e-3)
    True
    """

    composition: Composition = static()
    positions: tuple[str | int, ...] | None = static(default=None)
    checked: bool = static(default=True)

    def __post_init__(self) -> None:
        """Make positions hashable."""
        if self.positions is not None:
            if isinstance(self.positions, str) or not isinstance(self.positions, Iterable):
                raise TypeError(f"positions must be several names or indices, got {self.positions!r}; write a tuple")
            object.__setattr__(self, "positions", tuple(self.positions))

    @property
    def order(self) -> int:
        """Order of convergence."""
        return self.composition.order

    def init(self, rhs: Rhs, t: Array, x: Array) -> Array:
        """First force, after a look at the equations."""
        halves = _halves(self.positions, rhs, x)
        if self.checked:
            _require_separable(rhs, t, x, halves)
        return halves.parted(rhs(t, x))[1]

    def step(self, rhs: Rhs, t: Array, x: Array, dt: Array, carry: Array) -> Step:
        """Advance `x` from `t` to `t + dt` by kicks and drifts."""
        halves = _halves(self.positions, rhs, x)
        q, p = halves.parted(x)
        weights = self.composition.weights
        ends = list(itertools.accumulate(weights))
        ends[-1] = 1.0
        force = carry
        for before, weight, end in zip((0.0, *weights), weights, ends, strict=False):
            p = p + (dt * ((before + weight) / 2)) * force
            middle = t + (end - weight / 2) * dt
            q = q + (dt * weight) * halves.parted(rhs(middle, halves.joined(q, p)))[0]
            force = halves.parted(rhs(t + end * dt, halves.joined(q, p)))[1]
        p = p + (dt * (weights[-1] / 2)) * force
        return Step(halves.joined(q, p), None, force)


@record
class Leapfrog(Symplectic):
    """Leapfrog, order 2: one force a step (Störmer-Verlet, kick-drift-kick). See `methods.Symplectic`."""

    composition: Composition = static(default=VERLET, repr=False)


@record
class Yoshida4(Symplectic):
    """Yoshida's method of order 4: three forces a step. See `methods.Symplectic`.

    Yoshida 1990, Physics Letters A 150, 262-268 (also Forest & Ruth 1990, Physica D 43, 105-117).
    """

    composition: Composition = static(default=TRIPLE_JUMP, repr=False)


@record
class Yoshida6(Symplectic):
    """Yoshida's method of order 6, his solution A: seven forces a step. See `methods.Symplectic`.

    Yoshida 1990, Physics Letters A 150, 262-268.
    """

    composition: Composition = static(default=SOLUTION_A, repr=False)


@dataclasses.dataclass(frozen=True)
class _Halves:
    """Places of positions and momenta in the state."""

    q: NDArray[Any]
    p: NDArray[Any]

    @property
    def regular(self) -> bool:
        """Whether all positions come first: slices are then enough."""
        return bool(np.array_equal(self.q, np.arange(self.q.size)))

    def parted(self, x: Array) -> tuple[Array, Array]:
        """Positions and momenta of a state, or their rates."""
        n = self.q.size
        return (x[:n], x[n:]) if self.regular else (x[self.q], x[self.p])

    def joined(self, q: Array, p: Array) -> Array:
        """The state of both."""
        whole = jnp.concatenate([q, p])
        return whole if self.regular else whole[np.argsort(np.concatenate([self.q, self.p]))]


def _halves(positions: tuple[str | int, ...] | None, rhs: Any, x: Array) -> _Halves:
    dim, name = x.shape[0], _name_of(rhs)
    if dim % 2:
        raise ValueError(f"{name} has {dim} states; a symplectic method needs as many momenta as positions: use RK4()")
    if positions is None:
        return _Halves(np.arange(dim // 2), np.arange(dim // 2, dim))
    places = np.array([_place(key, rhs, dim) for key in positions], int)
    if len(set(places.tolist())) != len(places) or len(places) != dim // 2:
        raise ValueError(
            f"{name} has {dim} states, so positions must be {dim // 2} different ones of them, got {positions}"
        )
    return _Halves(np.sort(places), np.setdiff1d(np.arange(dim), places))


def _place(key: Any, rhs: Any, dim: int) -> int:
    if isinstance(key, str):
        names = getattr(rhs, "state_names", ())
        if key not in names:
            raise TypeError(f"{_name_of(rhs)} has no state {unknown_name(key, list(names))}")
        return names.index(key)
    if isinstance(key, bool) or not isinstance(key, int | np.integer):
        raise TypeError(f"positions must be names or indices of states, got {key!r}")
    if not 0 <= key < dim:
        raise ValueError(f"{_name_of(rhs)} has {dim} states, so an index is 0 to {dim - 1}, got {key}")
    return int(key)


def _name_of(rhs: Any) -> str:
    return getattr(getattr(rhs, "about", None), "name", "the system")


def _require_separable(rhs: Rhs, t: Array, x: Array, halves: _Halves) -> None:
    names = getattr(rhs, "state_names", None) or tuple(f"x{i}" for i in range(x.shape[0]))
    words = (("position", "momenta"), ("momentum", "positions"))
    for own, (word, others) in zip((halves.q, halves.p), words, strict=True):
        depends = _mixed(rhs, t, x, own)
        if depends.any():
            wrong = names[own[depends.argmax()]]
            raise ValueError(
                f"{_name_of(rhs)} is not separable: the rate of the {word} {wrong!r} must depend "
                f"on the {others} alone; {_remedy(rhs, t, x, names)}, use RK4(), or, if terms cancel that seem to mix "
                "both, checked=False"
            )


def _mixed(rhs: Rhs, t: Array, x: Array, own: NDArray[Any]) -> NDArray[Any]:
    """Which of these states have a rate that depends on one of them."""
    return depends_on(lambda y: rhs(t, y), x, np.isin(np.arange(x.shape[0]), own))[own]


def _remedy(rhs: Rhs, t: Array, x: Array, names: tuple[str, ...]) -> str:
    """Positions that do: the first half of the states, or every other one, as of coupled copies."""
    places = np.arange(len(names))
    for q in (places[: len(names) // 2], places[::2]):
        if not (_mixed(rhs, t, x, q).any() or _mixed(rhs, t, x, np.setdiff1d(places, q)).any()):
            return f"give positions={tuple(names[i] for i in q)}"
    return "name the positions, if they are neither the first half of the states nor every other one"
