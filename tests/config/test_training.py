import math

import pytest

import hybridner.training.train
from hybridner.cli import run
from hybridner.config.model import CRFHead, LSTMConfig, PiecesInput, WordsInput, original_model
from hybridner.config.presets import PRESETS, make_options, preset_for, sized
from hybridner.errors import InputError

SIZES = {"vocab_size": 10, "num_labels": 3}


@pytest.fixture
def typed(monkeypatch):
    """Return the options that a command line sets."""
    taken = []
    monkeypatch.setattr(
        hybridner.training.train, "run_training", lambda backend, options, explicit: taken.append(options)
    )

    def typed(*args):
        run(["train", "--backend", "torch", *args])
        return taken.pop()

    return typed


@pytest.mark.parametrize(("data", "preset"), [("sample", "tiny"), ("conll2003", "original"), ("my/folder", "original")])
def test_the_corpus_chooses_the_preset_that_was_not_named(data, preset):
    assert preset_for(data) == make_options(data=data).model.preset == preset
    assert make_options("tiny", data=data).model.preset == "tiny"


def test_the_original_preset_holds_the_original_hyperparameters():
    options = make_options("original").flat()
    expected = {
        "seed": 12,
        "batch_size": 64,
        "learning_rate": 3e-4,
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.01,
        "epochs": 50,
        "vocab_size": 30522,
        "hidden_size": 256,
        "num_heads": 4,
        "num_encoder_layers": 6,
        "dropout": 0.1,
        "input": "pieces",
        "lstm": "forward",
        "head": "softmax",
        "max_length": 1024,
    }
    assert {name: options[name] for name in expected} == expected


def test_a_preset_overrides_the_defaults_and_is_overridden_by_what_is_given():
    preset = PRESETS["tiny"]
    assert all(preset[name] != make_options("original").flat()[name] for name in preset)
    plain = make_options("tiny").flat()
    assert {name: plain[name] for name in preset} == preset
    assert make_options("tiny", epochs=3, seed=4).flat() == {**plain, "epochs": 3, "seed": 4}


def test_the_command_line_overrides_the_preset_wherever_it_names_it(typed):
    assert typed() == make_options("tiny")
    assert typed("--data", "conll2003") == make_options(data="conll2003")
    expected = make_options("original", epochs=3, hidden_size=64)
    assert typed("--epochs", "3", "--preset", "original", "--hidden-size=64") == expected
    assert typed("--hidden-size=64", "--preset=original", "--epochs=3") == expected


def test_the_python_call_and_the_command_line_name_the_same_options(monkeypatch, typed):
    by_command = typed("--data", "conll2003", "--max-steps", "5", "--lower-case", "--clip-norm", "1.5")
    taken = []
    monkeypatch.setattr(
        hybridner.training.train, "run_training", lambda backend, options, explicit: taken.append(options)
    )
    hybridner.train("torch", data="conll2003", max_steps=5, lower_case=True, clip_norm=1.5)
    assert taken == [by_command]


