"""Speed of a learning-rate grid: gradient descent of the two-learner game for every pair of rates, 1000 steps.

Rivals: hand-written C and numba (the machine's limit), plain vmap and scan with `jax.grad` as users write it, and
optax's SGD under vmap. Rates reach far beyond the stable square, where some pairs diverge.

    python benchmarks/bench_learning.py [--repetitions 5] [--smoke]
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import timing
from bench_ensemble import contenders
from contest import Contender, Program, Task, contest, same_states, table
from ensembles import LEARNERS, Values
from jax import lax


def with_optax(values: Values, n_steps: int) -> dict[str, Program]:
    """Two SGD optimizers, one a learner, under vmap."""

    def error(game: dict[str, jax.Array]) -> jax.Array:
        k, w = game["k"], game["w"]
        return ((1 - k * w) ** 2 + (w**2 + k**2) / 2) / 2

    def one(rates: dict[str, jax.Array]) -> jax.Array:
        optimizer = optax.partition({"k": optax.sgd(rates["gamma_k"]), "w": optax.sgd(rates["gamma_w"])}, label)
        game = {"k": jnp.asarray(LEARNERS.x0[0]), "w": jnp.asarray(LEARNERS.x0[1])}

        def step(carry: Any, _: None) -> Any:
            game, state = carry
            updates, state = optimizer.update(jax.grad(error)(game), state)
            return (optax.apply_updates(game, updates), state), None

        (game, _), _ = lax.scan(step, (game, optimizer.init(game)), None, length=n_steps)
        return jnp.stack([game["k"], game["w"]])

    batch = {name: jnp.asarray(array) for name, array in values.items()}
    return {"whole batch": functools.partial(jax.jit(jax.vmap(one)), batch)}


def label(game: dict[str, Any]) -> dict[str, str]:
    """Which optimizer each learner has."""
    return {name: name for name in game}


def grid(*, repetitions: int, smoke: bool) -> dict[str, Any]:
    """Times of everybody."""
    field = {name: one for name, one in contenders(LEARNERS, slow=False).items() if name not in ("heyoka",)}
    del field["diffrax Tsit5"]  # flows only
    field["optax.sgd under vmap"] = Contender(with_optax)
    n_lanes, n_steps = (32**2, LEARNERS.n_check) if smoke else (LEARNERS.n_lanes, LEARNERS.n_steps)
    task = Task(LEARNERS.values(n_lanes), n_steps)
    return contest(
        field,
        task,
        check=task if smoke else Task(LEARNERS.values(64**2), LEARNERS.n_check),
        agree=same_states(LEARNERS.tolerance, LEARNERS.other_method),
        repetitions=repetitions,
        work_per_lane=n_steps,
        tune=not smoke,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--smoke", action="store_true", help="few lanes and steps, nothing is written")
    options = arguments.parse_args()
    jnp.zeros(1).block_until_ready()  # starting JAX is nobody's first call
    result = grid(repetitions=1 if options.smoke else options.repetitions, smoke=options.smoke)
    print(f"{LEARNERS.title}, load {result['load_average'][-1]:.1f}\n{table(result)}")
    if not options.smoke:
        path = timing.save("bench_learning", {"learning rates": result})
        print(f"written to {path.relative_to(timing.RESULTS.parent.parent)}")


if __name__ == "__main__":
    main()
