"""Hopf points solved for: closed forms, derivatives by other parameters, maps, failures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, models

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 1e-13  # some hundred roundings of numbers of order one: what Newton's last step leaves


def exact(p, side=-1.0):
    """FitzHugh-Nagumo: the trace 1 - v^2 - b/tau of the Jacobian vanishes; the current from v' = w' = 0."""
    v = side * jnp.sqrt(1 - p["b"] / p["tau"])
    determinant = (1 - p["b"] ** 2 / p["tau"]) / p["tau"]
    current = (p["b"] / 3 * v**3 + (1 - p["b"]) * v + p["a"]) / p["b"]
    # The growth is half the trace: its slope -v dv/dI, with dv/dI = b / (b v^2 + 1 - b).
    speed = -v * p["b"] / (p["b"] * v**2 + 1 - p["b"])
    return {"value": current, "frequency": jnp.sqrt(determinant), "crossing_speed": speed}


@pytest.mark.parametrize(("current", "side"), [(0.3, -1.0), (0.4, -1.0), (1.3, 1.0), (1.5, 1.0)])
def test_both_points_of_a_neuron(x64, current, side):
    neuron = models.fitzhugh_nagumo(I=current)
    found = jaxdyn.hopf_point(neuron, "I")
    assert found.status == Status.OK
    for name, value in exact(neuron.params, side).items():
        # The derivatives of all three with respect to state and parameter are below 20: 5 ulp of 1 in each.
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=100 * EPS, err_msg=name)
    np.testing.assert_allclose(neuron.with_params(I=found.value)(0.0, found.x), 0, atol=20 * EPS)
    assert found.error < 20 * EPS


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd], ids=["reverse", "forward"])
def test_derivatives_by_other_parameters_are_those_of_the_closed_form(x64, transform):
    neuron = models.fitzhugh_nagumo(I=0.3)
    others = {name: neuron.params[name] for name in ("a", "b", "tau")}
    for name in ("value", "frequency", "crossing_speed"):
        found = transform(lambda p, name=name: getattr(jaxdyn.hopf_point(neuron.with_params(**p), "I"), name))(others)
        known = jax.grad(lambda p, name=name: exact(p)[name])(others)
        for key in others:
            # The same equations differentiated twice; condition numbers below 1e4.
            np.testing.assert_allclose(found[key], known[key], rtol=1e-11, atol=1e-12, err_msg=f"{name}, {key}")


def test_brusselator_in_closed_form(x64):
    """The trace B - 1 - A^2 vanishes at B = 1 + A^2, where the frequency is A; the growth is (B - 1 - A^2)/2."""
    system = models.brusselator()
    names = list(system.params)
    found = jaxdyn.hopf_point(system.with_params(**{names[0]: 1.2, names[1]: 2.3}), names[1])
    np.testing.assert_allclose([found.value, found.frequency, found.crossing_speed], [2.44, 1.2, 0.5], atol=ROUNDING)


def test_float32_and_another_start():
    neuron = models.fitzhugh_nagumo(I=0.3)
    found = jaxdyn.hopf_point(neuron.with_state([9.0, -9.0]), "I", start=[-1.0, -0.4])
    assert found.value.dtype == found.x.dtype == jnp.float32 and found.status == Status.OK
    # Some ulp of the field, over the slope 0.2 of the trace along the current.
    np.testing.assert_allclose(found.value, 0.33128134, rtol=0, atol=20 * float(np.finfo(np.float32).eps))


def test_neimark_sacker_point_of_a_map_and_its_derivative(x64):
    """Delayed logistic map x' = r x (1 - y), y' = x: at x = 1 - 1/r multipliers of modulus sqrt(r - 1) and angle pi/3.

    With a factor c in y' = c x, x = (1 - 1/r)/c and nothing else changes.
    """

    def delayed(n, x, p):
        return p["r"] * x[0] * (1 - x[1]), p["c"] * x[0]

    system = jaxdyn.iterated_map(delayed, {"r": 1.9, "c": 1.0}, [0.47, 0.47])
    found = jaxdyn.hopf_point(system, "r")
    assert found.status == Status.OK
    # log sqrt(r - 1) has the slope 1/2 at r = 2.
    numbers = [found.value, found.frequency, found.crossing_speed, *found.x]
    np.testing.assert_allclose(numbers, [2, np.pi / 3, 0.5, 0.5, 0.5], atol=ROUNDING)
    slope = jax.grad(lambda c: jaxdyn.hopf_point(system.with_params(c=c), "r").x[0])(1.0)
    assert float(slope) == pytest.approx(-0.5, abs=1e-12)


def test_period_doubling_of_a_map_is_the_angle_pi(x64):
    found = jaxdyn.hopf_point(models.logistic(r=2.9), "r", start=[0.65])
    np.testing.assert_allclose([found.value, found.frequency, found.crossing_speed], [3, np.pi, 1], atol=ROUNDING)
    assert found.status == Status.OK


def test_a_network(x64):
    """Rest of a network is x = 0 with eigenvalues g z - 1 of its weights' eigenvalues z: Hopf at g = 1 / Re z."""
    network = models.random_rnn(n=20, seed=4)
    z = np.linalg.eigvals(np.asarray(jaxdyn.jacobian(network.with_params(g=1.0), np.zeros(20))) + np.eye(20))
    leading = z[z.imag > 0][np.argmax(z[z.imag > 0].real)]
    found = jaxdyn.hopf_point(network.with_params(g=0.98 / leading.real), "g", start=np.zeros(20))
    expected = [1 / leading.real, leading.imag / leading.real, leading.real]
    # Eigenvalues of a matrix that is not normal, with a condition number below 100.
    np.testing.assert_allclose([found.value, found.frequency, found.crossing_speed], expected, rtol=1e-12)


