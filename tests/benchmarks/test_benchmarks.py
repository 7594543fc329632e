import json
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.experimental import rnn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import on_gpu, scaling
from benchmarks.cudnn_lstm import CudnnLSTM, layout_of
from benchmarks.cudnn_lstm_flax import call_by_cudnn
from benchmarks.gpu_contenders import patched, scan_unrolled
from benchmarks.matmul_rate import measure_matmul, rounding
from hybridner.batches.packing import Shape
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.model.weights import initial_weights
from hybridner.parity.samples import random_batch
from hybridner_flax import model as flax_model
from hybridner_flax.canonical import load_weights
from hybridner_flax.lstm import lstm_scan
from hybridner_torch import HybridNER
from hybridner_torch.layers import sentence_starts
from hybridner_torch.learner import Learner

CONFIG = original_model(vocab_size=60, num_labels=5, hidden_size=8, num_heads=2, num_encoder_layers=1, max_length=32)
LENGTHS = [9, 4, 12, 2, 1, 7, 5]
EXACT = 1e-12


def packed_batch():
    return random_batch(CONFIG, LENGTHS, 3, row_length=14, num_rows=5, packed=True)


def close(a, b):
    return np.linalg.norm(a - b) <= EXACT * np.linalg.norm(b)


@pytest.mark.parametrize("kind", ["rectangle", "packed"])
def test_the_lstm_that_cudnn_computes_gives_the_outputs_and_gradients_of_the_pytorch_twin(kind):
    batch = packed_batch()
    twin = HybridNER(CONFIG, seed=2, dtype=torch.float64, param_dtype=torch.float64).lstm
    cudnn = CudnnLSTM(twin, kind)
    cudnn.layout = layout_of(batch)
    mask = torch.from_numpy(batch.attention_mask)
    here = (mask != 0).double()[:, :, None]
    generator = torch.Generator().manual_seed(1)
    x, dy = (torch.randn(*mask.shape, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    x.requires_grad_()

    def outputs_and_gradients(lstm):
        lstm.zero_grad(set_to_none=True)
        x.grad = None
        y = lstm(x, sentence_starts(mask), None) * here
        y.backward(dy)
        return {"y": y.detach(), "x": x.grad, **{name: p.grad for name, p in lstm.named_parameters()}}

    a, b = outputs_and_gradients(cudnn), outputs_and_gradients(twin)
    assert list(a) == list(b)
    assert len(a) == 6
    for name, expected in b.items():
        assert expected.abs().max() > 0
        assert close(a[name].numpy(), expected.numpy()), name
    assert cudnn.computed_by.endswith("Backward0, float64")


@pytest.mark.slow
def test_the_lstm_that_cudnn_computes_gives_the_outputs_and_gradients_of_the_flax_twin():
    def reference(x, h_0, c_0, weights, lengths, *sizes):
        unpacked = rnn.unpack_lstm_weights(weights, 8, 8, 1, False)
        return rnn.lstm_ref(x, h_0, c_0, *unpacked, lengths, *sizes)

    mask = packed_batch().attention_mask
    rng = np.random.default_rng(1)
    x, dy = rng.standard_normal((2, *mask.shape, 8))
    dy *= (mask != 0)[:, :, None]
    with jax.enable_x64(True):
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        model = flax_model.HybridNER(CONFIG, **types)
        load_weights(model, initial_weights(CONFIG, 2))
        graphdef, params = nnx.split(model.lstm)
        starts = flax_model.sentence_starts(jnp.asarray(mask))

        def outputs_and_gradients():
            @jax.jit
            def run(params, x):
                y, back = jax.vjp(lambda p, x: nnx.merge(graphdef, p)(x, starts, None), params, x)
                return y * (mask != 0)[:, :, None], back(jnp.asarray(dy))

            return jax.tree.leaves(run(params, jnp.asarray(x)))

        expected = outputs_and_gradients()
        with mock.patch.object(flax_model.LSTM, "__call__", call_by_cudnn(len(LENGTHS), reference)):
            found = outputs_and_gradients()
    assert len(found) == len(expected) == 6
    for a, b in zip(found, expected, strict=True):
        assert np.abs(b).max() > 0
        assert close(np.asarray(a), np.asarray(b))


def test_an_unrolled_contender_unrolls_the_scan_of_the_twin_and_lets_go_of_it():
    arrays = jnp.ones((6, 2, 32)), jnp.ones((8, 32)), jnp.zeros((6, 2), bool)
    scan = jax.lax.scan

    def unrolls():
        text = str(jax.make_jaxpr(jax.grad(lambda *a: lstm_scan(*a).sum()))(*arrays))
        return [int(part.split()[0]) for part in text.split("unroll=")[1:]]

    with scan_unrolled(3):
        assert unrolls() == [3, 3]
    with patched("flax-unroll-2", 64):
        assert unrolls() == [2, 2]
    assert jax.lax.scan is scan


def test_the_type_that_a_matmul_rounds_to_is_told_from_its_error():
    assert measure_matmul("torch", "cpu", "float32", 1, 1)["rounds_as"] == "float32"
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 256, 256), np.float32)
    exact = a.astype(np.float64) @ b

    def error(bits):  # of the factors' mantissa
        cut = [((x.view(np.uint32) + (1 << (22 - bits))) & np.uint32(-1 << (23 - bits) & 0xFFFFFFFF)) for x in (a, b)]
        rounded = [x.view(np.float32).astype(np.float64) for x in cut]
        return np.linalg.norm(rounded[0] @ rounded[1] - exact) / np.linalg.norm(exact)

    assert rounding(error(10)) == "TF32"
    assert rounding(error(7)) == "bfloat16"


