"""Hand-blocked loops in numba: blocks of lanes in the first-level cache, inner loops over lanes for SIMD, prange."""

import functools
from typing import Any

import numpy as np
from contest import Program, Unavailable
from ensembles import Ensemble, Values

from rivals import numba_spectrum
from rivals.numba_common import compiled, f32, inlined, numba
from rivals.tableaus import TSIT5

WIDTHS = (128, 64, 256)
"""Lanes of one block."""


def end_states(problem: Ensemble, values: Values, n_steps: int) -> dict[str, Program]:
    """Last states (lanes, dim)."""
    shared = np.asarray(problem.shared, f32)
    return {
        f"blocks of {width}": _program(
            _KERNELS[problem.kernel](*_shape(problem, width)), problem, values, width, shared, n_steps
        )
        for width in _widths()
    }


def spectra(
    problem: Ensemble, values: Values, n_transient: int, n_steps: int, frame: np.ndarray[Any, Any]
) -> dict[str, Program]:
    """Lyapunov exponents (lanes, 3) of the Lorenz system."""
    shared = np.concatenate([problem.shared, frame.ravel(), [n_transient]]).astype(f32)
    return {
        f"blocks of {width}": _program(numba_spectrum.lorenz_spectrum(width), problem, values, width, shared, n_steps)
        for width in _widths()
    }


def _widths() -> tuple[int, ...]:
    if numba is None:
        raise Unavailable("numba is not installed")
    return WIDTHS


def _shape(problem: Ensemble, width: int) -> tuple[int, ...]:
    return (width, problem.system.dim) if problem.kernel == "lorenz96_rk4" else (width,)


def _program(
    kernel: Any, problem: Ensemble, values: Values, width: int, shared: np.ndarray[Any, Any], n_steps: int
) -> Program:
    n = len(next(iter(values.values())))
    padded = np.stack([np.pad(array, (0, -n % width), mode="edge") for array in values.values()])
    end = np.empty((problem.system.dim, padded.shape[1]), f32)

    def run() -> np.ndarray[Any, Any]:
        kernel(padded, problem.x0, shared, f32(problem.dt or 0), n_steps, end)
        return end[:, :n].T

    return run


