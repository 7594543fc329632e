import dataclasses
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hybridner
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.schemes import entity_spans, invalid_transitions
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS
from hybridner.parity.errors import bitwise_difference
from hybridner.saved.folder import save_model
from hybridner.tagging.inference import one_ahead, predict_chunks, predict_words
from hybridner.tagging.tagger import Tagger
from hybridner.text.words import join_words, split_words

TEXT = "The river Velmora is long. Anna Tarkin met the mayor of Dorst on Monday, they say; who knows?"
TEXTS = [
    TEXT,
    "",
    "Naïve Zoë’s 東京 🏳️‍🌈 trip\u200b to Dorst\r\n\r\nU.S.-led talks",
    " \n",
    "Dorst\x00\ufeff e\u0301 Ω",
    TEXT * 3,
]


@pytest.fixture(scope="module")
def taggers(saved_model):
    return {backend: hybridner.load(saved_model, backend, device="cpu") for backend in BACKENDS}


@pytest.fixture(scope="module", params=BACKENDS)
def tagger(taggers, request):
    return taggers[request.param]


@pytest.fixture(scope="module")
def torch_tagger(taggers):
    return taggers["torch"]


def assert_whole(tagged):
    """Check that every word has one tag, and that the entities agree with the tags and their place in the text."""
    text, words = tagged.text, tagged.words
    assert len(tagged.tags) == len(words)
    assert all(text[word.start : word.end] == word.text for word in words)
    assert invalid_transitions(tagged.tags) == 0
    assert len(tagged.entities) == sum(tag.startswith("B-") for tag in tagged.tags)
    starts = [word.start for word, tag in zip(words, tagged.tags, strict=True) if tag.startswith("B-")]
    assert [entity.start for entity in tagged.entities] == starts
    for entity in tagged.entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.label in {"PER", "ORG", "LOC", "MISC"}
        assert 0 < entity.score <= 1
    assert all(one.end <= other.start for one, other in itertools.pairwise(tagged.entities))


def test_offsets_count_in_the_text_on_any_unicode(tagger):
    found = list(tagger.tag_texts(TEXTS))
    assert [tagged.text for tagged in found] == TEXTS
    for tagged in found:
        assert_whole(tagged)
    assert sum(len(tagged.entities) for tagged in found) > 10
    assert any(" " in entity.text for tagged in found for entity in tagged.entities)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=30), max_size=3), st.sampled_from(["auto", "line", "none"]))
def test_any_text_is_tagged_whole(torch_tagger, texts, mode):
    for text, tagged in zip(texts, torch_tagger.tag_texts(texts, mode), strict=True):
        assert tagged.text == text
        assert_whole(tagged)
        inked = {i for word in tagged.words for i in range(word.start, word.end)}
        assert all(text[i].isspace() or not text[i].isprintable() for i in set(range(len(text))) - inked)


def test_nothing_to_tag_has_no_entities(tagger):
    assert tagger.tag("") == tagger.tag(" \t\r\n\u200b") == []
    assert tagger.tag_words([]) == []
    assert list(tagger.tag_texts([])) == []
    assert tagger.word_logits([[], []])[0][1].shape == (0, 9)


def test_the_tags_of_words_are_those_of_their_text(torch_tagger):
    sentence = "Anna Tarkin met the mayor of Dorst"
    (tagged,) = torch_tagger.tag_texts([sentence])
    assert torch_tagger.tag_words(sentence.split()) == tagged.tags
    assert torch_tagger.tag(sentence) == tagged.entities


def test_a_word_without_pieces_has_a_tag_too(torch_tagger):
    assert len(torch_tagger.tag_words(["\u200b", "", "Dorst", "\ufeff"])) == 4


def test_a_sentence_of_two_thousand_pieces_is_tagged_whole(tagger):
    text = "the river Velmora , who knows Anna Tarkin " * 250
    pieces = tagger.model.tokenizer.encode_sentences([[word.text for word in split_words(text)]])[0]
    assert sum(map(len, pieces)) >= 2000 > 50 * tagger.model.config.input.max_length
    (tagged,) = tagger.tag_texts([text], "none")
    assert_whole(tagged)
    assert len(tagged.tags) == 2000
    assert tagged.num_windowed == 1
    assert tagger.tag_words(text.split()) == tagged.tags


