"""A contest of programs that compute the same thing: agreement first, then best settings, then times side by side."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import timing
from ensembles import Values, size

Program = Callable[[], Any]


class Unavailable(Exception):
    """A rival that cannot run here, and why."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to compute the results of all lanes."""

    programs: Callable[[Values, int], dict[str, Program]]
    """Programs by the name of their setting, from the lanes and the number of steps; results are (lanes, ...)."""
    most_lanes: int | None = None
    """Lanes that it gets, spread over all, if one at a time is all it can do; its rate is then scaled."""
    same_method: bool = True
    """Whether it takes the very steps of the others, or only computes the same quantity."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Lanes and steps."""

    values: Values
    n_steps: int

    def part(self, most_lanes: int | None) -> Values:
        """Some of the lanes, evenly spread."""
        if most_lanes is None or most_lanes >= size(self.values):
            return self.values
        index = np.linspace(0, size(self.values) - 1, most_lanes).astype(int)
        return {name: array[index] for name, array in self.values.items()}


def contest(
    contenders: Mapping[str, Contender],
    task: Task,
    *,
    check: Task,
    agree: Callable[[dict[str, np.ndarray[Any, Any]], Mapping[str, Contender]], dict[str, Any]],
    repetitions: int,
    work_per_lane: float,
    tune: bool = True,
) -> dict[str, Any]:
    """Result of `timing.side_by_side`, each contender at its best setting, with what was skipped and how they agree.

    `agree` gets everybody's results of the `check`, (lanes, ...), and returns its findings; it raises an
    AssertionError if they disagree. The first contender is the one that the others are compared with.
    """
    available, skipped = _available(contenders, task)
    checked = {name: Task(check.part(contenders[name].most_lanes), check.n_steps) for name in available}
    results = {name: _first(contenders[name].programs(t.values, t.n_steps))() for name, t in checked.items()}
    agreement = agree({name: np.asarray(result) for name, result in results.items()}, contenders)
    best = {name: _best(programs) if tune else _first_named(programs) for name, programs in available.items()}
    lanes = {name: size(task.part(contenders[name].most_lanes)) for name in available}
    result = timing.side_by_side(
        {name: chosen[1] for name, chosen in best.items()},
        repetitions=repetitions,
        work={name: n * work_per_lane for name, n in lanes.items()},
    )
    leader = next(iter(result["contenders"].values()))
    for name, row in result["contenders"].items():
        row["setting"], row["settings_tried_s"] = best[name][0], best[name][2]
        row["first_call_s"] = best[name][3] or row["first_call_s"]  # the call while settings were tried compiled it
        row["lanes"] = lanes[name]
        seconds = row["warm_median_s"] * lanes[next(iter(lanes))] / lanes[name]
        row["times_slower"] = seconds / leader["warm_median_s"]
    return result | {"skipped": skipped, "agreement": agreement}


def _available(contenders: Mapping[str, Contender], task: Task) -> tuple[dict[str, dict[str, Program]], dict[str, str]]:
    available, skipped = {}, {}
    for name, contender in contenders.items():
        try:
            available[name] = contender.programs(task.part(contender.most_lanes), task.n_steps)
        except Unavailable as reason:
            skipped[name] = str(reason)
    return available, skipped


def _first(programs: dict[str, Program]) -> Program:
    return next(iter(programs.values()))


def _first_named(programs: dict[str, Program]) -> tuple[str, Program, dict[str, float], float | None]:
    name, program = next(iter(programs.items()))
    return name, program, {}, None


def _best(programs: dict[str, Program]) -> tuple[str, Program, dict[str, float], float | None]:
    """The fastest of a contender's settings, by the shortest of two warm calls in turn: name, program, times, first."""
    if len(programs) == 1:
        return _first_named(programs)
    first = {name: timing.seconds_of(program) for name, program in programs.items()}
    tried = {name: float("inf") for name in programs}
    for _ in range(2):
        for name, program in programs.items():
            tried[name] = min(tried[name], timing.seconds_of(program))
    name = min(tried, key=tried.__getitem__)
    return name, programs[name], tried, first[name]


def same_states(tolerance: float, other_method: float) -> Callable[..., dict[str, Any]]:
    """Comparison of states, (lanes, dim), with the second contender's: everywhere finite in both, or in neither."""

    def agree(results: dict[str, np.ndarray[Any, Any]], contenders: Mapping[str, Contender]) -> dict[str, Any]:
        yardstick = next(iter(results.values()))
        findings = {}
        for name, states in results.items():
            index = np.linspace(0, len(yardstick) - 1, len(states)).astype(int)
            expected = yardstick[index]
            finite = np.isfinite(expected)
            distance = np.abs(np.where(finite, states, 0) - np.where(finite, expected, 0))
            allowed = tolerance if contenders[name].same_method else other_method
            findings[name] = {"largest": float(distance.max()), "allowed": float(allowed)}
            findings[name]["median"] = statistics.median(distance.ravel().tolist())
            assert np.array_equal(np.isfinite(states), finite), f"{name}: other lanes are finite"
            assert distance.max() <= allowed, f"{name}: states differ by {distance.max():.3g}, allowed {allowed:.3g}"
        return findings

    return agree


def table(result: Mapping[str, Any]) -> str:
    """Result of a contest as text."""
    lines = [f"{'':30}{'first s':>9}{'median s':>10}{'work/s':>10}{'times slower':>14}  setting"]
    for name, row in result["contenders"].items():
        times = f"{row['first_call_s']:9.2f}{row['warm_median_s']:10.4f}{row['work_per_s_median']:10.3g}"
        lines.append(f"{name:30}{times}{row['times_slower']:14.2f}  {row['setting']}")
    lines += [f"{name:30} skipped: {reason}" for name, reason in result["skipped"].items()]
    return "\n".join(lines)