@pytest.mark.parametrize(("args", "value"), [((), None), (("--lower-case",), True), (("--no-lower-case",), False)])
def test_lower_case_is_unsaid_yes_or_no(typed, args, value):
    assert typed(*args).data.lower_case is value


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("epoch", "unknown option 'epoch'; did you mean 'epochs'?"),
        ("learning_rte", "did you mean 'learning_rate'?"),
        ("num_encoder_layer", "did you mean 'num_encoder_layers'?"),
        ("zzz", "unknown option 'zzz'; there are data, word_column, tag_column"),
    ],
)
def test_an_option_that_does_not_exist_is_answered_with_the_nearest(name, words):
    with pytest.raises(InputError) as caught:
        make_options(**{name: 1})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("orginal", "unknown preset 'orginal'; did you mean 'original'?"),
        ("huge", "unknown preset 'huge'; there are tiny, base, original"),
    ],
)
def test_a_preset_that_does_not_exist_is_answered_with_the_nearest(preset, words):
    with pytest.raises(InputError) as caught:
        make_options(preset)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"num_labels": -2}, "num_labels must be at least 1, not -2"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, not 0"),
        ({"num_heads": 0}, "num_heads must be at least 1, not 0"),
        ({"num_encoder_layers": -1}, "num_layers must be from 0 to 10,000, not -1"),
        ({"hidden_size": 30}, "hidden_size 30 is not divisible by num_heads 4"),
        ({"hidden_size": 9, "num_heads": 3}, "hidden_size must be even, not 9"),
        ({"max_length": 2}, "max_length must be at least 3, not 2"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, not 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, not -0.1"),
        ({"dropout": math.nan}, "dropout must be at least 0 and below 1, not nan"),
        ({"pad_token_id": 10}, "pad_token_id 10 is outside the vocabulary of 10"),
        ({"pad_token_id": -1}, "pad_token_id -1 is outside the vocabulary of 10"),
    ],
)
def test_a_model_that_cannot_be_names_the_value(values, words):
    with pytest.raises(InputError) as caught:
        original_model(**{**SIZES, **values})
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"log_every": 0}, "log_every must be at least 1, not 0"),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"accumulate": 0}, "accumulate must be at least 1, not 0"),
        ({"accumulate": 9, "batch_size": 8}, "accumulate 9 is more parts than batch_size 8 has sentences"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, not 0"),
        ({"average": 1.0}, "average must be above 0 and below 1, not 1.0"),
        ({"average": math.nan}, "average must be above 0 and below 1, not nan"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative, not -0.1"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative, not -1"),
        ({"seed": -1}, "seed must not be negative, not -1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, not 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0 and finite, not nan"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0 and finite, not 0.0"),
        ({"resume": True, "overwrite": True}, "resume and overwrite exclude each other"),
        ({"hidden_size": 30}, "hidden_size 30 is not divisible by num_heads 4"),
        ({"max_length": 2}, "max_length must be at least 3, not 2"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, not 1.0"),
    ],
)
def test_a_training_that_cannot_be_names_the_value(values, words):
    with pytest.raises(InputError) as caught:
        make_options(**values)
    assert str(caught.value) == words


def test_the_options_and_the_data_make_the_model():
    options = make_options("tiny", dropout=0.25, lstm="none")
    assert options.model.config(PiecesInput(77, pad_token_id=3, max_length=256), num_labels=5) == original_model(
        vocab_size=77,
        num_labels=5,
        hidden_size=128,
        num_heads=4,
        num_encoder_layers=2,
        max_length=256,
        pad_token_id=3,
        dropout=0.25,
        use_lstm=False,
    )


def test_the_preset_base_reads_words_and_has_a_crf():
    config = make_options("base").model.config(WordsInput(50, 9, 30), num_labels=9)
    assert config.encoder.norm == "pre"
    assert config.lstm == LSTMConfig("bidirectional", 200, 0.33, joins_input=True)
    assert config.head == CRFHead()
    assert (config.input_dropout, config.layer_dropout, config.attention_dropout) == (0.33, 0.2, 0.1)


@pytest.mark.parametrize(
    ("num_sentences", "epochs", "batch_size", "warmup_steps"),
    [(20, 60, 16, 12), (300, 60, 16, 114), (1443, 31, 16, 282), (14041, 10, 32, 400), (300_000, 4, 32, 400)],
)
def test_the_preset_base_sets_itself_by_the_size_of_the_train_split(num_sentences, epochs, batch_size, warmup_steps):
    options = sized(make_options("base"), set(), num_sentences).optimization
    assert (options.epochs, options.batch_size, options.warmup_steps) == (epochs, batch_size, warmup_steps)


def test_what_the_user_sets_stays_and_other_presets_stay_as_they_are():
    given = make_options("base", epochs=3, batch_size=7, warmup_steps=5)
    assert sized(given, {"epochs", "batch_size", "warmup_steps"}, 300) == given
    assert sized(make_options("original"), set(), 300) == make_options("original")


def test_an_option_of_earlier_versions_is_read():
    assert make_options("original", use_lstm=False) == make_options("original", lstm="none")
    assert make_options("original", use_lstm=True) == make_options("original")


def rates(schedule, warmup_steps, total_steps, peak=8.0):
    options = make_options("original", learning_rate=peak, schedule=schedule, warmup_steps=warmup_steps)
    return [options.optimization.learning_rate_at(step, total_steps) for step in range(total_steps + 2)]


def test_a_constant_rate_is_the_peak_from_the_first_step_to_the_last():
    assert rates("constant", 0, 5) == [8.0] * 7


def test_the_warm_up_grows_in_equal_parts_to_the_peak():
    assert rates("constant", 4, 6) == [2.0, 4.0, 6.0, 8.0, 8.0, 8.0, 8.0, 8.0]


def test_a_linear_rate_falls_in_equal_parts_and_stays_at_zero():
    assert rates("linear", 0, 4) == [8.0, 6.0, 4.0, 2.0, 0.0, 0.0]
    assert rates("linear", 2, 6) == [4.0, 8.0, 8.0, 6.0, 4.0, 2.0, 0.0, 0.0]


def test_a_cosine_rate_is_half_the_peak_half_way():
    found = rates("cosine", 2, 6)
    half_root = 4 * (1 + math.sqrt(0.5))
    assert found == pytest.approx([4.0, 8.0, 8.0, half_root, 4.0, 8 - half_root, 0.0, 0.0], abs=1e-15)


def test_a_warm_up_longer_than_the_run_never_reaches_the_peak():
    assert rates("linear", 16, 4)[:4] == [0.5, 1.0, 1.5, 2.0]
