"""Kaplan-Yorke dimension and Pesin entropy with their errors: by hand, by sampling, at the kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdyn
from jaxdyn import Status, kaplan_yorke_dimension, kaplan_yorke_estimate, models, pesin_entropy

EPS = np.finfo(np.float64).eps


def sampled(function, values, covariance, n=100_000):
    """Standard deviation of `function` over normal errors of its argument."""
    draws = np.random.default_rng(0).multivariate_normal(values, covariance, size=n)
    return float(np.std(np.asarray(function(jnp.asarray(draws)))))


SPECTRA = {
    "Lorenz": ([0.9056, 0.0, -14.5723], [0.002, 1e-4, 0.002]),
    "Henon": ([0.41923, -1.62321], [0.002, 0.003]),
    "towel": ([0.43053, 0.37765, -3.3013], [0.001, 0.002, 0.003]),
    "five": ([0.4735, 0.01, -0.520, -1.311, -3.643], [0.003, 0.001, 0.002, 0.004, 0.005]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_errors_by_the_gradient_and_by_sampling(name, x64):
    values, errors = (np.array(v) for v in SPECTRA[name])
    found = kaplan_yorke_estimate(values, errors)
    np.testing.assert_array_equal(found.value, kaplan_yorke_dimension(jnp.asarray(values)))
    slope = np.asarray(jax.grad(lambda v: kaplan_yorke_dimension(v))(jnp.asarray(values)))
    np.testing.assert_allclose(found.std_error, np.sqrt(np.sum((slope * errors) ** 2)), rtol=10 * EPS)
    # 100 000 draws tell a standard deviation to 0.2 %; the second order is of relative size error / exponent.
    np.testing.assert_allclose(found.std_error, sampled(kaplan_yorke_dimension, values, np.diag(errors**2)), rtol=0.01)
    assert not found.at_kink and found.status == Status.OK
    matrix = np.diag(errors**2)
    matrix[0, -1] = matrix[-1, 0] = -0.9 * errors[0] * errors[-1]
    correlated = kaplan_yorke_estimate(values, covariance=matrix)
    np.testing.assert_allclose(correlated.std_error, np.sqrt(slope @ matrix @ slope), rtol=10 * EPS)
    np.testing.assert_allclose(correlated.std_error, sampled(kaplan_yorke_dimension, values, matrix), rtol=0.01)


def test_by_hand(x64):
    """D = 1 + l1 / |l2|: slopes 1 / |l2| and l1 / l2^2."""
    found = kaplan_yorke_estimate([0.5, -2.0], [0.01, 0.02])
    np.testing.assert_allclose(found.value, 1.25, rtol=EPS)
    np.testing.assert_allclose(found.std_error, np.hypot(0.01 / 2, 0.5 / 4 * 0.02), rtol=10 * EPS)


def test_all_or_no_directions_count_have_no_error(x64):
    for values, dimension in (([-1.0, -2.0], 0), ([0.5, 0.2], 2), ([1.0], 1)):
        found = kaplan_yorke_estimate(values, 0.01 * np.ones(len(values)))
        assert (found.value, found.std_error, found.at_kink) == (dimension, 0, False)


@pytest.mark.parametrize("offset", [-0.005, 0.0, 0.005])
def test_at_a_kink_the_larger_slope_counts(offset, x64):
    """S_2 = offset, of error 0.014: below D = 1 + l1 / |l2|, above D = 2 + S_2 / |l3|."""
    found = kaplan_yorke_estimate([1.0 + offset, -1.0, -5.0], [0.01, 0.01, 0.01])
    assert found.at_kink
    size = 1.0 + offset
    np.testing.assert_allclose(found.std_error, np.hypot(0.01, size * 0.01), rtol=10 * EPS)
    away = kaplan_yorke_estimate([1.05, -1.0, -5.0], [0.01, 0.01, 0.01])
    assert not away.at_kink
    np.testing.assert_allclose(away.std_error, np.sqrt(2) * 0.01 / 5, rtol=1e-2)  # and 0.05 / 25 * 0.01 of the third
    # One step from the whole number the error of the kink bounds the spread that is seen.
    spread = sampled(kaplan_yorke_dimension, [1.0 + offset, -1.0, -5.0], 1e-4 * np.eye(3))
    assert spread < found.std_error


def test_a_neutral_exponent_is_a_jump_that_no_error_covers(x64):
    above, below = (kaplan_yorke_estimate([zero, -1.0], [1e-6, 1e-3]) for zero in (1e-9, -1e-9))
    assert above.at_kink and below.at_kink
    assert above.value > 1 and below.value == 0 and above.std_error < 1e-5


def test_too_few_exponents_and_nan(x64):
    for values, k in (([0.5, 0.2], 3), ([np.nan, -1.0], 2)):
        found = kaplan_yorke_estimate(values, [0.1, 0.1], dim=k)
        assert np.isnan(found.value) and np.isnan(found.std_error) and found.status == Status.NON_FINITE
    assert np.isnan(pesin_entropy([np.nan, -1.0], [0.1, 0.1]).value)
    # A direction that is lost at once adds nothing, whatever its error.
    found = kaplan_yorke_estimate([1.0, -np.inf], [0.1, np.nan])
    assert found.value == 1 and found.std_error == 0


def test_pesin_entropy(x64):
    found = pesin_entropy([0.5, 0.3, 1e-5, -2.0], [0.03, 0.04, 1e-4, 0.1])
    np.testing.assert_allclose([found.value, found.std_error], [0.8, 0.05], rtol=10 * EPS)
    assert found.at_kink and found.status == Status.OK
    clear = pesin_entropy([0.5, -2.0], [0.03, 0.04])
    assert (clear.value, clear.std_error, clear.at_kink) == (0.5, 0.03, False)
    matrix = [[0.0009, -0.0006], [-0.0006, 0.0016]]
    both = pesin_entropy([0.5, 0.3], covariance=matrix)
    np.testing.assert_allclose(both.std_error, np.sqrt(0.0009 + 0.0016 - 0.0012), rtol=10 * EPS)
    none = pesin_entropy([-0.5, -1.0], [0.01, 0.01])
    assert (none.value, none.std_error) == (0, 0)


def test_entropy_of_a_spectrum(x64):
    """The folded form of a run: ln 2 for the logistic map at r = 4."""
    spectrum = jaxdyn.lyapunov_spectrum(models.logistic(), n_steps=20_000)
    found = pesin_entropy(spectrum.exponents, spectrum.std_error)
    assert abs(found.value - np.log(2)) < 3 * found.std_error


@pytest.mark.slow
def test_covariance_of_a_spectrum(x64):
    """Where the sum is known exactly the errors of the first and the last exponent cancel: those of Henon's map."""
    starts = np.random.default_rng(0).uniform(-0.1, 0.1, (64, 2))
    run = jax.jit(jax.vmap(lambda x: jaxdyn.lyapunov_spectrum(models.henon().with_state(x), n_steps=4_000)))
    found = run(starts)
    covariance = found.covariance
    assert covariance.shape == (64, 2, 2)
    # 31 of 32 batches: the variance of a batch is known to 25 %, so leaving out one changes it little.
    diagonal = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    np.testing.assert_allclose(diagonal, found.std_error, rtol=0.25)
    # log 0.3 in all batches: four entries cancel, each a sum of 31 rounded products.
    np.testing.assert_allclose(covariance.sum(axis=(1, 2)), 0, atol=31 * 4 * EPS * covariance.max())
    both = jax.vmap(lambda values, matrix: kaplan_yorke_estimate(values, covariance=matrix))(
        found.exponents, covariance
    )
    # 64 runs: their spread is known to 9 %, the mean of the errors better. D = 1.25828.
    np.testing.assert_allclose(np.mean(both.std_error), np.std(both.value, ddof=1), rtol=4 * 0.09)
    assert abs(np.mean(both.value) - 1.25828) < 4 * np.mean(both.std_error) / 8 + 1e-5
    few = jaxdyn.lyapunov_spectrum(models.henon(), n_steps=2).covariance
    assert few.shape == (2, 2) and np.all(np.isnan(few))