def test_without_a_hopf_point_it_says_so(x64):
    """A pitchfork: the only pairs are real, or there is none."""
    real = jaxdyn.flow(lambda t, x, p: (p["r"] * x[0] - x[0] ** 3, -x[1]), {"r": -0.5}, [0.1, 0.1])
    assert jaxdyn.hopf_point(real, "r").status == Status.NOT_CONVERGED
    spiral = jaxdyn.flow(lambda t, x, p: (-x[0] - x[1], x[0] - (1 + p["r"] ** 2) * x[1]), {"r": 0.5}, [0.1, 0.1])
    assert jaxdyn.hopf_point(spiral, "r").status == Status.NOT_CONVERGED
    lost = jaxdyn.flow(lambda t, x, p: (jnp.log(-1 - x[0] ** 2), p["r"] * x[1]), {"r": 0.5}, [0.1, 0.1])
    assert jaxdyn.hopf_point(lost, "r").status == Status.NON_FINITE


def test_a_pair_that_hardly_crosses_says_how_little_is_known(x64):
    """Growth mu^2: Newton's steps end where rounding, eps, hides it, at mu near sqrt(eps)."""
    touching = jaxdyn.flow(
        lambda t, x, p: (p["mu"] ** 2 * x[0] - x[1], x[0] + p["mu"] ** 2 * x[1]), {"mu": 0.1}, [0, 0]
    )
    found = jaxdyn.hopf_point(touching, "mu")
    assert abs(found.value) < found.error < 1e-6
    still = jaxdyn.flow(lambda t, x, p: (-x[1], x[0] + 0 * p["mu"]), {"mu": 0.1}, [0.1, 0.1])
    assert jaxdyn.hopf_point(still, "mu").status == Status.NOT_CONVERGED
    moved = jaxdyn.flow(lambda t, x, p: (-(x[1] - p["mu"]), x[0] - p["mu"]), {"mu": 0.1}, [0.1, 0.3])
    assert jaxdyn.hopf_point(moved, "mu").status == Status.NOT_CONVERGED


def test_neutral_saddles_do_not_count(x64):
    """Eigenvalues 1 + mu and -1: their sum vanishes at mu = 0, and they are real."""
    saddle = jaxdyn.flow(lambda t, x, p: ((1 + p["mu"]) * x[0], -x[1]), {"mu": 0.1}, [0.1, 0.1])
    assert jaxdyn.hopf_point(saddle, "mu").status == Status.NOT_CONVERGED
    # Eigenvalues (mu +- sqrt(mu^2 + 4)) / 2.
    turned = jaxdyn.flow(lambda t, x, p: (x[1], x[0] + p["mu"] * x[1]), {"mu": 0.1}, [0.1, 0.1])
    assert jaxdyn.hopf_point(turned, "mu").status == Status.NOT_CONVERGED


@pytest.mark.slow
def test_sweep_and_jit_agree(x64):
    taus = np.linspace(9.0, 16.0, 5)
    neuron = models.fitzhugh_nagumo(I=0.3)
    measure = functools.partial(jaxdyn.hopf_point, parameter="I")
    known = [exact(neuron.with_params(tau=tau).params)["value"] for tau in taus]
    swept = jaxdyn.sweep(measure, neuron, {"tau": taus}, progress=False)
    np.testing.assert_allclose(swept.value.values, known, atol=ROUNDING)
    mapped = jax.jit(jax.vmap(lambda tau: measure(neuron.with_params(tau=tau)).value))(taus)
    np.testing.assert_allclose(mapped, known, atol=ROUNDING)


def test_errors():
    neuron = models.fitzhugh_nagumo()
    with pytest.raises(TypeError, match="no parameter 'i'"):
        jaxdyn.hopf_point(neuron, "i")
    with pytest.raises(ValueError, match="one real number"):
        jaxdyn.hopf_point(models.linear_flow(), "A")
    with pytest.raises(ValueError, match="has one state"):
        jaxdyn.hopf_point(jaxdyn.flow(lambda t, x, p: -p["k"] * x, {"k": 1.0}, [1.0]), "k")
    with pytest.raises(ValueError, match="shape"):
        jaxdyn.hopf_point(neuron, "I", start=[1.0])
    for tolerance in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="tolerance must be a number between 0 and 1"):
            jaxdyn.hopf_point(neuron, "I", tolerance=tolerance)
