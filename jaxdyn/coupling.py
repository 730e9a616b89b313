"""Copies of one system, coupled along the links of a graph."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn._arrays import given_dtype, like, stacked
from jaxdyn._record import record, static
from jaxdyn._types import Array, ArrayLike, is_concrete, matmul
from jaxdyn.about import About, Symbol, unknown_name
from jaxdyn.stochastic import SDE, SEED
from jaxdyn.system import System, require_system

__all__ = ["coupled"]

_S = TypeVar("_S", bound=System)

# Pairs of copies whose differences are written out: no sum of large numbers then cancels.
WRITTEN_OUT = 64


def coupled(
    system: _S,
    adjacency: ArrayLike | Sequence[Any],
    *,
    strength: ArrayLike = 1.0,
    through: Any = None,
    individual: str | Sequence[str] | Mapping[str, Any] = (),
    names: tuple[str, str] = ("coupling", "adjacency"),
) -> _S:
    """Copies of one system on a graph, each drawn towards its neighbors: diffusive coupling.

    Flows: x_i' = f(t, x_i, p_i) + strength sum_j A_ij H (x_j - x_i). Maps: x_i+ = f(x_i) + strength sum_j A_ij
    H (f(x_j) - f(x_i)), the coupled map lattice: a ring with A_ij = 1/2 is Kaneko's (1 - e) f(x_i) + e (f(x_{i-1}) +
    f(x_{i+1})) / 2.

    Parameters
    ----------
    system
        Flow or map: one copy.
    adjacency
        (n, n) weights A, finite: row i holds what copy i receives, A[i, j] from copy j. Any sign, directed graphs too
        (a graph of NetworkX has them transposed). Its diagonal is 0.
    strength
        Factor of the coupling, a number; for flows 1/time.
    through
        H, which states are coupled: None for all; the name of a state or several, each to itself; weights by name
        `{"v": 1.0, "w": 0.1}`; or a matrix (dim, dim), H[a, b] the effect of a difference in state b on the rate of
        state a, so that springs between positions act on velocities. Numbers, known while tracing.
    individual
        Parameters that differ from copy to copy: names, which begin with equal values, or values by name, with a
        leading axis of length n: `{"I": [0.3, 0.5, 0.4]}`.
    names
        Of the two new parameters, the strength and A, which can be replaced, swept and differentiated like any others.

    Returns
    -------
    System
        Of the same kind with n dim states, one copy after the other: `v_0, w_0, v_1, w_1, ...`
        (`x.reshape(n, dim)` has one row a copy). All copies start at the start of `system`; of a stochastic one each
        has noise of its own.

    Raises
    ------
    TypeError
        For what is no system or a stochastic one, unknown states or parameters, or what is no number.
    ValueError
        For an A that is not square, has fewer than two copies, entries that are not finite or a diagonal (which would
        do nothing: x_i - x_i = 0); wrong shapes; or names that are taken.

    Notes
    -----
    Without noise copies that are equal, also in their parameters, stay equal to the last bit: an orbit from equal
    starts never leaves the synchronous state, stable or not. Give them starts of their own, by `with_state(v_1=0.1)` or
    of all, `with_state(x)`. Up to 8 copies differences are taken one by one; of more, A is multiplied with the
    distances from copy 0, one matrix product for all lanes that share A.

    Small departures from the synchronous state obey d' = (J(t) - strength gamma_k H) d with the eigenvalues gamma_k of
    the Laplacian diag(sum_j A_ij) - A (the master stability function; Pecora and Carroll 1998).

    References
    ----------
    Pecora & Carroll 1998, Physical Review Letters 80, 2109-2112, doi:10.1103/PhysRevLett.80.2109; Kaneko 1984, Progress
    of Theoretical Physics 72, 480-486, doi:10.1143/PTP.72.480.

    Examples
    --------
    >>> import jaxdyn
    >>> neuron = jaxdyn.models.fitzhugh_nagumo()
    >>> pair = jaxdyn.coupled(neuron, [[0, 1], [1, 0]], strength=0.1, through="v", individual={"I": [0.0, 0.5]})
    >>> pair.state_names, list(pair.params)
    (('v_0', 'w_0', 'v_1', 'w_1'), ['a', 'b', 'tau', 'I', 'coupling', 'adjacency'])
    """
    require_system(system)
    matrix = _adjacency(adjacency, system)
    if isinstance(names, str) or len(names) != 2:
        raise ValueError(f"names must be two, of the strength and of the adjacency, got {names!r}")
    n, names = matrix.shape[0], (names[0], names[1])
    params, differing = _parameters(system, individual, n)
    for name, what in zip(names, ("strength", "adjacency"), strict=True):
        if name in params or names[0] == names[1] or not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(
                f"{system.about.name} cannot take {name!r} for the {what}: parameters need different names, Python "
                f"identifiers, beside {list(system.params)}; give names=(strength, adjacency)"
            )
    zero = jnp.zeros((), system.dtype)
    params |= {names[0]: like(strength, zero, "strength"), names[1]: matrix}
    if is_concrete(strength) and not np.isfinite(strength):
        raise ValueError(f"strength must be one finite number, got {strength!r}")
    noise = {"diffusion": _CoupledNoise(system.diffusion, (), differing, names, n)} if isinstance(system, SDE) else {}
    return dataclasses.replace(
        system,
        **noise,
        field=_Coupled(system.field, _entries(through, system), differing, names, n, system.discrete),
        params=params,
        x0=jnp.tile(system.x0, n),
        state_names=tuple(f"{name}_{i}" for i in range(n) for name in system.state_names),
        about=_words(system, n, names),
    )


def _adjacency(given: Any, system: System) -> Array:
    if given_dtype(given).kind not in "fiub":
        raise TypeError(f"adjacency must be a dense array of numbers, got {type(given).__name__}")
    if hasattr(given, "toarray"):
        raise TypeError(f"adjacency must be a dense array, got {type(given).__name__}; give its .toarray()")
    matrix = jnp.asarray(given, system.dtype)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < 2:
        raise ValueError(f"adjacency must be (n, n) with n >= 2 copies, got shape {matrix.shape}")
    if is_concrete(given):  # not the matrix, which within jit is traced
        values = np.asarray(given)
        if not np.all(np.isfinite(values)):
            i, j = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(f"adjacency must be finite, got {values[i, j]} at [{i}, {j}]")
        if np.any(np.diagonal(values)):
            i = int(np.flatnonzero(np.diagonal(values))[0])
            raise ValueError(
                f"adjacency has {values[i, i]:g} at [{i}, {i}]: no copy acts on itself under diffusive coupling; set "
                "the diagonal to 0"
            )
    return matrix


def _parameters(system: System, individual: Any, n: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Parameters of all copies, and the names of those with an axis of copies."""
    if not isinstance(individual, Iterable):
        raise TypeError(f"individual must be names of parameters, or values by name, got {individual!r}")
    chosen: tuple[str, ...] = (individual,) if isinstance(individual, str) else tuple(dict.fromkeys(individual))
    params = dict(system.params)
    for name in chosen:
        if name not in params:
            raise TypeError(f"{system.about.name} has no parameter {unknown_name(str(name), list(params))}")
        if name == SEED and isinstance(system, SDE):
            raise TypeError("copies have noise of their own with one seed of all; leave 'seed' out of individual")
        repeated = jnp.broadcast_to(params[name], (n, *params[name].shape))
        if isinstance(individual, Mapping):
            if given_dtype(individual[name]).kind == "O" or np.shape(individual[name]) != repeated.shape:
                raise ValueError(
                    f"individual parameter {name!r} must have shape {repeated.shape}, one value for each of the {n} "
                    f"copies, got {individual[name]!r}"
                )
            repeated = like(individual[name], repeated, f"parameter {name!r}")
        params[name] = repeated
    return params, chosen


