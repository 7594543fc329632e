"""Batches of words: features in place of pieces, and words taken for unknown as a function of (seed, epoch)."""

import numpy as np
import pytest

from hybridner.batches.batch import dropped_words, inference_batches, training_batches
from hybridner.batches.encoding import IGNORED, encode
from hybridner.batches.packing import ShapePlan
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.labels import bioes_labels, labels_of
from hybridner.corpora.sample import sample_sentences
from hybridner.text.vector_files import read_vectors
from hybridner.text.vocabulary import UNKNOWN, WORD, train_vocabulary

SENTENCES = list(sample_sentences("train"))[:90]
LABELS = bioes_labels(labels_of({tag[2:] for sentence in SENTENCES for tag in sentence.tags} - {""}))
VOCABULARY = train_vocabulary(SENTENCES, 30_000)


@pytest.fixture(scope="module")
def encoded():
    return encode(SENTENCES, VOCABULARY, LABELS, max_length=64)


def batches(encoded, batch_size=16, plan=None, **options):
    plan = plan or ShapePlan(encoded.lengths, batch_size)
    return training_batches(
        encoded, plan, **{"seed": 3, "epoch": 1, "batch_size": batch_size, "pad_token_id": 0, **options}
    )


def by_word(encoded, found):
    """The number of each word in the table of words, for each example."""
    return {e: values for batch in found for e, values in batch.at_words(batch.input_ids[..., WORD], encoded)}


def test_each_word_has_one_position_and_its_features(encoded):
    found = by_word(encoded, inference_batches(encoded, pad_token_id=0))
    assert len(found) == len(SENTENCES)
    for number, sentence in enumerate(SENTENCES):
        assert found[number].tolist() == [VOCABULARY.features(word)[WORD] for word in sentence.words]


def test_padding_is_zero_in_every_feature(encoded):
    for batch in inference_batches(encoded, pad_token_id=0):
        assert not batch.input_ids[batch.attention_mask == 0].any()
        assert batch.input_ids[batch.attention_mask != 0][:, WORD].all()


def test_labels_are_bioes_and_cover_every_word(encoded):
    names = [LABELS[number] for number in encoded.example(0)[1]]
    assert len(names) == len(SENTENCES[0].words)
    expected = encode([Sentence(("a", "b", "c"), ("B-PER", "I-PER", "B-PER"))], VOCABULARY, LABELS, 64).labels
    assert [LABELS[number] for number in expected] == ["B-PER", "E-PER", "S-PER"]


def test_an_entity_is_cut_where_the_labelled_part_of_a_window_ends():
    long = Sentence(tuple("abcdefghij"), ("B-PER", *("I-PER",) * 9))
    encoded = encode([long], VOCABULARY, LABELS, max_length=4)
    for example in range(len(encoded)):
        names = [LABELS[number] for number in encoded.example(example)[1] if number != IGNORED]
        assert names in (["S-PER"], ["B-PER", *["I-PER"] * (len(names) - 2), "E-PER"])


def test_words_taken_for_unknown_depend_on_seed_and_epoch_alone(encoded):
    chosen = by_word(encoded, batches(encoded))
    for other in (batches(encoded, batch_size=7), batches(encoded, start=2)):
        for example, words in by_word(encoded, other).items():
            assert words.tolist() == chosen[example].tolist()
    assert any(words.tolist() != chosen[e].tolist() for e, words in by_word(encoded, batches(encoded, epoch=2)).items())
    assert any(words.tolist() != chosen[e].tolist() for e, words in by_word(encoded, batches(encoded, seed=4)).items())


def test_words_are_taken_for_unknown_as_often_as_their_counts_say(encoded):
    dropped = np.mean([dropped_words(encoded, 3, epoch) for epoch in range(400)], axis=0)
    expected = encoded.types.drop[encoded.input_ids]
    assert np.abs(dropped - expected).max() < 0.15
    assert dropped.mean() == pytest.approx(expected.mean(), abs=0.005)


def test_only_training_takes_words_for_unknown(encoded):
    unknown = [(values == UNKNOWN).sum() for values in by_word(encoded, batches(encoded)).values()]
    assert sum(unknown) > 0
    known = [
        (values == UNKNOWN).sum() for values in by_word(encoded, inference_batches(encoded, pad_token_id=0)).values()
    ]
    assert sum(known) == 0


@pytest.fixture(scope="module")
def with_vectors(tmp_path_factory):
    """Encode with a vector for every second word: its number and 1."""
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    words = sorted({word for sentence in SENTENCES for word in sentence.words})[::2]
    path.write_text("".join(f"{word} {number} 1\n" for number, word in enumerate(words)), encoding="utf-8")
    vocabulary = train_vocabulary(SENTENCES, 30_000)
    vocabulary.vectors = read_vectors(path)
    return encode(SENTENCES, vocabulary, LABELS, max_length=64), vocabulary.vectors


def test_a_batch_has_the_vector_of_each_word_and_zeros_elsewhere(with_vectors):
    encoded, vectors = with_vectors
    found = {}
    for batch in inference_batches(encoded, pad_token_id=0):
        assert (batch.vectors.shape, batch.vectors.dtype) == ((*batch.labels.shape, 2), np.float32)
        assert not batch.vectors[batch.attention_mask == 0].any()
        found |= dict(batch.at_words(batch.vectors, encoded))
    for number, sentence in enumerate(SENTENCES):
        assert np.array_equal(found[number], vectors.take(vectors.find(sentence.words)))
    has_one = np.concatenate(list(found.values()))[:, 1]
    assert 0.3 < has_one.mean() < 0.9


def test_a_word_taken_for_unknown_keeps_its_vector(with_vectors):
    encoded, _ = with_vectors
    kept = 0
    for batch in batches(encoded):
        kept += batch.vectors[batch.input_ids[..., WORD] == UNKNOWN].any(-1).sum()
    assert kept > 0


def test_each_process_gets_the_vectors_of_its_rows(with_vectors):
    encoded, _ = with_vectors
    whole = next(batches(encoded, plan=ShapePlan(encoded.lengths, 16, 2)))
    for number in range(2):
        part = next(batches(encoded, plan=ShapePlan(encoded.lengths, 16, 2), part=(number, 2)))
        taken = whole.take_part(number, 2)
        assert np.array_equal(part.vectors, taken.vectors)
        assert len(part.vectors) == len(part.labels) == len(whole.labels) // 2


def test_without_vectors_a_batch_has_none(encoded):
    assert next(batches(encoded)).vectors is None
