"""A word's result does not depend on the number of batches computed at once."""

import threading

import numpy as np
import pytest

from hybridner.batches.encoding import encode
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS, learner_class
from hybridner.model.weights import initial_weights
from hybridner.tagging.inference import predict_parts, predict_words

WORDS = ("the", "river", "Velmora", "is", "long", ".", "Anna", "met", "the", "mayor")
PATIENCE = 60


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return encode((Sentence(WORDS[: 1 + i % len(WORDS)]) for i in range(1200)), tokenizer, ("O",), 24)


class Recorder:
    """A model that returns each piece's id; the first lane waits until a second one computes in parallel."""

    row_multiple, rank, world_size = 1, 0, 1

    def __init__(self, num_lanes, fails_at=None):
        self.num_lanes, self.fails_at = num_lanes, fails_at
        self.calls = []
        self.lane_calls, self.second = 0, threading.Event()

    def predict(self, batch):
        in_lane = threading.current_thread() is not threading.main_thread()
        self.calls.append((batch.shape, in_lane))
        if len(self.calls) == self.fails_at:
            raise MemoryError
        if in_lane:
            self.lane_calls += 1
            if self.lane_calls == 2:
                self.second.set()
            assert self.second.wait(PATIENCE)
        return batch

    def gather(self, batch):
        return batch.input_ids[:, :, None].astype(np.float32)


@pytest.mark.parametrize("num_lanes", [1, 2])
def test_words_get_what_is_theirs_however_many_lanes_there_are(encoded, num_lanes):
    learner = Recorder(num_lanes)
    found = predict_words(learner, encoded, 0)
    assert len(learner.calls) > 4
    for number, words in enumerate(found):
        ids, labels = encoded.example(number)
        assert words[:, 0].tolist() == ids[labels >= 0].tolist()
    assert learner.second.is_set() == (num_lanes == 2)


def test_a_split_comes_in_parts_of_few_sentences(encoded, monkeypatch):
    whole = predict_words(Recorder(1), encoded, 0)
    monkeypatch.setattr("hybridner.batches.encoding._SENTENCES_AT_ONCE", 500)
    parts = list(predict_parts(Recorder(1), encoded, 0))
    assert [len(part) for part in parts] == [500, 500, 200]
    for one, other in zip([words for part in parts for words in part], whole, strict=True):
        assert np.array_equal(one, other)


def test_no_two_lanes_compile_for_a_shape(encoded):
    learner = Recorder(2)
    predict_words(learner, encoded, 0)
    first = dict(reversed(learner.calls))
    assert len(first) < len(learner.calls)
    assert not any(first.values())


def test_a_lane_out_of_memory_is_said_with_its_batch(encoded):
    with pytest.raises(InputError, match=r"out of memory with a batch of .*32 × 64"):
        predict_words(Recorder(2, fails_at=3), encoded, 0)


@pytest.mark.parametrize("average", [None, 0.5])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_gives_the_same_logits_from_lanes(backend, average, encoded):
    config = original_model(
        vocab_size=200, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=24, dropout=0.0
    )
    learner = learner_class(backend)(config, make_options("original", dtype="float64", device="cpu", average=average))
    learner.init(initial_weights(config, 3))
    found = []
    for num_lanes in (1, 2):
        learner.num_lanes = num_lanes
        found.append(np.concatenate(predict_words(learner, encoded, 0)))
    assert np.abs(found[0]).max() > 0.1
    assert np.abs(found[1] - found[0]).max() <= 1e-14
