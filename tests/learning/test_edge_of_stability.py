"""Edge of stability: preconditioners, thresholds of optimizers, and the sharpness of training runs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdyn
from jaxdyn import Status
from jaxdyn.learning import (
    SharpnessCourse,
    measured_threshold,
    optimizer_map,
    preconditioner,
    sharpness,
    sharpness_course,
    stability_threshold,
    unpack,
)

EPS = np.finfo(np.float64).eps


def parabola(x, params):
    return jnp.sum(params["curvature"] * x**2) / 2


def mapped(optimizer, start=1.0, curvature=1.0, **hyper):
    return optimizer_map(parabola, optimizer, start, hyper=hyper, loss_params={"curvature": curvature})


# Optimizer, its other hyper-parameters, momentum, and what adds to its preconditioner at mean squares of 1.
OPTIMIZERS = {
    "descent": (optax.sgd, {}, "heavy ball", 0.0, 1.0),
    "heavy ball": (optax.sgd, {"momentum": 0.9}, "heavy ball", 0.9, 1.0),
    "nesterov": (functools.partial(optax.sgd, nesterov=True), {"momentum": 0.7}, "nesterov", 0.7, 1.0),
    "adam": (optax.adam, {"b1": 0.9}, "ema", 0.9, 1 + 1e-8),
    "adam 0.99": (optax.adam, {"b1": 0.99}, "ema", 0.99, 1 + 1e-8),
    "rmsprop": (optax.rmsprop, {}, "ema", 0.0, np.sqrt(1 + 1e-8)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_closed_forms_are_where_the_step_loses_stability(name, x64):
    """Bisected to rounding of an eigenvalue, 10 eps, over its slope, at least 1 / 20 for b1 = 0.99: 1e-12 has room."""
    optimizer, hyper, form, momentum, added = OPTIMIZERS[name]
    found = measured_threshold(optimizer, hyper={"learning_rate": 0.03, **hyper})
    assert found.status == Status.OK
    exact = stability_threshold(0.03, momentum=momentum, form=form)
    np.testing.assert_allclose(found.curvature, added * exact, rtol=1e-12)
    np.testing.assert_allclose(found.multiplier, -1, atol=1e-11)


def test_known_thresholds(x64):
    """Of eta lambda: Cohen et al. 2021, 2022."""
    np.testing.assert_allclose(stability_threshold(0.1), 20)
    np.testing.assert_allclose(stability_threshold(1.0, momentum=0.9), 3.8)
    np.testing.assert_allclose(stability_threshold(1.0, momentum=0.9, form="nesterov"), 1.357142857, rtol=1e-9)
    np.testing.assert_allclose(stability_threshold(1.0, momentum=0.9, form="ema"), 38)
    np.testing.assert_allclose(stability_threshold(1.0, momentum=0.99, form="ema"), 398)
    assert stability_threshold(np.float32(0.1), momentum=0.9).dtype == jnp.float32


def test_thresholds_of_other_optimizers(x64):
    # x' = x - eta (2 g - g_before): z^2 - (1 - 2 s) z - s = 0 has the root -1 at s = eta lambda = 2/3.
    found = measured_threshold(optax.optimistic_gradient_descent(0.1))
    np.testing.assert_allclose(found.curvature, 20 / 3, rtol=1e-12)
    # Weight decay w adds eta w x to each step of gradient descent, as curvature does.
    decayed = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.1))
    np.testing.assert_allclose(measured_threshold(decayed).curvature, 19.5, rtol=1e-12)
    # A schedule that comes to an end: its last rate decides.
    schedule = optax.linear_schedule(0.1, 0.05, 100)
    np.testing.assert_allclose(measured_threshold(optax.sgd(schedule)).curvature, 40, rtol=1e-6)
    # The frozen mean square is what divides the step.
    found = measured_threshold(optax.adam(0.1), second_moment=4.0)
    np.testing.assert_allclose(found.curvature, (2 + 1e-8) * 380, rtol=1e-12)


def test_an_optimizer_without_threshold_says_so(x64):
    found = measured_threshold(optax.lion(0.1))
    assert found.status == Status.NOT_CONVERGED and np.isnan(found.curvature)


def test_thresholds_of_many_rates_at_once(x64):
    rates = jnp.geomspace(1e-4, 1.0, 4)
    found = jax.vmap(lambda rate: measured_threshold(optax.sgd, hyper={"learning_rate": rate, "momentum": 0.5}))(rates)
    np.testing.assert_allclose(found.curvature, 3 / rates, rtol=1e-12)


def test_measured_threshold_in_float32():
    found = measured_threshold(optax.adam, hyper={"learning_rate": 0.1})
    assert found.curvature.dtype == jnp.float32
    np.testing.assert_allclose(found.curvature, 380, rtol=1e-5)


def test_unknown_forms_and_optimizers_are_refused(unchecked):
    with pytest.raises(ValueError, match="heavy ball"):
        stability_threshold(0.1, form="polyak")
    with pytest.raises(TypeError, match="optimizer"):
        measured_threshold(3.0)
    with pytest.raises(ValueError, match="one number"):
        measured_threshold(optax.adam(0.1), second_moment=jnp.ones(2))


def test_no_threshold_outside_the_ranges():
    """Steps uphill, or multipliers whose product is at least 1, have none; negative momenta have other forms."""
    for form in ("heavy ball", "nesterov", "ema"):
        for rate, momentum in ((0.1, 1.0), (0.1, 1.5), (-0.1, 0.0), (0.1, -0.5), (jnp.nan, 0.0)):
            assert np.isnan(stability_threshold(rate, momentum=momentum, form=form))


@pytest.mark.parametrize(
    ("nesterov", "curve"),
    [(False, lambda beta: 2 + 2 * beta), (True, lambda beta: (2 + 2 * beta) / (1 + 2 * beta))],
)
def test_divergence_boundary_over_rate_and_momentum(nesterov, curve, x64):
    """Runs on a parabola of curvature 1 grow where the rate is beyond the curve: the same in all cells but at most one.

    Half a cell beyond, 1/200 of the rate, the multiplier is at least 1 + 1/800 in size: 40 000 steps grow by e^50.
    As far within, all multipliers are below 1 - 1/800 or, of complex pairs, sqrt(beta) <= 0.95: the start is forgotten.
    """
    rates, betas = np.linspace(0.02, 4.0, 200), np.linspace(0.0, 0.9, 10)
    descent = mapped(functools.partial(optax.sgd, nesterov=nesterov), learning_rate=0.1, momentum=0.5)

    def size(system):
        run = jaxdyn.final_state(system, n_steps=40_000)
        return {"grown": jnp.where(jnp.isfinite(run.x[0]), jnp.abs(run.x[0]), jnp.inf) > 1}

    data = jaxdyn.sweep(size, descent, {"momentum": betas, "learning_rate": rates}, progress=False)
    grown = data.grown.values
    cell = rates[1] - rates[0]
    for beta, row in zip(betas, grown, strict=True):
        first = rates[np.argmax(row)] if row.any() else rates[-1] + cell
        assert np.all(row == (rates >= first))  # one boundary
        assert abs(first - cell / 2 - curve(beta)) <= cell


@pytest.mark.parametrize(
    ("optimizer", "known"),
    [
        (optax.adam(0.1, b1=0.8, b2=0.99, eps=1e-3), {"b1": 0.8, "b2": 0.99, "eps": 1e-3}),
        (optax.adam(0.1, eps_root=1e-2), {"eps_root": 1e-2}),
        (optax.adamw(0.1, weight_decay=0.0), {}),
        (optax.rmsprop(0.1, eps=1e-3), {"eps_root": 1e-3}),
        (optax.rmsprop(0.1, eps=1e-3, eps_in_sqrt=False), {"eps": 1e-3, "eps_root": 0.0}),
    ],
    ids=["adam", "adam root", "adamw", "rmsprop", "rmsprop outside"],
)
def test_a_step_is_the_rate_over_the_preconditioner(optimizer, known, x64):
    """What it moved by is -eta m / P: of Adam the average m, of RMSprop the gradient; rounding of a few operations."""
    params = {"a": jnp.ones(3), "b": jnp.ones(())}
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(params)
        for i in range(3):
            gradient = jax.tree.map(lambda leaf, i=i: (i + 1.0) * jnp.cos(leaf + jnp.arange(leaf.size).sum()), params)
            updates, state = optimizer.update(gradient, state, params)
    scale = preconditioner(state, **known)
    moment = optax.tree.get(state, "mu", gradient)
    expected = jax.tree.map(lambda m, p: -0.1 * m / p, moment, scale)
    jax.tree.map(lambda u, e: np.testing.assert_allclose(u, e, rtol=20 * EPS), updates, expected)


def test_states_without_preconditioner_are_refused():
    with pytest.raises(TypeError, match="got 0"):
        preconditioner(optax.sgd(0.1).init(1.0))
    with pytest.raises(TypeError, match="got 2"):
        preconditioner(optax.chain(optax.adam(0.1), optax.adam(0.1)).init(1.0))


def test_full_adam_hovers_near_its_threshold(x64):
    """On x^2 / 2 the scaled curvature times the rate was seen to average 35.4 and to stay between 30 and 40.

    Its mean square of gradients, 1 at the start, needs 20 000 steps to forget that.
    """
    system = mapped(optax.adam, learning_rate=1e-2)
    course = sharpness_course(system, n_steps=40_000, every=20, preconditioner=True)
    assert course.status == Status.OK and np.isnan(course.sharpness[0])
    late = 1e-2 * np.asarray(course.sharpness)[1250:]
    assert 30 < late.min() and late.max() < 40 and abs(late.mean() - 35.4) < 0.1


def valley(theta, params):
    """(1 + b^2) a^2 / 2: descends along b wherever a is not 0."""
    return params["weight"] * (1 + theta["b"] ** 2) * theta["a"] ** 2 / 2


def test_course_equals_sharpness_along_the_stored_run(x64):
    system = optimizer_map(
        valley, optax.adam, {"a": 1.0, "b": 2.0}, hyper={"learning_rate": 0.01}, loss_params={"weight": 1.5}
    )
    run = jaxdyn.trajectory(system, n_steps=20)
    reducers = {
        "plain": SharpnessCourse(system, 20, 3),
        "scaled": SharpnessCourse(system, 20, 3, preconditioner=True),
    }
    found = jaxdyn.reduce(system, reducers, n_steps=20).values
    np.testing.assert_array_equal(found["plain"].t, [0, 3, 6, 9, 12, 15, 18])
    for i, n in enumerate(range(0, 21, 3)):
        theta, state = unpack(system, run.x[n], n)
        loss = functools.partial(valley, params=system.params)
        np.testing.assert_allclose(found["plain"].loss[i], loss(theta), rtol=10 * EPS)
        plain = sharpness(loss, theta)
        np.testing.assert_allclose(found["plain"].sharpness[i], plain.value, rtol=100 * EPS)
        if n:
            scaled = sharpness(loss, theta, preconditioner=preconditioner(state))
            np.testing.assert_allclose(found["scaled"].sharpness[i], scaled.value, rtol=100 * EPS)
    assert found["plain"].status == found["scaled"].status == Status.OK


@pytest.mark.slow
@pytest.mark.parametrize("engine", [None, jaxdyn.Vmap()])
def test_courses_of_many_rates_and_one_that_diverges(engine, x64):
    """Gradient descent of x^2 / 2 multiplies by 1 - eta a step: 3.5^900 is beyond float64."""
    system = mapped(optax.sgd, start=jnp.array([1.0, 0.0]), learning_rate=0.1)
    measure = functools.partial(sharpness_course, n_steps=900, every=300)
    data = jaxdyn.sweep(measure, system, {"learning_rate": [0.5, 1.0, 4.5]}, engine=engine, progress=False)
    np.testing.assert_array_equal(data.status, [Status.OK, Status.OK, Status.NON_FINITE])
    np.testing.assert_allclose(data.sharpness[:2], 1, rtol=10 * EPS)
    np.testing.assert_allclose(data.loss[0], 0.5 * 0.25 ** np.array([0, 300, 600, 900.0]), rtol=1e-10, atol=1e-300)
    assert data.sharpness.dims == ("learning_rate", "time")


@pytest.mark.parametrize("b1", [0.5, 0.95])
def test_a_course_takes_the_hyper_parameters_of_the_map(b1, x64):
    """Curvature 3 over P, whose numbers are swept, given to the factory or bound to it: none has its default."""
    factory = functools.partial(optax.adam, eps_root=1e-3)
    system = mapped(factory, start=jnp.array([1.0, 2.0]), curvature=3.0, learning_rate=0.01, b1=0.9, b2=0.99, eps=0.1)
    measure = functools.partial(sharpness_course, n_steps=4, preconditioner=True)
    found = jaxdyn.sweep(measure, system, {"b1": [b1]}, progress=False)
    run = jaxdyn.trajectory(system.with_params(b1=b1), n_steps=4)
    for n in range(1, 5):
        state = unpack(system, run.x[n], n)[1]
        scale = preconditioner(state, b1=b1, b2=0.99, eps=0.1, eps_root=1e-3)
        np.testing.assert_allclose(found.sharpness[0, n], (3 / scale).max(), rtol=100 * EPS)
    assert found.status == Status.OK and np.isnan(found.sharpness[0, 0])


@pytest.mark.parametrize(("in_root", "place"), [(True, "eps_root"), (False, "eps")])
def test_a_course_of_rmsprop_knows_where_eps_is_added(in_root, place, x64):
    system = mapped(optax.rmsprop, curvature=3.0, learning_rate=0.01, eps=0.1, eps_in_sqrt=in_root)
    found = sharpness_course(system, n_steps=1, preconditioner=True)
    state = unpack(system, jaxdyn.final_state(system, n_steps=1).x, 1)[1]
    scale = preconditioner(state, **{"eps": 0.0, "eps_root": 0.0, place: 0.1})
    np.testing.assert_allclose(found.sharpness[1], 3 / scale, rtol=100 * EPS)


@pytest.mark.parametrize(
    ("optimizer", "given", "error", "words"),
    [
        (optax.adam, preconditioner, ValueError, "preconditioner=True"),
        (optax.adam, jax.tree_util.Partial(preconditioner, b1=0.9), ValueError, "preconditioner=True"),
        (optax.nadam, True, TypeError, "nesterov"),
        (optax.adamax, True, TypeError, "adamax"),
        (lambda learning_rate: optax.adam(learning_rate, b1=0.5), True, TypeError, "no argument 'b1'"),
    ],
)
def test_courses_with_unknown_preconditioners_are_refused(unchecked, optimizer, given, error, words):
    with pytest.raises(error, match=words):
        sharpness_course(mapped(optimizer, learning_rate=0.1), n_steps=2, preconditioner=given)


def test_a_finished_optimizer_needs_its_decay_rates_by_hand(x64):
    system = optimizer_map(lambda x: 3 * x**2 / 2, optax.adam(0.01, b1=0.5), 1.0)
    with pytest.raises(TypeError, match="finished"):
        sharpness_course(system, n_steps=2, preconditioner=True)
    by_hand = sharpness_course(system, n_steps=2, preconditioner=jax.tree_util.Partial(preconditioner, b1=0.5))
    factory = optimizer_map(lambda x: 3 * x**2 / 2, optax.adam, 1.0, hyper={"learning_rate": 0.01, "b1": 0.5})
    known = sharpness_course(factory, n_steps=2, preconditioner=True)
    np.testing.assert_allclose(by_hand.sharpness, known.sharpness, rtol=100 * EPS)


def test_courses_that_do_not_fit_are_refused(unchecked):
    system = mapped(optax.sgd, learning_rate=0.1)
    with pytest.raises(ValueError, match="n_steps=20"):
        jaxdyn.reduce(system, SharpnessCourse(system, 20), n_steps=10)
    with pytest.raises(TypeError, match="function of the optimizer's state"):
        SharpnessCourse(system, 20, preconditioner=jnp.ones(1))
    with pytest.raises(ValueError, match="every"):
        SharpnessCourse(system, 20, every=0)
    with pytest.raises(TypeError, match="optimizer_map"):
        sharpness_course(jaxdyn.models.logistic(), n_steps=10)
    with pytest.raises(TypeError, match="got 0"):
        sharpness_course(system, n_steps=10, preconditioner=True)


def fit():
    """Full-batch loss of a network with one hidden layer, and its start."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 20)
    y = np.sin(3 * x) + 0.3 * np.cos(9 * x)
    params = {"w": rng.normal(size=20) * 2, "b": rng.normal(size=20), "v": rng.normal(size=20) / 4}

    def loss(p):
        return jnp.mean((jnp.tanh(x[:, None] * p["w"][None] + p["b"][None]) @ p["v"] - y) ** 2)

    return loss, params


@pytest.mark.slow
def test_sharpness_of_a_network_rises_to_the_threshold_and_stays(x64):
    """Cohen et al. 2021: below 2 / eta it rises, there it stays within some percent, while the loss goes on to fall."""
    loss, params = fit()
    descent = optimizer_map(loss, optax.sgd, params, hyper={"learning_rate": 0.1})
    measure = functools.partial(sharpness_course, n_steps=6000, every=50, n_iterations=20)
    data = jaxdyn.sweep(measure, descent, {"learning_rate": [0.05, 0.15]}, engine=jaxdyn.Vmap(), progress=False)
    assert np.all(data.status == Status.OK)
    low, high = data.sharpness.values * data.learning_rate.values[:, None] / 2
    assert np.all(np.diff(low[1:]) > 0) and low[-1] < 0.5  # far from the threshold it only rises
    assert high[0] < 0.8 and np.all(np.abs(high[60:] - 1) < 0.06)
    assert np.all(data.loss[:, 20:].min("time") < data.loss[:, 20] / 5)