@pytest.mark.slow
def test_on_gpu_runs_from_start_to_end_on_a_cpu_and_tells_what_failed(tmp_path, capsys):
    report = tmp_path / "report.json"
    contenders = ("loop", "torch-cudnn-packed", "flax-cudnn")
    on_gpu.main(
        on_gpu.Options(
            preset="tiny",
            device="cpu",
            batch_sizes=(4,),
            dtypes=("float32",),
            contenders=contenders,
            rounds=1,
            steps=2,
            json=report,
        )
    )
    found = json.loads(report.read_text())
    loop, packed, failed = found["table"]
    assert [row["contender"] for row in found["table"]] == list(contenders)
    assert all(row["pieces_per_second"] > 0 for row in (loop, packed))
    assert loop["times_loop"] == 1
    assert loop["first_loss"] == pytest.approx(packed["first_loss"], rel=0.1)  # except for the dropout masks
    assert "gpu_rnn" in failed["failed"]
    assert found["matmul"]["matmul-flax float32"]["rounds_as"] == "float32"
    printed = capsys.readouterr().out
    assert "flax-cudnn          failed: " in printed
    assert found["device"] == ["cpu"]


def test_on_gpu_refuses_a_contender_that_does_not_exist():
    with pytest.raises(InputError, match="no contender 'tensorflow'; there are loop, torch, "):
        on_gpu.main(on_gpu.Options(contenders=("tensorflow",)))


def test_the_flop_of_a_step_are_those_that_pytorch_counts():
    config = original_model(
        vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=2, max_length=64
    )
    shape = Shape(3, 40)
    learner = Learner(config, make_options("original", device="cpu"))
    learner.init(initial_weights(config, 0))
    with FlopCounterMode(display=False) as counter:
        learner.step(scaling.full_rows(config, shape), 1e-3)
    # The forward scan adds its matmul in place, and the counter misses it.
    recurrent = 2 * shape.rows * shape.length * 16 * 64
    counted = counter.get_total_flops() + recurrent
    assert counted == scaling.weight_flops(config, shape) + scaling.attention_flops(config, shape)


def test_made_rows_are_full_of_sentences_of_about_twenty_pieces():
    batch = scaling.full_rows(CONFIG, Shape(2, 64))
    assert batch.attention_mask.min() == 1
    assert batch.lengths.tolist() == [22, 21, 21] * 2
    for row, start, length in zip(batch.rows, batch.starts, batch.lengths, strict=True):
        sentence = batch.attention_mask[row, start : start + length]
        assert len(set(sentence.tolist())) == 1
        assert (batch.attention_mask[row] == sentence[0]).sum() == length


@pytest.mark.slow
def test_scaling_writes_a_table_and_a_picture(tmp_path):
    report = tmp_path / "scaling.json"
    sizes = {"lengths": (8, 16), "rows": (1, 2), "hidden_sizes": (8, 16), "pieces": 32, "length": 16}
    scaling.main(
        scaling.Options(**sizes, num_encoder_layers=1, vocab_size=50, backends=("torch",), rounds=1, json=report)
    )
    by = json.loads(report.read_text())["by"]
    assert [(row["rows"], row["length"]) for row in by["length"]] == [(4, 8), (2, 16)]
    assert [row["rows"] for row in by["rows"]] == [1, 2]
    assert [row["hidden_size"] for row in by["hidden_size"]] == [8, 16]
    for row in by["length"]:
        seconds, flops = row["ms_a_step"] / 1e3, (row["gflop_weights"] + row["gflop_attention"]) * 1e9
        assert row["us_a_piece"] == pytest.approx(seconds * 1e6 / 32, rel=0.01)
        assert flops / seconds == pytest.approx(row["gflops"] * 1e9, rel=0.01, abs=6e7)
    assert report.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
