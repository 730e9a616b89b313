"""What the tests of figures share: systems, a data set of a sweep, and ways to read a figure."""

import numpy as np
import xarray
from matplotlib.collections import QuadMesh

import jaxdyn

I = np.linspace(0.0, 2.0, 5)
B = np.array([0.5, 1.0, 2.0])


def neuron():
    return jaxdyn.models.fitzhugh_nagumo()


def spiral():
    """Rotation that shrinks: stable focus at 0, with units."""
    words = jaxdyn.About(
        name="spiral",
        time_unit="ms",
        states=(
            jaxdyn.Symbol("x", "membrane potential", "mV", range=(-1, 1)),
            jaxdyn.Symbol("y", "current", "nA", range=(-2, 2)),
        ),
    )
    return jaxdyn.flow(lambda t, x, p: (-x[0] - x[1], x[0] - x[1]), {}, [1.0, 0.0], state_names=["x", "y"], about=words)


def exponents_over(*dims, failed=()):
    """Data set like that of a sweep of `lyapunov_spectrum`; exponent 1 is I - 1 (+ b - 1), exponent 2 is 3 less."""
    coords = {"I": ("I", I, {"units": "nA", "long_name": "injected current"}), "b": ("b", B, {"units": "1"})}
    first = I - 1.0 if dims == ("I",) else I[:, None] - 1.0 + (B - 1.0)
    values = np.stack([first, first - 3.0], axis=-1)
    status = np.zeros(first.shape, np.int8)
    for index in failed:
        status[index] = jaxdyn.Status.NON_FINITE
        values[index] = 99.0  # a number that must not be seen
    return xarray.Dataset(
        {
            "exponents": ((*dims, "exponent"), values, {"units": "1/ms", "long_name": "Lyapunov exponent"}),
            "std_error": ((*dims, "exponent"), np.full(values.shape, 0.25)),
            "kaplan_yorke_dimension": (dims, first + 5.0),
            "status": (dims, status),
        },
        {name: coords[name] for name in dims},
    )


def mesh_of(ax):
    """Mesh with the colors of the data: the last one drawn."""
    return [artist for artist in ax.collections if isinstance(artist, QuadMesh)][-1]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line_named(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line
