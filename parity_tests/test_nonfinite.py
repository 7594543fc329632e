"""Both versions skip a non-finite step: it changes no bit, and the run equals the run without it."""

import dataclasses

import numpy as np
import pytest

from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.parity.bars import BARS
from hybridner.parity.devices import compare_traces
from hybridner_flax.step import BatchArrays, make_gradients, make_step
from parity_tests.skipping import BAD_STEPS, LEARNING_RATES, batches_for, skipping_trace, states_differ, weights_for

CONFIG = original_model(
    vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=64, dropout=0.0
)
STOP = make_options("original", dtype="float64", parallel="jit", device="cpu", average=0.3, clip_norm=0.1)
SKIP = STOP.replace(on_nonfinite="skip")
BOTH = pytest.mark.parametrize("which", [0, 1], ids=["flax", "torch"])


def steps(learner, numbers):
    for i in numbers:
        learner.step(batches_for(CONFIG, BAD_STEPS.get(i))[i % 3], LEARNING_RATES[i])
    return learner.snapshot()


@pytest.mark.slow
def test_both_twins_skip_the_same_steps_and_end_with_the_same_weights(make_twins):
    flax, torch = (skipping_trace(learner) for learner in make_twins(CONFIG, SKIP))
    finding = compare_traces(flax, torch, dataclasses.replace(BARS["float64"], devices=1e-12))
    assert finding.passed, finding
    assert [key for key in flax if key.startswith("skipped/")] == ["skipped/1", "skipped/3"]
    assert flax["count"].tolist() == [5, 2]


@BOTH
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_skipped_step_leaves_every_bit_as_it_was(make_twins, which, bad):
    learner = make_twins(CONFIG, SKIP)[which]
    learner.init(weights_for(CONFIG))
    before = steps(learner, [0])
    loss, gradients = learner.gradients(batches_for(CONFIG, bad)[1])
    assert np.isfinite(loss) == (bad == "gradient")
    assert np.isnan(float(learner.step(batches_for(CONFIG, bad)[1], 1e-3).loss_sum))
    after = learner.snapshot()
    assert states_differ(after, before) == []
    assert (before.step, before.skipped, after.step, after.skipped) == (1, 0, 2, 1)
    with np.errstate(over="ignore"):
        assert not np.isfinite(sum(float(np.square(g).sum()) for g in gradients.values()))
    learner.step(batches_for(CONFIG)[1], 1e-3)
    assert len(states_differ(learner.snapshot(), before)) > 20


@pytest.mark.slow
@BOTH
def test_a_run_that_skips_is_bit_for_bit_the_run_without_those_steps(make_twins, which):
    skipping, stopping = (make_twins(CONFIG, options)[which] for options in (SKIP, STOP))
    for learner in (skipping, stopping):
        learner.init(weights_for(CONFIG))
    with_bad = steps(skipping, range(5))
    without = steps(stopping, [0, 2, 4])
    assert states_differ(with_bad, without) == []
    assert with_bad.step - with_bad.skipped == without.step == 3


@BOTH
def test_a_state_with_skipped_steps_goes_on_as_if_it_had_not_been_saved(make_twins, which):
    learner = make_twins(CONFIG, SKIP)[which]
    learner.init(weights_for(CONFIG))
    middle = steps(learner, range(2))
    whole = steps(learner, range(2, 5))
    for other in (learner, make_twins(CONFIG, STOP)[which]):
        other.restore(middle)
        assert other.snapshot().skipped == 1
        assert states_differ(steps(other, [2]), steps_from(learner, middle)) == []
    learner.restore(middle)
    again = steps(learner, range(2, 5))
    assert (states_differ(again, whole), again.step, again.skipped) == ([], 5, 2)


def steps_from(learner, state):
    learner.restore(state)
    return steps(learner, [2])


@BOTH
def test_a_first_step_can_be_skipped(make_twins, which):
    learner = make_twins(CONFIG, SKIP)[which]
    learner.init(weights_for(CONFIG))
    before = learner.snapshot()
    learner.step(batches_for(CONFIG, "loss")[0], 1e-3)
    after = learner.snapshot()
    assert (states_differ(after, before), after.step, after.skipped) == ([], 1, 1)
    learner.restore(after)
    assert learner.snapshot().skipped == 1


def test_without_the_option_the_step_looks_for_nothing(make_twins):
    import jax
    from flax import nnx

    from hybridner_flax.model import HybridNER

    graphdef, params = nnx.split(HybridNER(CONFIG, seed=0), nnx.Param)
    learner = make_twins(CONFIG, SKIP)[0]
    learner.init(weights_for(CONFIG))
    arrays = BatchArrays(*(np.zeros((2, 8), np.int32),) * 3)
    key = np.zeros(2, np.uint32)
    counts = []
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), learner.state)
    for options in (STOP, SKIP):
        text = jax.jit(make_step(graphdef, options, None)).lower(like, arrays, key, np.float32(1)).as_text()
        counts.append(text.count("is_finite"))
    alone = jax.jit(make_gradients(graphdef, None)).lower(params, arrays, key).as_text().count("is_finite")
    assert counts == [alone, alone + 2]
