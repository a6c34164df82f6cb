"""Random programs of channel operations, with their goroutines in several threads: nothing is lost or doubled."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grt
from tests.model.conservation import Run
from tests.model.test_model import programs

EXAMPLES = int(os.environ.get("GRT_MODEL_EXAMPLES", "40"))


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize="GRT_MODEL_EXAMPLES" not in os.environ, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(st.lists(st.integers(0, 2), min_size=3, max_size=3), programs)
def test_programs_lose_and_double_nothing_whichever_thread_runs_them(capacities, program):
    grt.run(Run(capacities, program).do, procs=3)
