"""What tests of VMs share: one VM for those that leave it as it was."""

import pytest

from grt import vm as vms


@pytest.fixture(scope="session", autouse=True)
def fork_server():
    """Started before any test counts descriptors: the server that forks VMs stays until the end."""
    vms.VM().close()


@pytest.fixture
def vm():
    with vms.VM() as started:
        yield started


@pytest.fixture
def two_vms():
    with vms.VM() as one, vms.VM() as other:
        yield one, other
