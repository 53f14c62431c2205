"""The Slurm tests run when asked for by `-m slurm`, as in `make test-slurm`, and then must."""

import tempfile

import pytest

from tests.workflow.cluster.slurm import Cluster, Unavailable, install


@pytest.fixture(scope="session")
def cluster():
    """A running Slurm of one node; where there can be none, the tests fail and say why."""
    try:
        install()
    except Unavailable as reason:
        pytest.fail(f"there is no Slurm to test with: {reason}", pytrace=False)
    # User munge must reach the folder, and pytest's own is closed to others.
    with tempfile.TemporaryDirectory(prefix="companion-slurm-") as folder:
        cluster = Cluster(folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
            assert not cluster.processes()
