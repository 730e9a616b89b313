"""Orbits that are known to be regular or chaotic: of the standard map and of the Hénon-Heiles system."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdyn import models

GOLDEN = (np.sqrt(5) - 1) / 2
CHAOTIC_KICKS = [(1.0, 0.0, 6.0), (2.0, 0.1, 6.0), (5.0, 0.1, 6.0), (10.0, 0.1, 6.0), (5.0, np.pi, 0.5)]
"""(k, x, p) of the standard map."""
KICK_EXPONENTS = [0.1039, 0.4375, 0.9747, 1.6198, 0.9747]
"""Their largest exponents, from orbits of 3e8 steps."""
REGULAR_KICKS = [
    (0.5, np.pi, 2 * np.pi * GOLDEN),  # rotational tori, of the golden mean at k = 0.5 and 0.9
    (0.9, np.pi, 2 * np.pi * GOLDEN),
    (0.0, 1.0, 2.0),  # free rotation
    (0.5, np.pi, 0.3),  # around the elliptic fixed point (pi, 0)
    (1.0, np.pi, 0.5),
    (1.0, np.pi, 1.5),
    (1.0, 4.0, 0.0),
    (2.0, np.pi, 0.5),
]
ENERGIES = [1 / 8, 1 / 6, 1 / 12]
"""Of `galaxy`: two chaotic orbits and a regular one."""
ENERGY_EXPONENTS = [0.0453, 0.1268, 0.0]


def kicked(k, x, p):
    return models.standard_map(k=k, x0=[x, p])


def galaxy(energy):
    """Hénon-Heiles from x = 0, y = -1/4, v = 0."""
    momentum = np.sqrt(2 * (energy - (0.25**2 / 2 + 0.25**3 / 3)))
    return models.henon_heiles(x0=[0.0, -0.25, momentum, 0.0])


def orbits(make, cases):
    """One system with lanes of starts and parameters."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(make(*case) for case in cases))
