"""Covariant Lyapunov vectors: eigenvectors, manifolds, the neutral direction, covariance, segments, angles."""

import functools

import jax
import numpy as np
import pytest
import scipy.linalg

import jaxdyn
from jaxdyn import Status, covariant_lyapunov_vectors, finite_time_lyapunov, models
from jaxdyn.analysis import ginelli

EPS = np.finfo(np.float64).eps


def parallel(a, b):
    """Sine of the angle between vectors, row by row."""
    a, b = np.asarray(a), np.asarray(b)
    a, b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    return np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


def image(system, x, vectors, **step):
    """J v of every saved vector, by the integrator's own step."""

    def advance(x):
        return jaxdyn.final_state(system.with_state(x), n_steps=1, **step).x

    def at(x, frame):
        return jax.vmap(lambda v: jax.jvp(advance, (x,), (v,))[1])(frame)

    return np.asarray(jax.jit(jax.vmap(at))(x, vectors))


# Constant matrices

MATRIX = np.array([[0.2, 1.5, 0.0], [0.0, -0.7, 1.0], [0.3, 0.0, 0.1]])


def eigenvectors(matrix, order):
    values, vectors = np.linalg.eig(matrix)
    assert np.isrealobj(values)
    at = np.argsort(-order(values))
    return values[at], vectors[:, at].T


@pytest.mark.parametrize("settings", [{}, {"segment": 7}, {"qr_every": 4, "save_every": 8}])
def test_of_a_map_they_are_the_eigenvectors(settings, x64):
    matrix = np.array([[1.2, 1.5, 0.0], [0.0, -0.7, 1.0], [0.0, 0.2, 0.3]])
    values, vectors = eigenvectors(matrix, lambda v: np.log(np.abs(v)))
    transient = {"n_transient_forward": 200, "n_transient_backward": 200}
    steps = 56
    # Neighboring moduli differ by a factor of 1.3 or more: 1.3^-200 = 1e-23.
    assert np.all(np.abs(values[:-1] / values[1:]) > 1.3)
    found = covariant_lyapunov_vectors(
        models.linear_map(A=matrix, x0=np.zeros(3)), n_steps=steps, **transient, **settings
    )
    assert parallel(found.vectors, np.broadcast_to(vectors, found.vectors.shape)).max() < 1e-12
    np.testing.assert_allclose(found.covariant_rates, np.log(np.abs(values)), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.exponents, np.log(np.abs(values)), rtol=0, atol=1e-13)
    cosines = np.abs(vectors @ vectors.T)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(found.angles, np.broadcast_to(np.arccos(cosines), found.angles.shape), atol=1e-12)
    np.testing.assert_allclose(found.mean_angles, np.arccos(cosines), atol=1e-12)
    np.testing.assert_allclose(found.smallest_angles, np.arccos(cosines), atol=1e-12)
    expected = np.zeros(90)
    expected[int(np.arccos(cosines.max()) / (np.pi / 2) * 90)] = steps // settings.get("qr_every", 1)
    np.testing.assert_array_equal(found.angle_histogram, expected)
    assert found.status == Status.OK and found.seam == 0


@pytest.mark.parametrize("method", [None, pytest.param(jaxdyn.Heun(), marks=pytest.mark.slow)])
def test_of_a_flow_they_are_the_eigenvectors(method, x64):
    """Of any one-step method: its step is a polynomial of the matrix."""
    matrix = np.array([[-0.5, 2.0, 0.0], [0.0, 0.7, 1.0], [0.0, 0.1, -2.0]])
    values, vectors = eigenvectors(matrix, np.real)
    system = models.linear_flow(A=matrix, x0=np.zeros(3))
    settings = {"n_steps": 100, "dt": 0.05, "n_transient_forward": 800, "n_transient_backward": 800}
    found = covariant_lyapunov_vectors(system, method=method, **settings)
    # The rates are apart by more than 1, which leaves exp(-40) after 800 steps.
    assert parallel(found.vectors, np.broadcast_to(vectors, found.vectors.shape)).max() < 1e-8
    order = 4 if method is None else 2
    np.testing.assert_allclose(found.covariant_rates, values, rtol=0, atol=2.1 ** (order + 1) * 0.05**order)
    np.testing.assert_allclose(found.local_rates, np.broadcast_to(found.covariant_rates, (100, 3)), atol=1e-12)
    np.testing.assert_allclose(found.t, 0.05 * np.arange(800, 900), rtol=1e-14)