@functools.cache
def _neuron_rk4(width: int) -> Any:
    third, two = f32(1 / 3), f32(2)

    @inlined
    def rate(v, w, current, a, b, rate_w):
        return v - v * v * v * third - w + current, (v + a - b * w) * rate_w

    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        a, b, rate_w = shared[0], shared[1], f32(1) / shared[2]
        half, sixth = dt * f32(0.5), dt * f32(1 / 6)
        for block in numba.prange(value.shape[1] // width):
            v, w, current = np.empty(width, f32), np.empty(width, f32), np.empty(width, f32)
            for i in range(width):
                v[i], w[i], current[i] = start[0], start[1], value[0, block * width + i]
            for _ in range(n_steps):
                for i in range(width):
                    x, y, c = v[i], w[i], current[i]
                    a1, b1 = rate(x, y, c, a, b, rate_w)
                    a2, b2 = rate(x + half * a1, y + half * b1, c, a, b, rate_w)
                    a3, b3 = rate(x + half * a2, y + half * b2, c, a, b, rate_w)
                    a4, b4 = rate(x + dt * a3, y + dt * b3, c, a, b, rate_w)
                    v[i] = x + sixth * (a1 + two * (a2 + a3) + a4)
                    w[i] = y + sixth * (b1 + two * (b2 + b3) + b4)
            for i in range(width):
                end[0, block * width + i], end[1, block * width + i] = v[i], w[i]

    return kernel


@functools.cache
def _lorenz_tsit5(width: int) -> Any:
    (a21,), (a31, a32), (a41, a42, a43), (a51, a52, a53, a54), (a61, a62, a63, a64, a65), (b1, b2, b3, b4, b5, b6) = (
        tuple(f32(c) for c in row) for row in TSIT5
    )

    @inlined
    def rate(x, y, z, sigma, rho, beta):
        return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        s, b = shared[0], shared[1]
        for block in numba.prange(value.shape[1] // width):
            u, v, w, rho = np.empty(width, f32), np.empty(width, f32), np.empty(width, f32), np.empty(width, f32)
            for i in range(width):
                u[i], v[i], w[i], rho[i] = start[0], start[1], start[2], value[0, block * width + i]
            for _ in range(n_steps):
                for i in range(width):
                    x, y, z, r = u[i], v[i], w[i], rho[i]
                    k1, l1, m1 = rate(x, y, z, s, r, b)
                    k2, l2, m2 = rate(x + dt * (a21 * k1), y + dt * (a21 * l1), z + dt * (a21 * m1), s, r, b)
                    k3, l3, m3 = rate(
                        x + dt * (a31 * k1 + a32 * k2),
                        y + dt * (a31 * l1 + a32 * l2),
                        z + dt * (a31 * m1 + a32 * m2),
                        s, r, b,
                    )  # fmt: skip
                    k4, l4, m4 = rate(
                        x + dt * (a41 * k1 + a42 * k2 + a43 * k3),
                        y + dt * (a41 * l1 + a42 * l2 + a43 * l3),
                        z + dt * (a41 * m1 + a42 * m2 + a43 * m3),
                        s, r, b,
                    )  # fmt: skip
                    k5, l5, m5 = rate(
                        x + dt * (a51 * k1 + a52 * k2 + a53 * k3 + a54 * k4),
                        y + dt * (a51 * l1 + a52 * l2 + a53 * l3 + a54 * l4),
                        z + dt * (a51 * m1 + a52 * m2 + a53 * m3 + a54 * m4),
                        s, r, b,
                    )  # fmt: skip
                    k6, l6, m6 = rate(
                        x + dt * (a61 * k1 + a62 * k2 + a63 * k3 + a64 * k4 + a65 * k5),
                        y + dt * (a61 * l1 + a62 * l2 + a63 * l3 + a64 * l4 + a65 * l5),
                        z + dt * (a61 * m1 + a62 * m2 + a63 * m3 + a64 * m4 + a65 * m5),
                        s, r, b,
                    )  # fmt: skip
                    u[i] = x + dt * (b1 * k1 + b2 * k2 + b3 * k3 + b4 * k4 + b5 * k5 + b6 * k6)
                    v[i] = y + dt * (b1 * l1 + b2 * l2 + b3 * l3 + b4 * l4 + b5 * l5 + b6 * l6)
                    w[i] = z + dt * (b1 * m1 + b2 * m2 + b3 * m3 + b4 * m4 + b5 * m5 + b6 * m6)
            for i in range(width):
                at = block * width + i
                end[0, at], end[1, at], end[2, at] = u[i], v[i], w[i]

    return kernel


@functools.cache
def _lorenz96_rk4(width: int, sites: int) -> Any:
    two = f32(2)

    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        half, sixth = dt * f32(0.5), dt * f32(1 / 6)
        for block in numba.prange(value.shape[1] // width):
            x, total = np.empty((sites, width), f32), np.empty((sites, width), f32)
            y, z = np.empty((sites, width), f32), np.empty((sites, width), f32)
            force = value[0, block * width : (block + 1) * width].copy()
            for j in range(sites):
                x[j] = start[j]
            for _ in range(n_steps):
                for j in range(sites):
                    n, b, s = (j + 1) % sites, (j - 1) % sites, (j - 2) % sites
                    for i in range(width):
                        k = (x[n, i] - x[s, i]) * x[b, i] - x[j, i] + force[i]
                        total[j, i] = k
                        y[j, i] = x[j, i] + half * k
                for j in range(sites):
                    n, b, s = (j + 1) % sites, (j - 1) % sites, (j - 2) % sites
                    for i in range(width):
                        k = (y[n, i] - y[s, i]) * y[b, i] - y[j, i] + force[i]
                        total[j, i] += two * k
                        z[j, i] = x[j, i] + half * k
                for j in range(sites):
                    n, b, s = (j + 1) % sites, (j - 1) % sites, (j - 2) % sites
                    for i in range(width):
                        k = (z[n, i] - z[s, i]) * z[b, i] - z[j, i] + force[i]
                        total[j, i] += two * k
                        y[j, i] = x[j, i] + dt * k
                for j in range(sites):
                    n, b, s = (j + 1) % sites, (j - 1) % sites, (j - 2) % sites
                    for i in range(width):
                        k = (y[n, i] - y[s, i]) * y[b, i] - y[j, i] + force[i]
                        x[j, i] += sixth * (total[j, i] + k)
            for j in range(sites):
                end[j, block * width : (block + 1) * width] = x[j]

    return kernel


@functools.cache
def _logistic(width: int) -> Any:
    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        for block in numba.prange(value.shape[1] // width):
            x, r = np.empty(width, f32), np.empty(width, f32)
            for i in range(width):
                x[i], r[i] = start[0], value[0, block * width + i]
            for _ in range(n_steps // 8):
                for i in range(width):
                    y = x[i]
                    for _ in range(8):  # several steps a load and a store
                        scaled = r[i] * y
                        y = scaled - scaled * y
                    x[i] = y
            for _ in range(n_steps % 8):
                for i in range(width):
                    x[i] = r[i] * x[i] * (f32(1) - x[i])
            for i in range(width):
                end[0, block * width + i] = x[i]

    return kernel


@functools.cache
def _two_learners(width: int) -> Any:
    one = f32(1)

    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        tau2, sigma_k, sigma_w = shared[0] * shared[0], shared[1], shared[2]
        for block in numba.prange(value.shape[1] // width):
            k, w = np.empty(width, f32), np.empty(width, f32)
            rate_k, rate_w = np.empty(width, f32), np.empty(width, f32)
            for i in range(width):
                k[i], w[i] = start[0], start[1]
                rate_k[i], rate_w[i] = value[0, block * width + i], value[1, block * width + i]
            for _ in range(n_steps):
                for i in range(width):
                    pull = tau2 * (one - k[i] * w[i])
                    slope_k, slope_w = sigma_k * k[i] - pull * w[i], sigma_w * w[i] - pull * k[i]
                    k[i] -= rate_k[i] * slope_k
                    w[i] -= rate_w[i] * slope_w
            for i in range(width):
                end[0, block * width + i], end[1, block * width + i] = k[i], w[i]

    return kernel


_KERNELS = {
    "neuron_rk4": _neuron_rk4,
    "lorenz_tsit5": _lorenz_tsit5,
    "lorenz96_rk4": _lorenz96_rk4,
    "logistic": _logistic,
    "two_learners": _two_learners,
}
