import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.evaluation.calibration import calibrate

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40)


def test_the_error_is_the_mean_distance_of_score_and_truth_over_the_entities():
    # Two at 0.95, one right: 0.45 off; two at 0.25, none right: 0.25 off.
    found = calibrate([0.95, 0.95, 0.25, 0.25], [True, False, False, False])
    assert found.ece == pytest.approx((2 * 0.45 + 2 * 0.25) / 4)
    assert (found.count, found.mean_score, found.right) == (4, pytest.approx(0.6), 0.25)
    filled = [(b.low, b.high, b.count, b.right) for b in found.bins if b.count]
    assert filled == [(0.2, 0.3, 2, 0.0), (0.9, 1.0, 2, 0.5)]


@pytest.mark.parametrize(("score", "low"), [(0.0, 0.0), (0.1, 0.0), (0.3, 0.2), (0.7, 0.6), (0.95, 0.9), (1.0, 0.9)])
def test_a_bin_includes_its_upper_bound_and_the_first_one_0(score, low):
    assert [b.low for b in calibrate([score], [True]).bins if b.count] == [low]


def test_calibrated_scores_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=200_000)
    right = rng.uniform(size=scores.size) < scores
    assert calibrate(scores, right).ece < 0.005
    assert calibrate(scores, rng.uniform(size=scores.size) < scores**2).ece > 0.1


@settings(deadline=None)
@given(ANSWERS)
def test_every_entity_is_in_one_bin_and_the_error_is_at_least_that_of_all_together(answers):
    found = calibrate([score for score, _ in answers], [right for _, right in answers])
    assert sum(b.count for b in found.bins) == found.count == len(answers)
    assert json.loads(json.dumps(found.to_dict()))["count"] == len(answers)
    if answers:
        assert abs(found.mean_score - found.right) - 1e-12 <= found.ece <= 1
        for b in found.bins:
            assert (b.mean_score is None) == (b.right is None) == (b.count == 0)
            assert b.count == 0 or b.low - 1e-12 <= b.mean_score <= b.high + 1e-12
    else:
        assert (found.ece, found.mean_score, found.right) == (None, None, None)


@pytest.mark.parametrize(
    ("scores", "right", "words"),
    [([0.5], [], "1 scores and 0 answers"), ([1.5], [True], "expected 0 to 1"), ([float("nan")], [True], "0 to 1")],
)
def test_scores_that_are_not_probabilities_are_refused(scores, right, words):
    with pytest.raises(ValueError, match=words):
        calibrate(scores, right)
