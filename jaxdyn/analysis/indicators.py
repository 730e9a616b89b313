"""Indicators of chaos of one orbit, all from one run of deviation vectors."""

import functools

import jax
import jax.numpy as jnp

from jaxdyn._record import detail, labelled, record
from jaxdyn._types import Array, ArrayLike, Float, Int, whole_number
from jaxdyn.analysis.batches import number_of_vectors
from jaxdyn.analysis.deviation import deviation_course
from jaxdyn.analysis.tangent import require_forward
from jaxdyn.errors import Status
from jaxdyn.methods import Method
from jaxdyn.steps import method_of, require_countable, resolve_steps
from jaxdyn.system import System

__all__ = ["ChaosIndicators", "chaos_indicators"]

N_RUNNING = 32
"""Values of each indicator that are kept on the way, unless the caller asks for others."""


@record
class ChaosIndicators:
    """Indicators of chaos of one orbit."""

    log_sali: Float[Array, ""] | None = labelled(words="log SALI")
    """Natural logarithm of SALI, the smaller alignment index of the first two vectors, in [0, sqrt(2)]; None with one
    vector."""
    log_gali: Float[Array, " order"] | None = labelled("order", words="log GALI")
    """Natural logarithms of GALI_2, GALI_3, ..., GALI_k, the generalized alignment indices, in [0, 1]; None with one
    vector."""
    fli: Float[Array, ""] = labelled(words="fast Lyapunov indicator")
    """Fast Lyapunov indicator: natural logarithm of the largest length that the first vector, 1 at first, has had."""
    mean_megno: Float[Array, ""] = labelled(words="mean MEGNO")
    """Mean over time of the mean exponential growth factor of nearby orbits, MEGNO."""
    exponent: Float[Array, ""] = labelled(words="largest Lyapunov exponent", unit="rate")
    """Mean growth rate of the first vector, 1/time (per step for maps): the largest Lyapunov exponent in the limit."""
    status: Int[Array, ""] = labelled()
    """NON_FINITE if the trajectory left the finite numbers, or a vector vanished (a superstable orbit)."""
    running_log_gali: Float[Array, "block order"] | None = detail("block", "order", words="running log GALI")
    """`log_gali` after each block of steps."""
    running_fli: Float[Array, " block"] = detail("block", words="running fast Lyapunov indicator")
    """`fli` after each block of steps."""
    running_mean_megno: Float[Array, " block"] = detail("block", words="running mean MEGNO")
    """`mean_megno` after each block of steps."""
    running_time: Float[Array, " block"] = detail("block", words="time of the vectors", unit="time")
    """Time since the start of the vectors, time units (steps for maps)."""
    x: Float[Array, " dim"] = detail("state", words="last state")
    """Last state."""