def test_the_cat_map_has_a_right_angle(x64):
    """Arnold's cat map: directions (1, (sqrt5 - 1)/2) and (1, -(sqrt5 + 1)/2)."""
    found = covariant_lyapunov_vectors(models.linear_map(A=[[2, 1], [1, 1]], x0=[0.0, 0.0]), n_steps=200)
    golden = np.array([[1, (np.sqrt(5) - 1) / 2], [1, -(np.sqrt(5) + 1) / 2]])
    assert parallel(found.vectors[100], golden).max() < 1e-14
    np.testing.assert_allclose(found.mean_angles, np.pi / 2, atol=1e-13)


def test_leading_vectors_alone_are_the_same(x64):
    system = models.lorenz63()
    settings = {"n_steps": 200, "dt": 0.01, "n_transient_forward": 300, "n_transient_backward": 300}
    every, two = (covariant_lyapunov_vectors(system, n_vectors=k, **settings) for k in (3, 2))
    # One trajectory of 8 time units, perhaps rounded in another way: exp(0.9 * 8) of rounding.
    np.testing.assert_allclose(two.vectors, every.vectors[:, :2], atol=1e-9)
    np.testing.assert_allclose(two.exponents, every.exponents[:2], rtol=1e-9)
    assert two.mean_angles.shape == (1,)


# The Hénon map


def test_at_the_fixed_point_they_are_tangent_to_its_manifolds(x64):
    """Multipliers -1.92374, 0.15595: 12 steps turn the vectors to 1e-13, rounding has grown by 1.92^14 until then."""
    x = 0.6313544770895047
    system = models.henon(x0=[x, 0.3 * x])
    found = covariant_lyapunov_vectors(system, n_steps=2, n_transient_forward=12, n_transient_backward=12)
    known = np.array([[-0.988058, 0.154084], [-0.461228, -0.887282]])
    assert parallel(found.vectors[0], known).max() < 1e-6
    values, vectors = eigenvectors(np.array([[-2.8 * x, 1], [0.3, 0]]), np.abs)
    assert parallel(found.vectors[0], vectors).max() < 1e-9
    np.testing.assert_allclose(found.covariant_rates, np.log(np.abs(values)), atol=1e-9)


@functools.cache
def henon_run(**settings):
    return covariant_lyapunov_vectors(
        models.henon(), **({"n_steps": 300, "n_transient_forward": 200, "n_transient_backward": 200} | settings)
    )


def test_they_are_covariant(x64):
    found = henon_run()
    moved = image(models.henon(), found.x, found.vectors)
    # Of the same sign too; rounding of each step, times the growth of what is not along the vector, 1.9 / 0.02 at most.
    lengths = np.linalg.norm(moved, axis=-1)
    assert np.abs(moved[:-1] / lengths[:-1, :, None] - found.vectors[1:]).max() < 1e-11
    np.testing.assert_allclose(np.log(lengths), found.local_rates, atol=1e-11)
    np.testing.assert_allclose(np.log(lengths).mean(axis=0), found.covariant_rates, atol=1e-12)


@pytest.mark.slow
def test_they_do_not_depend_on_where_the_sweeps_begin(x64):
    """The unstable direction knows the past, the stable one the future: both have forgotten the ends."""
    near = henon_run(n_transient_backward=60)
    assert np.abs(near.vectors - henon_run().vectors).max() < 1e-11
    # With no future at all, the last vector is off and the one 60 steps earlier is not.
    none = henon_run(n_transient_backward=0)
    error = parallel(none.vectors[:, 1], henon_run().vectors[:, 1])
    assert error[-1] > 1e-3 and error[:240].max() < 1e-11
    assert parallel(none.vectors[:, 0], henon_run().vectors[:, 0]).max() < 1e-13


def test_the_stable_direction_is_what_the_future_contracts_the_most(x64):
    """Independent of the sweeps: the last right singular vector of the propagator over the next 20 steps."""
    found = henon_run()
    ahead = jax.jit(jax.vmap(lambda x: finite_time_lyapunov(models.henon().with_state(x), n_steps=20)))
    future = ahead(found.x[::7])
    # The error is the ratio of the singular values, exp(-2 * 20) on average, at most, over the angle.
    ratio = np.exp(-20 * (future.exponents[:, 0] - future.exponents[:, 1]))
    assert np.all(parallel(future.directions[:, 1], found.vectors[::7, 1]) < 10 * ratio + 1e-7)


def test_growth_along_them_differs_from_the_exponents_by_the_ends_alone(x64):
    """The k-th vector is c_kk of its length off the span of the others: here the sine of the angle, at both ends."""
    found, later = henon_run(), henon_run(n_steps=301, n_transient_backward=199)
    np.testing.assert_allclose(later.angles[:300], found.angles, atol=1e-10)
    start, end = np.log(np.sin(later.angles[[0, 300], 0]))
    np.testing.assert_allclose(300 * (found.covariant_rates - found.exponents), [0, start - end], atol=1e-9)
    spectrum = jaxdyn.lyapunov_spectrum(models.henon(), n_steps=300, n_transient=200)
    np.testing.assert_allclose(found.exponents, spectrum.exponents, rtol=1e-6)


