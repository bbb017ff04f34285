"""Products of 8-bit numbers: weights rounded per output channel, activations at run time.

Each matrix product with constant weights gets them as int8 with one float32 scale an output
channel; the processor plugin rounds the activations group by group while it runs (dynamic
quantisation), so that no calibration texts are needed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Neighbouring activations that share a scale. Smaller is closer to float32, larger is faster.
GROUP = 128
_LARGEST = 127


def round_weights(
    weights: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a weight matrix to 8 bits, symmetric about zero.

    Args:
        weights: The matrix, shape (n, m).
        axis: Axis that is summed over in the product; each of the other's places has a scale.

    Returns:
        Rounded weights of the same shape, and scales that broadcast against them. No entry is off
        by more than half its scale.
    """
    largest = np.abs(weights).max(axis=axis, keepdims=True)
    # A row of zeros, or of numbers next to zero, must not be divided by zero.
    scales = np.maximum(largest / _LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
    rounded = np.clip(np.rint(weights / scales), -_LARGEST, _LARGEST)
    return rounded.astype(np.int8), scales


def quantise_network(network: Any) -> int:
    """Replace the constant weights of all matrix products by 8-bit ones.

    Args:
        network: An OpenVINO model, changed in place.

    Returns:
        How many products were changed.

    Cost:
        One pass over the weights.
    """
    from openvino import opset13 as ops

    changed = 0
    for node in network.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or len(constant.shape) != 2:
            continue
        axis = 1 if node.get_attributes()["transpose_b"] else 0
        weights = np.asarray(constant.get_data(), dtype=np.float32)
        rounded, scales = round_weights(weights, axis)
        floats = ops.convert(ops.constant(rounded), "f32")
        product = ops.multiply(floats, ops.constant(scales))
        node.input(1).replace_source_output(product.output(0))
        changed += 1
    return changed
