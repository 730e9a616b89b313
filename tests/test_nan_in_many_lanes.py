"""Nan stays nan where a compiler's vectorised maximum would drop it (openxla/xla issue 21461: only in large arrays)."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxdyn


def test_spectral_radius_and_abscissa_of_nan_are_nan():
    values = jnp.full((1000, 17), jnp.nan, jnp.complex64).at[0].set(0.5)
    for size in (jaxdyn.spectral_radius, jaxdyn.spectral_abscissa):
        result = np.asarray(jax.jit(size)(values))
        assert result[0] == np.float32(0.5)
        assert np.isnan(result[1:]).all()


def test_starts_where_the_field_is_nan_give_no_fixed_point():
    # log(x) - p is nan for most of the starts and has one root, exp(p).
    system = jaxdyn.flow(lambda t, x, p: jnp.log(x) - p["p"], {"p": 0.0}, [1.0, 1.0])
    shifts = jnp.linspace(-0.5, 0.5, 300)

    def roots(p):
        return jaxdyn.fixed_points(system.with_params(p=p), box=[(-3.0, 3.0)] * 2, max_points=4)

    points = jax.vmap(roots)(shifts)
    np.testing.assert_array_equal(points.found, np.arange(4)[None] < np.ones((300, 1)))
    # Float32 rounding of the logarithm and of the root, in units of the box.
    np.testing.assert_allclose(points.x[:, 0], np.exp(shifts)[:, None] * np.ones(2), rtol=0, atol=6 * 2e-6)
