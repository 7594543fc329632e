"""The error measure of the parity checks: wrong signs, NaN and missing tensors do not fool it."""

import math

import numpy as np
import pytest

from hybridner.parity.bars import BARS, Finding
from hybridner.parity.errors import (
    bitwise_difference,
    bitwise_differences,
    global_norm,
    not_finite,
    relative_error,
    tensor_errors,
    worst,
)
from hybridner.parity.ladder import compare_weights, gradient_errors, relative_loss


class Holding:
    """A learner with the weights that the weights check reads."""

    def __init__(self, **tensors):
        self.tensors = {name: np.asarray(value) for name, value in tensors.items()}

    def weights(self):
        return self.tensors


def test_a_relative_error_is_a_ratio_of_norms():
    assert relative_error(np.array([3.0, 4.0]), np.array([3.0, 0.0])) == pytest.approx(4 / 3)
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(np.ones(3), np.zeros(3)) == math.inf


def test_a_relative_error_does_not_depend_on_the_scale():
    a, b = np.array([1.0, 2.0]), np.array([1.0, 2.5])
    assert relative_error(a * 1e-9, b * 1e-9) == pytest.approx(relative_error(a, b))


def test_differences_of_opposite_sign_do_not_cancel():
    b = np.ones(100)
    a = b + np.tile([1e-3, -1e-3], 50)
    assert (a - b).sum() == pytest.approx(0, abs=1e-12)
    assert relative_error(a, b) == pytest.approx(1e-3)


def test_float32_is_measured_in_float64():
    b = np.array([1e30], np.float32)
    assert relative_error(b * np.float32(2), b) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_infinitely_far_even_from_itself(value):
    strange = np.array([1.0, value])
    assert relative_error(strange, strange) == math.inf
    assert relative_error(np.ones(2), strange) == math.inf
    assert tensor_errors({"a": strange, "b": np.ones(2)}, {"a": strange, "b": np.ones(2)}) == {"a": math.inf, "b": 0}


def test_tensors_of_other_shapes_or_on_one_side_alone_are_infinitely_far():
    assert relative_error(np.ones((2, 3)), np.ones((3, 2))) == math.inf
    errors = tensor_errors({"a": np.ones(2), "b": np.ones(2)}, {"b": np.ones(3), "c": np.ones(2)})
    assert errors == {"a": math.inf, "b": math.inf, "c": math.inf}


def test_a_tiny_tensor_is_measured_beside_the_others():
    b = {"large": np.ones(4), "tiny": np.full(4, 1e-17)}
    a = {"large": np.ones(4), "tiny": np.full(4, 3e-17)}
    floor = 1e-3 * global_norm(b) / math.sqrt(2)
    assert tensor_errors(a, b)["tiny"] == pytest.approx(4e-17 / floor)
    assert tensor_errors(a, b)["tiny"] < 1e-12 < relative_error(a["tiny"], b["tiny"])


def test_a_tensor_of_fair_size_is_measured_against_itself():
    b = {"large": np.ones(4), "small": np.full(4, 1e-2)}
    a = {"large": np.ones(4), "small": np.full(4, 1.1e-2)}
    assert tensor_errors(a, b)["small"] == pytest.approx(0.1)


def test_the_worst_is_named_and_nan_is_worse_than_all():
    assert worst({"a": 1.0, "b": 3.0, "c": 2.0}) == ("b", 3.0)
    name, error = worst({"a": math.inf, "b": math.nan})
    assert (name, error) == ("a", math.inf) or math.isnan(error)
    assert math.isnan(worst({"a": 1.0, "b": math.nan})[1])


def test_bits_are_compared_under_names_and_types():
    a = {"x": np.array([0.0]), "y": np.ones(2, np.float32)}
    assert bitwise_difference(a, {name: value.copy() for name, value in a.items()}) is None
    assert bitwise_difference(a, {**a, "x": np.array([-0.0])}) == "x"
    assert bitwise_difference(a, {**a, "y": np.ones(2, np.float64)}) == "y"
    assert bitwise_difference(a, {**a, "y": np.ones((1, 2), np.float32)}) == "y"
    assert list(bitwise_differences(a, {"y": a["y"], "z": a["x"]})) == ["x", "z"]


def test_a_nan_is_found_by_name():
    assert not_finite({"x": np.ones(2), "y": np.array([1, np.nan]), "z": np.array([np.inf])}) == "y"
    assert not_finite({"x": np.ones(2)}) is None


def test_equal_weights_that_are_not_numbers_do_not_pass():
    both = Holding(x=[1.0, np.nan])
    found = compare_weights(both, both)
    assert not found.passed
    assert found.where.startswith("x ")


def test_the_check_of_weights_counts_what_differs_and_takes_minus_zero_for_a_difference():
    found = compare_weights(Holding(x=[1.0], y=[0.0], z=[5.0]), Holding(x=[1.5], y=[-0.0], z=[5.0]))
    assert not found.passed
    assert (found.error, found.where) == (math.inf, "y; 2 of 3 tensors differ")
    assert compare_weights(Holding(x=[1.0]), Holding(x=[1.0])).passed


def test_a_gradient_that_is_zero_in_truth_must_be_small_on_both_sides():
    bars = BARS["float64"]
    name = "layer.k_proj.bias"

    def error_of(left, right):
        a, b = ({"w": np.ones(1), name: np.array([value])} for value in (left, right))
        return gradient_errors(a, b, bars, {name})[name]

    assert error_of(5e-13, -5e-13) <= bars.gradients
    assert error_of(5e-12, 0.0) > bars.gradients
    assert error_of(0.0, 5e-12) > bars.gradients
    assert error_of(5e-12, 5e-12) > bars.gradients
    assert error_of(np.nan, 0.0) == math.inf


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_a_number_differs(loss):
    assert relative_loss(loss, loss) == math.inf
    assert relative_loss(1.0, loss) == math.inf
    assert relative_loss(0.0, 0.0) == 0
    assert relative_loss(1.5, 1.0) == 0.5


def test_a_finding_holds_within_its_bar_and_never_as_nan():
    assert Finding("gradients", 1e-12, "x", 1e-12).passed
    assert not Finding("gradients", 2e-12, "x", 1e-12).passed
    assert not Finding("gradients", math.nan, "x", 1e-12).passed
    assert Finding("optimizer", 1.0, "x", None).passed
