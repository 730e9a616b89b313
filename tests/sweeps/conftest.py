"""Fixtures of the tests of sweeps."""

import pytest

from jaxdyn.sweeps.plan import Plan


@pytest.fixture
def computed(monkeypatch):
    """Regions that are computed during a test."""
    found, compute = [], Plan.compute

    def counting(self, region, wanted=None):
        found.append(region)
        return compute(self, region, wanted)

    monkeypatch.setattr(Plan, "compute", counting)
    return found
