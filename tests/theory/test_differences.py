"""Norms by finite differences agree with those of `verify`, for every kind of model and q."""

import pytest

from companion import verify
from companion.theory.differences import by_differences
from tests.cases import names, point


@pytest.mark.parametrize("name", [each for each in names("") if "laplace" not in each][::4])
def test_norms_and_certificates_are_those_of_verify(name):
    report, found = verify(*point(name)), by_differences(*point(name))
    assert found.gradient_norm == pytest.approx(report.gradient_norm, rel=1e-4)
    assert found.certificate == pytest.approx(report.certificate, rel=1e-4)
