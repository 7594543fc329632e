import sys

import pytest

from benchmarks.load_memory import measure_all


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_loaded_model_holds_its_weights_once_and_loads_with_one_more_copy():
    for backend, memory in measure_all().items():
        assert 1 <= memory["held"] <= 1.3, backend
        assert memory["held"] <= memory["peak"] <= 2.3, backend
