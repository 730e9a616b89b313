"""Speed of the largest exponents of random networks over their gain, against the matrix products alone."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contest import Contender, Program, Task, Unavailable, contest
from ensembles import Ensemble, Values, size
from jax import lax
from rivals import plain_jax, with_lyapax
from spectra import jaxdyn_lanes, jaxdyn_sweep, transient

import jaxdyn

PRODUCTS = ("products alone, JAX", "products alone, BLAS")


def network(n: int, n_lanes: int, n_steps: int) -> Ensemble:
    """Random network, swept over its gain; all lanes share the coupling, so that their products are one of matrices."""
    system = jaxdyn.models.random_rnn(n=n, dtype=jnp.float32)
    coupling = jnp.asarray(system.params["J"])

    def rate(x: jax.Array, p: dict[str, Any]) -> jax.Array:
        return -x + p["g"] * (coupling @ jnp.tanh(x))

    return Ensemble(
        title=f"network of {n} neurons",
        system=system,
        rate=rate,
        components=lambda x, p: x,
        swept={"g": (1.2, 3.0)},
        kernel="",
        shared=(),
        method="RK4",
        dt=0.05,
        n_steps=n_steps,
        n_lanes=n_lanes,
        n_check=20,
        # Means over one time unit of growth whose roundings are those of sums of n products, once in every stage of
        # every step; distances of the states grow little in that time.
        tolerance=n_steps * 4 * n**0.5 * float(np.finfo(np.float32).eps),
    )


def products(problem: Ensemble, k: int, values: Values, n_steps: int, *, blas: bool = False) -> dict[str, Program]:
    """The matrix products of the method alone, (n, n) by (n, lanes (1 + k)) four times a step, by JAX or by BLAS."""
    if blas and jax.default_backend() != "cpu":
        raise Unavailable("runs on the host's cores, not on the device")
    coupling = np.asarray(problem.system.params["J"])
    n, columns = len(coupling), size(values) * (1 + k)
    vectors = np.random.default_rng(0).standard_normal((n, columns)).astype(np.float32)
    out = np.empty_like(vectors)

    def by_blas() -> Any:
        for _ in range(4 * n_steps):
            np.matmul(coupling, vectors, out=out)
        return out

    @jax.jit
    def by_jax(a: jax.Array, x: jax.Array) -> jax.Array:
        # The radius of J's spectrum is about 1: what is multiplied again and again stays of its size.
        return lax.fori_loop(0, 4 * n_steps, lambda _, y: jnp.matmul(a, y, precision="highest"), x)

    if blas:
        return {"NumPy": by_blas}
    return {"JAX": functools.partial(by_jax, jnp.asarray(coupling), jnp.asarray(vectors))}


def with_numpy(
    problem: Ensemble, frame: np.ndarray[Any, Any], qr_every: int, values: Values, n_transient: int, n_steps: int
) -> dict[str, Program]:
    """The method in NumPy, all lanes in one product: (n, lanes, 1 + k) states and tangent vectors."""
    coupling, dt = np.asarray(problem.system.params["J"]), np.float32(problem.dt)
    gains, k = values["g"].astype(np.float32)[:, None], len(frame)
    start = np.concatenate([problem.x0[None], frame]).astype(np.float32).T

    def rate(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        active = np.tanh(y[..., :1])
        inside = np.concatenate([active, (1 - active * active) * y[..., 1:]], axis=-1)
        return gains * (coupling @ inside.reshape(len(coupling), -1)).reshape(y.shape) - y

    def run() -> Any:
        y = np.repeat(start[:, None, :], len(gains), axis=1)
        growth = np.zeros((len(gains), k))
        for step in range(n_transient + n_steps):
            k1 = rate(y)
            k2 = rate(y + dt / 2 * k1)
            k3 = rate(y + dt / 2 * k2)
            k4 = rate(y + dt * k3)
            y = y + dt / 6 * (k1 + 2 * (k2 + k3) + k4)
            if (step + 1) % qr_every == 0:
                q, r = np.linalg.qr(y[..., 1:].transpose(1, 0, 2))
                y[..., 1:] = q.transpose(1, 0, 2)
                if step >= n_transient:
                    growth += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        return growth / (n_steps * dt)

    return {"whole batch": run}


def networks(k: int, *, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Times of everybody for the `k` largest exponents of the networks, orthonormalized every ten steps."""
    problem = network(*(64, 8, 20) if smoke else (500, 64, 100))
    n_steps, qr_every, dim = problem.n_steps, 2 if smoke else 10, problem.system.dim
    # jaxdyn's own start of the frame, so that results agree before the frame has found its directions.
    vectors = jax.random.normal(jax.random.key(0), (k, dim), jnp.float32)
    frame = np.linalg.qr(np.asarray(vectors).T)[0].T
    options = {"n_exponents": k, "qr_every": qr_every}

    def of(programs: Any, *given: Any, **options: Any) -> Contender:
        def made(values: Values, n_transient: int, n_steps: int) -> dict[str, Program]:
            return programs(problem, values, n_transient, n_steps, *given, **options)

        return Contender(functools.partial(transient, made))

    def by_numpy(problem: Ensemble, values: Values, n_transient: int, n_steps: int) -> dict[str, Program]:
        return with_numpy(problem, frame, qr_every, values, n_transient, n_steps)

    field = {
        "jaxdyn.sweep": Contender(functools.partial(jaxdyn_sweep, problem, options)),
        "jaxdyn.lanes": Contender(functools.partial(jaxdyn_lanes, problem, options)),
        PRODUCTS[0]: Contender(functools.partial(products, problem, k)),
        PRODUCTS[1]: Contender(functools.partial(products, problem, k, blas=True)),
        "vmap, jnp.linalg.qr": of(plain_jax.spectra, frame, qr_every=qr_every),
        "NumPy": of(by_numpy),
        "lyapax": of(with_lyapax.spectra, k=k, qr_every=qr_every),
    }
    task = Task(problem.values(problem.n_lanes), n_steps)
    flops = 4 * 2 * dim * dim * (1 + k) * n_steps
    result = contest(
        field,
        task,
        check=task if smoke else Task(problem.values(8), n_steps),
        agree=functools.partial(same_exponents, tolerance=problem.tolerance, one=k == 1),
        repetitions=repetitions,
        work_per_lane=n_steps,
        tune=not smoke,
    )
    for row in result["contenders"].values():
        row["product_flops_per_s"] = flops * row["lanes"] / row["warm_median_s"]
    alone = min(result["contenders"][n]["warm_median_s"] for n in PRODUCTS if n in result["contenders"])
    times = {n: result["contenders"][n]["warm_median_s"] / alone for n in ("jaxdyn.sweep", "jaxdyn.lanes")}
    return result | {"times_products": times}


def same_exponents(
    results: dict[str, np.ndarray[Any, Any]], contenders: Mapping[str, Contender], *, tolerance: float, one: bool
) -> dict[str, Any]:
    """Exponents from one start of the frame: equal up to rounding.

    lyapax starts its frame from the same numbers only if there is one vector; with more, its sums would still depend on
    the start, and only their being finite is checked.
    """
    expected = results["vmap, jnp.linalg.qr"]
    findings = {}
    for name, found in {n: r for n, r in results.items() if n not in PRODUCTS}.items():
        assert np.all(np.isfinite(found)), f"{name}: exponents are not finite"
        if name == "lyapax" and not one:
            continue
        distance = float(np.abs(np.sort(found) - np.sort(expected)).max())
        findings[name] = {"largest": distance, "allowed": tolerance}
        assert distance <= tolerance, f"{name}: exponents differ by {distance:.3g}, allowed {tolerance:.3g}"
    return findings
