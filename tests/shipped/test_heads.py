from __future__ import annotations

import pytest

from zoo_heads import Pooled

keras = pytest.importorskip("keras")


@pytest.mark.parametrize(("classes", "units", "activation"), [(2, 1, "sigmoid"), (3, 3, "softmax"), (7, 7, "softmax")])
def test_pooled_ends_in_probabilities(classes: int, units: int, activation: str) -> None:
    features = keras.Input((4, 5, 6))
    model = keras.Model(features, Pooled().build(features, classes))
    assert model.output_shape == (None, units)
    assert model.layers[-1].activation.__name__ == activation


def test_dropout_is_a_parameter() -> None:
    features = keras.Input((4, 4, 6))
    model = keras.Model(features, Pooled(dropout=0.5).build(features, 2))
    assert model.get_layer("head_dropout").rate == 0.5
    with pytest.raises(ValueError, match="dropout must be"):
        Pooled(dropout=1.0)