@pytest.mark.parametrize("function", [kaplan_yorke_estimate, pesin_entropy])
def test_transformations_and_dtypes(function):
    values = jnp.array([[0.9, 0.0, -14.0], [0.4, -0.1, -3.0]], jnp.float32)
    errors = jnp.full((2, 3), 0.01, jnp.float32)
    together = jax.jit(jax.vmap(function))(values, errors)
    for i in range(2):
        one = function(values[i], errors[i])
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(b[i], a, rtol=1e-6)
            assert a.dtype == b.dtype and a.dtype in ("float32", "int8", "bool")


@pytest.mark.parametrize("function", [kaplan_yorke_estimate, pesin_entropy])
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([1.0, -2.0],), TypeError, "give either std_error"),
        (([1.0, -2.0], [0.1]), ValueError, r"std_error must have shape \(2,\), one per exponent, got \(1,\)"),
        (([[1.0, -2.0]], [0.1]), ValueError, r"exponents must have shape \(k,\), got \(1, 2\)"),
    ],
)
def test_wrong_arguments_are_named(function, arguments, kind, message):
    with pytest.raises(kind, match=message):
        function(*arguments)
    with pytest.raises(ValueError, match=r"covariance must have shape \(2, 2\), got \(3, 3\)"):
        function([1.0, -2.0], covariance=np.eye(3))
    with pytest.raises(TypeError, match="give either"):
        function([1.0, -2.0], [0.1, 0.1], covariance=np.eye(2))
