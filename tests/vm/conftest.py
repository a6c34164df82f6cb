"""What tests of VMs share: one VM for those that leave it as it was."""

import sysconfig

import pytest

import grt
from grt import vm as vms


@pytest.fixture(scope="session", autouse=True)
def ready(request):
    if sysconfig.get_config_var("Py_GIL_DISABLED") and not grt.__compiled__:
        pytest.skip("without a GIL, in the pure build, greenlet before 3.5.3 crashes where list(channel) blocks")
    request.getfixturevalue("fork_server")


@pytest.fixture
def vm():
    with vms.VM() as started:
        yield started


@pytest.fixture
def two_vms():
    with vms.VM() as one, vms.VM() as other:
        yield one, other
