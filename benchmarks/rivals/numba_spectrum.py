"""Lyapunov spectrum of the Lorenz system in numba: RK4, three tangent vectors, Gram-Schmidt every step."""

import functools
from typing import Any

import numpy as np

from rivals.numba_common import compiled, f32, inlined, numba


@functools.cache
def lorenz_spectrum(width: int) -> Any:
    """Kernel for blocks of `width` lanes; shared = sigma, beta, the frame row by row, number of transient steps."""
    one, two, log_every = f32(1), f32(2), 16

    @inlined
    def rate(x, y, z, s, r, b):
        return s * (y - x), x * (r - z) - y, x * y - b * z

    @inlined
    def push(x, y, z, s, r, b, p, q, u):
        return s * (q - p), (r - z) * p - q - x * u, y * p + x * q - b * u

    @inlined
    def moved(x1, y1, z1, x2, y2, z2, x3, y3, z3, x4, y4, z4, s, r, b, p, q, u, dt, half, sixth):
        p1, q1, u1 = push(x1, y1, z1, s, r, b, p, q, u)
        p2, q2, u2 = push(x2, y2, z2, s, r, b, p + half * p1, q + half * q1, u + half * u1)
        p3, q3, u3 = push(x3, y3, z3, s, r, b, p + half * p2, q + half * q2, u + half * u2)
        p4, q4, u4 = push(x4, y4, z4, s, r, b, p + dt * p3, q + dt * q3, u + dt * u3)
        return (
            p + sixth * (p1 + two * (p2 + p3) + p4),
            q + sixth * (q1 + two * (q2 + q3) + q4),
            u + sixth * (u1 + two * (u2 + u3) + u4),
        )

    @compiled
    def kernel(value, start, shared, dt, n_steps, end):
        s, b, n_transient = shared[0], shared[1], int(shared[11])
        half, sixth = dt * f32(0.5), dt * f32(1 / 6)
        for block in numba.prange(value.shape[1] // width):
            rho = value[0, block * width : (block + 1) * width].copy()
            state, frame = np.empty((3, width), f32), np.empty((9, width), f32)
            growth, total = np.ones((3, width), f32), np.zeros((3, width), f32)
            for j in range(3):
                state[j] = start[j]
            for j in range(9):
                frame[j] = shared[2 + j]
            for step in range(n_transient + n_steps):
                for i in range(width):
                    r, x1, y1, z1 = rho[i], state[0, i], state[1, i], state[2, i]
                    k1, l1, m1 = rate(x1, y1, z1, s, r, b)
                    x2, y2, z2 = x1 + half * k1, y1 + half * l1, z1 + half * m1
                    k2, l2, m2 = rate(x2, y2, z2, s, r, b)
                    x3, y3, z3 = x1 + half * k2, y1 + half * l2, z1 + half * m2
                    k3, l3, m3 = rate(x3, y3, z3, s, r, b)
                    x4, y4, z4 = x1 + dt * k3, y1 + dt * l3, z1 + dt * m3
                    k4, l4, m4 = rate(x4, y4, z4, s, r, b)
                    state[0, i] = x1 + sixth * (k1 + two * (k2 + k3) + k4)
                    state[1, i] = y1 + sixth * (l1 + two * (l2 + l3) + l4)
                    state[2, i] = z1 + sixth * (m1 + two * (m2 + m3) + m4)
                    d, e, f = moved(x1, y1, z1, x2, y2, z2, x3, y3, z3, x4, y4, z4, s, r, b,
                                    frame[0, i], frame[1, i], frame[2, i], dt, half, sixth)  # fmt: skip
                    g, h, j = moved(x1, y1, z1, x2, y2, z2, x3, y3, z3, x4, y4, z4, s, r, b,
                                    frame[3, i], frame[4, i], frame[5, i], dt, half, sixth)  # fmt: skip
                    k, l, m = moved(x1, y1, z1, x2, y2, z2, x3, y3, z3, x4, y4, z4, s, r, b,
                                    frame[6, i], frame[7, i], frame[8, i], dt, half, sixth)  # fmt: skip
                    square = d * d + e * e + f * f
                    growth[0, i] *= square
                    scale = one / np.sqrt(square)
                    d, e, f = d * scale, e * scale, f * scale
                    overlap = d * g + e * h + f * j
                    g, h, j = g - overlap * d, h - overlap * e, j - overlap * f
                    square = g * g + h * h + j * j
                    growth[1, i] *= square
                    scale = one / np.sqrt(square)
                    g, h, j = g * scale, h * scale, j * scale
                    overlap = d * k + e * l + f * m
                    k, l, m = k - overlap * d, l - overlap * e, m - overlap * f
                    overlap = g * k + h * l + j * m
                    k, l, m = k - overlap * g, l - overlap * h, m - overlap * j
                    square = k * k + l * l + m * m
                    growth[2, i] *= square
                    scale = one / np.sqrt(square)
                    frame[0, i], frame[1, i], frame[2, i] = d, e, f
                    frame[3, i], frame[4, i], frame[5, i] = g, h, j
                    frame[6, i], frame[7, i], frame[8, i] = k * scale, l * scale, m * scale
                done = step + 1 - n_transient
                if done <= 0:
                    growth[:] = one
                elif done % log_every == 0 or done == n_steps:
                    for j in range(3):
                        for i in range(width):
                            total[j, i] += np.log(growth[j, i]) * f32(0.5)
                            growth[j, i] = one
            for j in range(3):
                end[j, block * width : (block + 1) * width] = total[j] / (dt * f32(n_steps))

    return kernel