def _entries(through: Any, system: System) -> tuple[tuple[int, int, float], ...]:
    """What is not zero in H: row, column, value."""
    names, dim = system.state_names, system.dim
    if through is None:
        return tuple((i, i, 1.0) for i in range(dim))
    if not is_concrete(through):
        raise TypeError("through must be known while tracing; sweep the strength, or the adjacency matrix")
    if isinstance(through, str):
        through = (through,)
    if not isinstance(through, Mapping) and not _is_names(through):
        matrix = np.asarray(through, object if given_dtype(through).kind == "O" else None)
        if matrix.dtype.kind not in "fiub" or matrix.shape != (dim, dim) or not np.all(np.isfinite(matrix)):
            raise ValueError(
                f"through must be names of states, {{name: weight}} or a finite matrix ({dim}, {dim}), got {through!r}"
            )
        found = tuple((int(a), int(b), float(matrix[a, b])) for a, b in np.argwhere(matrix))
    else:
        weights = dict(through) if isinstance(through, Mapping) else dict.fromkeys(through, 1.0)
        for name, weight in weights.items():
            if name not in names:
                raise TypeError(f"{system.about.name} has no state {unknown_name(str(name), list(names))}")
            if np.shape(weight) != () or np.asarray(weight).dtype.kind not in "fiu" or not np.isfinite(weight):
                raise ValueError(f"the weight of state {name!r} must be one finite number, got {weight!r}")
        found = tuple((names.index(name), names.index(name), float(weight)) for name, weight in weights.items())
    if not any(value for *_, value in found):
        raise ValueError(f"through={through!r} couples nothing; name a state, known: {', '.join(names)}")
    return found