def test_windows_are_counted_by_sentence(torch_tagger):
    long, short = "who knows the mayor of Dorst " * 8, "who knows ?"
    found = list(torch_tagger.tag_texts([f"{long}\n{short}\n{long}", short, long], "line"))
    assert [tagged.num_windowed for tagged in found] == [2, 0, 1]


def test_threads_that_tag_at_once_get_what_each_gets_alone(tagger):
    texts = [f"Anna Tarkin met {'the mayor of ' * (n % 7)}Dorst on Monday {n}. {TEXT}" for n in range(24)]
    alone = [tagger.tag(text) for text in texts]
    assert len({tuple(found) for found in alone}) == len(texts)
    num_threads = 6
    start = threading.Barrier(num_threads)

    def tag_all(first):
        start.wait(60)
        order = [*range(first, len(texts)), *range(first)]
        return {n: tagger.tag(texts[n]) for n in order}

    with ThreadPoolExecutor(num_threads) as threads:
        for found in threads.map(tag_all, range(0, 24, 4)):
            assert [found[n] for n in range(len(texts))] == alone


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_predictor_holds_the_weights_and_it_holds_a_copy(model, backend):
    given = dataclasses.replace(model, weights={name: value.copy() for name, value in model.weights.items()})
    tagger = Tagger(given, backend, device="cpu")
    for value in given.weights.values():
        value[:] = 0
    assert bitwise_difference(tagger.predictor.weights(), model.weights) is None
    assert tagger.model == dataclasses.replace(model, weights={})


def test_both_twins_give_the_same_tags_and_scores(taggers):
    flax, torch = (list(taggers[backend].tag_texts(TEXTS)) for backend in BACKENDS)
    for a, b in zip(flax, torch, strict=True):
        assert a.tags == b.tags
        assert [dataclasses.replace(e, score=1) for e in a.entities] == [
            dataclasses.replace(e, score=1) for e in b.entities
        ]
        assert [e.score for e in a.entities] == pytest.approx([e.score for e in b.entities], rel=1e-4)


def test_what_stands_beside_a_text_does_not_change_it(torch_tagger):
    alone = torch_tagger.word_logits([TEXT.split()[:6]])[0][0]
    together = torch_tagger.word_logits([["who"], TEXT.split()[:6], TEXT.split() * 4])[0][1]
    assert np.abs(alone - together).max() <= 1e-5 * np.abs(alone).max()


def test_many_texts_come_back_in_order(torch_tagger, monkeypatch):
    monkeypatch.setattr("hybridner.tagging.tagger._TEXTS_AT_ONCE", 4)
    texts = [f"Anna knows {'the mayor ' * (n % 5)}of Dorst {n}." for n in range(11)]
    assert [tagged.text for tagged in torch_tagger.tag_texts(iter(texts))] == texts


def test_texts_are_read_as_they_are_tagged(torch_tagger, monkeypatch):
    monkeypatch.setattr("hybridner.tagging.tagger._TEXTS_AT_ONCE", 4)
    tagged = torch_tagger.tag_texts("Anna" for _ in itertools.count())  # endless
    assert len(list(itertools.islice(tagged, 10))) == 10


