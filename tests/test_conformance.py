"""Every model with every method and analysis, through the battery of `battery.py`."""

import battery
import conformance
import pytest


# What an engine cannot run, eigenvalues for one, it hands on: told once a process, by whichever case comes first.
@pytest.mark.filterwarnings("ignore:engine Native falls back to Xla:RuntimeWarning")
@pytest.mark.parametrize(("name", "analysis"), conformance.cases())
def test_jit_vmap_and_eager_agree_and_new_values_cost_no_retrace(name, analysis, x64):
    battery.check_transformations(analysis, conformance.build(name))


@pytest.mark.parametrize(("name", "analysis"), conformance.cases(compiled=False))
def test_precision_is_kept(name, analysis):
    battery.check_precision(analysis, name)


@pytest.mark.parametrize("name", conformance.MODELS)
def test_gradients_equal_finite_differences(name, x64):
    battery.check_gradient(conformance.build(name))


@pytest.mark.parametrize("name", conformance.MODELS)
def test_trajectories_lower_for_accelerators(name):
    battery.check_lowering(conformance.build(name))