# Segments


@pytest.mark.parametrize("name", ["henon", pytest.param("lorenz", marks=pytest.mark.slow)])
def test_segments_do_not_matter(name, x64):
    """Orbits of 1000 steps; a state computed in another way would be lost after 40 (Hénon: 100) time units."""
    make, step = {"henon": (models.henon, {}), "lorenz": (models.lorenz63, {"dt": 0.05})}[name]
    settings = {"n_steps": 700, "n_transient_forward": 100, "n_transient_backward": 203, "save_every": 5, **step}
    whole = covariant_lyapunov_vectors(make(), segment=1000, **settings)
    for segment in (35, None):
        found = covariant_lyapunov_vectors(make(), segment=segment, **settings)
        assert found.seam == 0
        np.testing.assert_allclose(found.x, whole.x, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.vectors, whole.vectors, atol=1e-10)
        np.testing.assert_allclose(found.covariant_rates, whole.covariant_rates, atol=1e-10)
        np.testing.assert_allclose(found.exponents, whole.exponents, atol=1e-10)
        np.testing.assert_allclose(found.mean_angles, whole.mean_angles, atol=1e-10)
        np.testing.assert_array_equal(found.angle_histogram, whole.angle_histogram)
        assert found.angle_histogram.sum() == 700 and found.vectors.shape[0] == 140


def test_a_seam_is_reported(x64, monkeypatch):
    true_starts = ginelli._starts

    def shifted(system, interval, plan):
        starts = true_starts(system, interval, plan)
        return jax.tree.map(lambda leaf: leaf.at[1:].add(1e-6) if leaf.ndim == 2 else leaf, starts)  # the states

    monkeypatch.setattr(ginelli, "_starts", shifted)
    found = covariant_lyapunov_vectors(models.henon(), n_steps=44, segment=11)
    # Of the first segment 1e-6, over a component of about 1; of the others that of the segment before as well, grown.
    assert found.seam > 1e-7
    assert found.status == Status.QR_INTERVAL


# The Lorenz system


def test_the_neutral_vector_is_the_flow(x64):
    """Of the exact flow; a step of the method leaves an angle of its order."""
    errors = []
    for dt in (0.01, 0.005):
        system = models.lorenz63()
        n = round(25 / dt)  # exp(-0.9 * 25) of the ends is left
        found = covariant_lyapunov_vectors(
            system,
            n_steps=round(2 / dt),
            dt=dt,
            n_transient_forward=n,
            n_transient_backward=n,
            save_every=round(0.1 / dt),
        )
        velocity = jax.vmap(lambda x, system=system: system(0.0, x))(found.x)
        errors.append(np.median(parallel(found.vectors[:, 1], velocity)))
        moved = image(system, found.x, found.vectors, dt=dt)
        assert moved.shape == found.vectors.shape
        assert found.status == Status.OK
    assert errors[0] < 1e-4 and errors[1] < 1e-5
    # The orbits differ, so the ratio of the errors is 16 within a factor.
    assert 5 < errors[0] / errors[1] < 50


# Subspaces


def test_a_rotating_plane_is_one_subspace(x64):
    """A complex pair has no directions of its own; the plane has, and its angle to the stable direction is constant."""
    block = np.array([[1.2, -0.5, 0.3], [0.5, 1.2, -0.4], [0.0, 0.0, 0.5]])
    _, vectors = np.linalg.eig(block)
    plane = np.stack([vectors[:, 0].real, vectors[:, 0].imag], axis=1)
    expected = scipy.linalg.subspace_angles(plane, vectors[:, [2]].real).min()
    system = models.linear_map(A=block, x0=np.zeros(3))
    found = covariant_lyapunov_vectors(system, n_steps=300, subspaces=(2, 1), segment=30, n_bins=10)
    np.testing.assert_allclose(found.mean_angles, [expected], rtol=1e-9)
    assert found.angle_histogram[int(expected / (np.pi / 2) * 10)] == 300


@pytest.mark.slow
def test_many_vectors(x64):
    """Lorenz-96 with 12 sites: Householder QR and the solver of the library, of 11 vectors."""
    system = models.lorenz96(n=12)
    step = {"dt": 0.05}
    found = covariant_lyapunov_vectors(system, n_steps=60, n_vectors=11, segment=20, **step)
    moved = image(system, found.x, found.vectors, **step)
    assert parallel(moved[:-1], found.vectors[1:]).max() < 1e-9
    assert found.mean_angles.shape == (55,) and found.status == Status.OK
