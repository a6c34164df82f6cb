"""What grt.sync offers."""

import grt.sync


def test_its_names_are_there():
    assert {"Mutex", "Semaphore"} <= set(grt.sync.__all__)