def _is_names(through: Any) -> bool:
    return isinstance(through, Sequence) and all(isinstance(name, str) for name in through)


def _words(system: System, n: int, names: tuple[str, str]) -> About:
    """Words about the copies: states are families, and what is known of one copy is not known of all."""
    about = system.about
    rate = "1" if system.discrete or about.time_unit == "1" else f"1/{about.time_unit}"
    symbols = ((name, about.symbol(name)) for name in system.state_names)
    families = (
        dataclasses.replace(symbol, name=f"{name}_0 ... {name}_{n - 1}", default=None)
        for name, symbol in symbols
        if symbol
    )
    added = (
        Symbol(names[0], "strength of the coupling between copies", unit=rate),
        Symbol(names[1], "weights of the links, one row a copy that receives"),
    )
    return dataclasses.replace(
        about,
        title=f"{n} coupled copies of: {about.title or about.name}",
        states=tuple(families),
        params=(*about.params, *added),
        known=(),
    )


@record
class _Coupled:
    field: Callable[..., Any]
    entries: tuple[tuple[int, int, float], ...] = static()
    individual: tuple[str, ...] = static()
    names: tuple[str, str] = static()
    n: int = static()
    discrete: bool = static(default=False)
    held: bool = static(default=False)
    """Whether the field has an axis of copies, as after `during_step`."""

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        states = x.reshape(self.n, -1)
        own = self._own(params)
        axes = (0 if self.held else None, 0, self._axes(own))
        rates = jax.vmap(lambda field, s, p: stacked(field(t, s, p), x.dtype), in_axes=axes)(self.field, states, own)
        strength, adjacency = (params[name] for name in self.names)
        sources = sorted({b for _, b, _ in self.entries})
        given = rates if self.discrete else states
        drawn = _differences(adjacency, jnp.stack([given[:, b] for b in sources], axis=1))
        effects: dict[int, Any] = {}
        for a, b, weight in self.entries:
            term = drawn[:, sources.index(b)]
            term = term if weight == 1 else weight * term
            effects[a] = effects[a] + term if a in effects else term
        parts = [rates[:, a] + strength * effects[a] if a in effects else rates[:, a] for a in range(states.shape[1])]
        return jnp.stack(parts, axis=1).reshape(-1)

    def _own(self, params: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in params.items() if name not in self.names}

    def _axes(self, own: dict[str, Any]) -> dict[str, int | None]:
        return {name: 0 if name in self.individual else None for name in own}

    def during_step(self, t: Any, params: dict[str, Any]) -> "_Coupled":
        """Return this field with sampled inputs of every copy held at their value at `t`."""
        hold = getattr(self.field, "during_step", None)
        if hold is None:
            return self
        own = self._own(params)
        field = jax.vmap(lambda p: hold(t, p), in_axes=(self._axes(own),), axis_size=self.n)(own)
        return dataclasses.replace(self, field=field, held=True)


@record
class _CoupledNoise(_Coupled):
    """Diffusion of all copies: each has Wiener processes of its own, and the coupling adds nothing."""

    def __call__(self, t: Any, x: Array, params: dict[str, Any]) -> Array:
        states, own = x.reshape(self.n, -1), self._own(params)

        def of_one(diffusion: Callable[..., Any], s: Array, p: dict[str, Any]) -> Array:
            b = stacked(diffusion(t, s, p), x.dtype)
            return jnp.broadcast_to(b, s.shape) if jnp.ndim(b) == 0 else b

        axes = (0 if self.held else None, 0, self._axes(own))
        b = jax.vmap(of_one, in_axes=axes)(self.field, states, own)
        if b.ndim == 2:
            return b.reshape(-1)
        is_own = jnp.eye(self.n, dtype=bool)[:, None, :, None]
        return jnp.where(is_own, b[:, :, None, :], 0).reshape(x.shape[0], -1)


def _differences(adjacency: Array, values: Array) -> Array:
    """Sum over j of A_ij (y_j - y_i) of states (n, k) of all copies; zero to the last bit where all are equal."""
    if adjacency.size <= WRITTEN_OUT:
        return jnp.sum(adjacency[:, :, None] * (values[None, :, :] - values[:, None, :]), axis=1)
    distances = values - values[:1]
    return matmul(adjacency, distances) - jnp.sum(adjacency, axis=1)[:, None] * distances