def test_logits_have_a_row_for_every_piece(tagger):
    ids = np.array([[2, 7, 9, 3], [2, 5, 3, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    logits = tagger.logits(ids, mask)
    assert logits.shape == (2, 4, 9)
    assert logits.dtype == np.float32
    alone = tagger.logits(ids[1:, :3], mask[1:, :3])
    assert np.abs(alone[0] - logits[1, :3]).max() <= 1e-5 * np.abs(alone).max()
    assert tagger.logits(ids.tolist(), mask.tolist()).shape == (2, 4, 9)


def test_logits_of_both_twins_agree(taggers):
    ids, mask = np.array([[2, 7, 9, 3, 2, 8, 3, 0]]), np.array([[1, 1, 1, 1, 2, 2, 2, 0]])
    a, b = (taggers[backend].logits(ids, mask)[0, :7] for backend in BACKENDS)
    assert np.linalg.norm(a - b) <= 2e-6 * np.linalg.norm(b)


@pytest.mark.parametrize(
    ("ids", "mask", "words"),
    [
        ([[2, 3]], [[1, 1, 1]], "input_ids (1, 2) and attention_mask (1, 3): expected two of one shape"),
        ([2, 3], [1, 1], "expected two of one shape [batch, length]"),
        ([[2, -1]], [[1, 1]], "ids must be from 0 to "),
        ([[2, 10_000]], [[1, 1]], "ids must be from 0 to "),
        ([[2] * 25], [[1] * 25], "rows of 25 pieces; expected at most 24"),
    ],
)
def test_logits_of_what_does_not_fit_are_refused(tagger, ids, mask, words):
    with pytest.raises(InputError) as caught:
        tagger.logits(ids, mask)
    assert words in str(caught.value)


def test_a_model_without_a_tokenizer_gives_logits_but_no_tags(model, tmp_path):
    save_model(tmp_path / "saved", dataclasses.replace(model, tokenizer=None))
    tagger = hybridner.load(tmp_path / "saved", "torch")
    assert tagger.logits([[2, 3]], [[1, 1]]).shape == (1, 2, 9)
    with pytest.raises(InputError, match="has no tokenizer; convert the model again with --tokenizer FILE"):
        tagger.tag("Anna")


def test_a_mode_a_twin_or_a_device_that_does_not_exist_is_named(saved_model, torch_tagger):
    with pytest.raises(InputError, match="unknown sentence mode 'auot'"):
        torch_tagger.tag("Anna", "auot")
    with pytest.raises(InputError, match="no backend 'tensorflow'; there are flax, torch"):
        hybridner.load(saved_model, "tensorflow")
    with pytest.raises(InputError, match="no device 'tpu' here"):
        hybridner.load(saved_model, "torch", device="tpu")
    with pytest.raises(InputError, match="--device mps is PyTorch's; with Flax use cpu, cuda or tpu"):
        hybridner.load(saved_model, "flax", device="mps")


def test_float64_is_computed_in_float64(saved_model, taggers):
    for backend in BACKENDS:
        wide = hybridner.load(saved_model, backend, device="cpu", dtype="float64").logits([[2, 7, 3]], [[1, 1, 1]])
        assert wide.dtype == np.float64
        narrow = taggers[backend].logits([[2, 7, 3]], [[1, 1, 1]])
        assert 0 < np.linalg.norm(wide - narrow) <= 2e-6 * np.linalg.norm(wide)


ODD = st.text(
    st.sampled_from(
        "abIZ s'.,-:/@<&\u0301\u0300\u200d\u200c\u200b\ufeff\u200f\u202e\r\n\t\x00\x85\u2028א日ไ👩🏽🇩🇪️\ud83d\udc00"
    ),
    max_size=12,
)
ANY = st.text(st.characters(categories=None), max_size=8)


@pytest.mark.slow
@settings(deadline=None, max_examples=125, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(ODD, ANY), min_size=80, max_size=80), st.sampled_from(["auto", "line", "none"]), st.booleans()
)
def test_the_offsets_of_10_000_texts_are_their_entities(torch_tagger, texts, mode, raw):
    for text, tagged in zip(texts, torch_tagger.tag_texts(texts, mode, raw=raw), strict=True):
        assert tagged.text == text
        assert all(text[entity.start : entity.end] == entity.text for entity in tagged.entities)
        assert all(text[word.start : word.end] == word.text for word in tagged.words)
        assert len(tagged.tags) == len(tagged.words)


@pytest.mark.slow
def test_a_document_of_100_000_words_is_tagged_as_its_sentences_alone(saved_model):
    tagger = hybridner.load(saved_model, "torch", device="cpu", dtype="float64")
    names = ("Anna Tarkin", "the mayor of Dorst", "Velmora", "who knows", "they say")
    sentences = [f"On Monday {a} met {b}." for a in names for b in names]
    document = " ".join(sentences * 500)
    (tagged,) = tagger.tag_texts([document])
    assert len(tagged.tags) == len(tagged.words) > 100_000
    assert len(tagged.sentence_ends) == 500 * len(sentences)
    alone = {text: one.tags for text, one in zip(sentences, tagger.tag_texts(sentences), strict=True)}
    starts = [0, *tagged.sentence_ends]
    for number, (start, end) in enumerate(itertools.pairwise(starts)):
        assert tagged.tags[start:end] == alone[sentences[number % len(sentences)]]


def test_raw_tags_are_the_argmax_and_others_are_valid(tagger):
    words = (TEXT * 3).split()
    (logits,), _ = tagger.word_logits([words])
    raw = tagger.tag_words(words, raw=True)
    assert raw == [tagger.model.labels[i] for i in logits.argmax(-1)]
    assert invalid_transitions(raw) > 0
    assert invalid_transitions(tagger.tag_words(words)) == 0
    (tagged,) = tagger.tag_texts([join_words(words)], raw=True)
    assert [(e.label, *e.words) for e in tagged.entities] == entity_spans(raw)
    assert all(0 < e.score <= 1 for e in tagged.entities)
    assert next(tagger.tag_texts([join_words(words)])).entities != tagged.entities
    assert tagger.tag(TEXT, raw=True) == next(tagger.tag_texts([TEXT], raw=True)).entities


def test_words_that_are_given_are_not_cut(torch_tagger):
    words = ["New York", "don't", "U.S", ".", "", "a\tb"]
    (tagged,) = torch_tagger.tag_texts([join_words(words)])
    assert [word.text for word in tagged.words] == words
    assert tagged.text == "New York don't U.S .  a\tb"
    assert_whole(tagged)


def test_what_was_taken_before_a_failure_is_tagged_first(torch_tagger, monkeypatch):
    monkeypatch.setattr("hybridner.tagging.tagger._TEXTS_AT_ONCE", 4)

    def texts():
        for n in range(11):
            yield f"Anna {n}."
        raise InputError("line 12")

    found = []
    with pytest.raises(InputError, match="line 12"):
        found.extend(tagged.text for tagged in torch_tagger.tag_texts(texts()))
    found = []
    stream = torch_tagger.tag_texts(texts())
    for _ in range(11):
        found.append(next(stream).text)
    assert found == [f"Anna {n}." for n in range(11)]


def test_long_texts_make_small_chunks(torch_tagger, monkeypatch):
    monkeypatch.setattr("hybridner.tagging.tagger._CHARACTERS_AT_ONCE", 100)
    taken = []
    stream = torch_tagger.tag_texts(taken.append(n) or "x" * 90 for n in range(99))
    next(stream)
    assert len(taken) < 20


def test_batches_have_few_shapes_whatever_the_texts(torch_tagger, monkeypatch):
    shapes = set()
    predict = torch_tagger.predictor.predict
    monkeypatch.setattr(
        torch_tagger.predictor, "predict", lambda batch: (shapes.add(batch.input_ids.shape), predict(batch))[1]
    )
    rng = np.random.default_rng(0)
    for _ in range(12):
        texts = ["who knows " * int(n) for n in rng.integers(0, 12, int(rng.integers(1, 300)))]
        assert len(list(torch_tagger.tag_texts(texts))) == len(texts)
    assert {(2, 64), (8, 64), (32, 64)} <= shapes <= {(1, 32), (1, 64), (2, 64), (8, 64), (32, 64)}
    shapes.clear()
    torch_tagger.tag("Anna met the mayor of Dorst.")
    assert shapes == {(1, 32)}


@pytest.mark.parametrize("text", ["x" * 10_000, "\x01\x1b\x7f" * 50, "\ud800" * 40, "\u0301" * 300, "a\u0301" * 5_000])
def test_odd_texts_are_tagged_whole(tagger, text):
    (tagged,) = tagger.tag_texts([text])
    assert_whole(tagged)
    assert tagged.text == text


def test_the_next_item_is_prepared_while_the_last_is_in_use():
    begun = [threading.Event() for _ in range(3)]
    results = one_ahead(lambda n: begun[n].set() or -n, range(3))
    for number, result in enumerate(results):
        assert result == -number
        if number < 2:
            assert begun[number + 1].wait(10)


def test_a_failure_in_preparing_is_the_callers():
    with pytest.raises(ZeroDivisionError):
        list(one_ahead(lambda n: 1 // n, [1, 0, 2]))


def test_chunks_are_predicted_as_by_themselves(torch_tagger):
    encode = torch_tagger.encode
    chunks = [(n, encode(Sentence(tuple(TEXT.split()[: n + k])) for k in range(n))) for n in (3, 1, 0, 5)]
    pad = torch_tagger.model.config.input.pad_token_id
    found = list(predict_chunks(torch_tagger.predictor, chunks, pad))
    assert [n for n, _ in found] == [3, 1, 0, 5]
    for (_, logits), (_, encoded) in zip(found, chunks, strict=True):
        expected = predict_words(torch_tagger.predictor, encoded, pad)
        assert [one.tolist() for one in logits] == [one.tolist() for one in expected]