def chaos_indicators(
    system: System,
    *,
    n_steps: int,
    dt: ArrayLike | None = None,
    n_transient: int = 0,
    n_vectors: int | None = None,
    running_every: int | None = None,
    method: Method | None = None,
) -> ChaosIndicators:
    """SALI, GALI_2 to GALI_k, FLI and MEGNO of one orbit, from one run of k deviation vectors.

    GALI_k is the volume that k vectors of length 1 span, SALI = min(|w1 + w2|, |w1 - w2|), FLI the logarithm of the
    largest length of w1, and MEGNO is Y(t) = (2 / t) times the integral of s d log|w1(s)| from 0 to t, for maps (2 / n)
    times the sum of j log(|w_j| / |w_{j-1}|).

    Parameters
    ----------
    system
        Flow or map, from its start `system.x0` at t = 0.
    n_steps
        Steps of the deviation vectors, static.
    dt
        Step of a flow, time units, positive. Maps take none.
    n_transient
        Steps of the trajectory alone before, static.
    n_vectors
        Number k of vectors, static, at most the dimension; default 2 (1 in one dimension).
    running_every
        Steps between two running values, static; by default there are 32 to 63 of them, in runs of fewer steps than 32
        one after each step. Steps that fill no block come first, within the first value's.
    method
        `RK4()` by default; maps are iterated.

    Returns
    -------
    ChaosIndicators
        log_sali, fli, mean_megno, exponent and status (); log_gali (k - 1,); running values (n_steps //
        running_every,), of log_gali with a second axis (k - 1,); x (dim,).

    Raises
    ------
    TypeError, ValueError
        While tracing, if numbers of steps or vectors do not fit.

    Notes
    -----
    ============  ====================================================  =========================================
    indicator     chaotic orbit                                         quasiperiodic orbit
    ============  ====================================================  =========================================
    SALI, GALI_2  exp(-(lambda_1 - lambda_2) t)                         of order 1 on tori; t^-2 on closed curves
    GALI_k        exp(-[(k - 1) lambda_1 - lambda_2 - ... - lambda_k]t) see below
    FLI           lambda_1 t                                            log t
    mean MEGNO    lambda_1 t / 2                                        2
    ============  ====================================================  =========================================

    On an s-dimensional torus of a Hamiltonian flow with N degrees of freedom or of a 2N-dimensional symplectic map, 2
    <= s <= N, GALI_k stays of order 1 for k <= s, decays as t^-(k - s) for s < k <= 2N - s and as t^-2(k - N) beyond;
    on an invariant curve of a map of the plane GALI_2 ~ t^-2. So the largest k with a constant GALI_k is the dimension
    of the torus.

    The vectors start in fixed orthonormal directions in no special position and are followed through a QR
    decomposition: the logarithms keep their digits when the vectors are parallel to rounding, and nothing overflows.
    For flows the integrals of MEGNO are sums over the steps, of second order in `dt`.

    Where they mislead: (1) None has a threshold that a theorem gives. Usual for SALI is 1e-8, for chaos in flows and
    symplectic maps of four or more dimensions; in maps of the plane order is t^-2, so compare with that. FLI only
    compares orbits of one time. A mean MEGNO between 2 and 3 may be weak chaos or a regular orbit near a separatrix:
    only a longer run tells. (2) Sticky chaotic orbits look regular until they leave the island. (3) SALI and GALI see
    differences of exponents, not their sign: an attracting fixed point or cycle aligns vectors as chaos does (see the
    sign of `exponent`), two equal largest exponents hide chaos from SALI (not from GALI_3), a saddle counts as chaotic.
    (4) FLI keeps what a short early growth gave: strong transient growth at a stable state looks like weak chaos. (5)
    The 2 of MEGNO needs a twist: on isochronous motion or at a stable periodic orbit the vector does not grow, and it
    tends to 0, at an attracting state to minus infinity; growth as t^p gives 2 p.

    `exponent` has no error here, see `maximal_lyapunov`. Transforms: jit, vmap, lanes, sweep. Memory O(k dim).

    References
    ----------
    SALI: Skokos 2001, Journal of Physics A 34, 10029-10043, doi:10.1088/0305-4470/34/47/309. GALI: Skokos, Bountis &
    Antonopoulos 2007, Physica D 231, 30-54, doi:10.1016/j.physd.2007.04.004; 2008, European Physical Journal Special
    Topics 165, 5-14, doi:10.1140/epjst/e2008-00844-2 (tori of lower dimension). FLI: Froeschlé, Lega & Gonczi 1997,
    Celestial Mechanics and Dynamical Astronomy 67, 41-62, doi:10.1023/A:1008276418601. MEGNO: Cincotta & Simó 2000,
    Astronomy and Astrophysics Supplement Series 147, 205-228, doi:10.1051/aas:2000108; maps: Cincotta, Giordano & Simó
    2003, Physica D 182, 151-178, doi:10.1016/S0167-2789(03)00103-9.

    Examples
    --------
    >>> import jaxdyn
    >>> found = jaxdyn.chaos_indicators(jaxdyn.models.standard_map(k=5.0, x0=[0.1, 6.0]), n_steps=10_000)
    >>> round(float(found.exponent), 1), float(found.mean_megno) > 100, float(found.log_sali) < -1000
    (1.0, True, True)
    """
    require_forward(dt)
    n_steps, dt = resolve_steps(system, whole_number(n_steps, "n_steps"), None, dt)
    k = number_of_vectors(min(2, system.dim) if n_vectors is None else n_vectors, "n_vectors", system)
    block = max(1, n_steps // N_RUNNING) if running_every is None else whole_number(running_every, "running_every")
    if block > n_steps:
        raise ValueError(f"running_every={block} must be at most n_steps={n_steps}")
    counts = whole_number(n_transient, "n_transient", least=0), n_steps, block, k
    require_countable(counts[0] + n_steps)
    return _indicators(system, method_of(system, method), dt, counts)


@functools.partial(jax.jit, static_argnames="counts")
def _indicators(system: System, method: Method, dt: Array, counts: tuple[int, int, int, int]) -> ChaosIndicators:
    course, x = deviation_course(system, method, dt, counts)
    k = counts[-1]
    log_gali = course.log_gali[-1]
    # Maxima may skip nan.
    fli = jnp.where(jnp.isnan(course.growth), jnp.nan, course.largest_growth)
    known = ~jnp.any(jnp.isnan(course.growth) | jnp.isnan(course.mean_megno)) & jnp.all(jnp.isfinite(x))
    known &= ~jnp.any(jnp.isnan(course.log_gali))
    return ChaosIndicators(
        log_sali=_log_sali(log_gali[0]) if k > 1 else None,
        log_gali=log_gali if k > 1 else None,
        fli=fli[-1],
        mean_megno=course.mean_megno[-1],
        exponent=course.growth[-1] / course.time[-1],
        status=jnp.where(known, int(Status.OK), int(Status.NON_FINITE)).astype(jnp.int8),
        running_log_gali=course.log_gali if k > 1 else None,
        running_fli=fli,
        running_mean_megno=course.mean_megno,
        running_time=course.time,
        x=x,
    )


def _log_sali(log_gali_2: Array) -> Array:
    """Logarithm of SALI = 2 sin(angle / 2) from that of GALI_2 = sin(angle), without cancellation."""
    sine = jnp.exp(log_gali_2)
    return log_gali_2 + 0.5 * jnp.log(2 / (1 + jnp.sqrt(jnp.maximum(1 - sine * sine, 0))))
