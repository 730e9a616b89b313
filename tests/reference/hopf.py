"""First Lyapunov coefficient of a Hopf point: derivatives of the field by JAX, Kuznetsov's formula for the rest."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxdyn


@dataclasses.dataclass(frozen=True)
class Hopf:
    """What the normal form z' = i omega z + c1 z |z|^2 of a Hopf point is made of."""

    omega: float
    vector: np.ndarray
    """Eigenvector q of i omega, of length one."""
    c1: complex
    """For x = z q + its conjugate."""

    @property
    def l1(self) -> float:
        """First Lyapunov coefficient, Re c1 / omega: negative if the Hopf point is supercritical."""
        return self.c1.real / self.omega

    def c1_with(self, component: int) -> complex:
        """Return c1 for the eigenvector that has a 1 as this component."""
        return self.c1 / abs(self.vector[component]) ** 2


def hopf(system: Any, x: Any) -> Hopf:
    """Normal form at a fixed point with one pair of imaginary eigenvalues.

    Kuznetsov 2004, Elements of Applied Bifurcation Theory, 3rd edition, equation (5.39).
    """
    x = jnp.asarray(x)
    assert float(jnp.abs(system(0.0, x)).max()) < 1e-9  # a fixed point
    matrix = np.asarray(jaxdyn.jacobian(system, x))
    q, omega = _eigenvector(matrix, 1)
    p, _ = _eigenvector(matrix.T, -1)
    p = p / np.conj(np.vdot(p, q))  # so that <p, q> = 1
    conjugate = np.conj(q)

    def form(*vectors: np.ndarray) -> np.ndarray:
        """Symmetric multilinear form B or C, extended to complex vectors."""
        total = np.zeros(len(q), complex)
        for parts in itertools.product((0, 1), repeat=len(vectors)):
            real = [v.imag if part else v.real for v, part in zip(vectors, parts, strict=True)]
            total += 1j ** sum(parts) * np.asarray(_derivative(system, x, *real))
        return total

    resonant = np.linalg.solve(2j * omega * np.eye(len(q)) - matrix, form(q, q))
    constant = np.linalg.solve(matrix, form(q, conjugate))
    sums = form(q, q, conjugate) - 2 * form(q, constant) + form(conjugate, resonant)
    return Hopf(omega, q, complex(np.vdot(p, sums)) / 2)


def _eigenvector(matrix: np.ndarray, sign: int) -> tuple[np.ndarray, float]:
    """Eigenvector of length one, and frequency, of the eigenvalue nearest the imaginary axis above or below 0."""
    values, vectors = np.linalg.eig(matrix)
    side = np.flatnonzero(sign * values.imag > 0)
    k = side[np.argmin(np.abs(values[side].real))]
    return vectors[:, k] / np.linalg.norm(vectors[:, k]), float(values[k].imag)


def _derivative(system: Any, x: Any, *directions: np.ndarray) -> Any:
    """Derivative of the field along some directions, by nested forward differentiation."""

    def field(y: Any) -> Any:
        return system(0.0, y)

    for direction in directions:
        field = _along(field, jnp.asarray(direction))
    return field(x)


def _along(field: Any, direction: Any) -> Any:
    return lambda y: jax.jvp(field, (y,), (direction,))[1]
