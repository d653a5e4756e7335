"""A network is cut in two where all flows through one tensor; the parts are the network, by the same layers."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import cut, weights_digest

X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
CUT_POINTS = ["entry", "first", "sum", "head"]


def build(activation: str = "relu", flipped: bool = False) -> Any:
    """Give entry -> first -> (branch -> sum, first -> sum) -> head; the branch has the name Keras gives it."""
    import keras

    keras.utils.set_random_seed(3)
    entry = keras.Input((4,), name="entry")
    first = keras.layers.Dense(6, activation=activation, name="first")(entry)
    branch = keras.layers.Dense(6)(first)
    joined = keras.layers.Subtract(name="sum")([first, branch] if flipped else [branch, first])
    return keras.Model(entry, keras.layers.Dense(2, name="head")(joined))


def answers(network: Any, x: Any = X) -> np.ndarray:
    return np.asarray(network(x))


@pytest.fixture
def network() -> Any:
    return build()


@pytest.mark.parametrize("layer", CUT_POINTS)
def test_suffix_after_prefix_is_the_network(layer: str, network: Any) -> None:
    prefix, suffix = cut(network, layer)
    np.testing.assert_array_equal(answers(suffix, prefix(X)), answers(network))
    assert prefix.output_shape == suffix.input_shape


def test_a_branch_is_no_place_to_cut_and_the_error_names_places(network: Any) -> None:
    branch = next(layer.name for layer in network.layers if layer.name not in CUT_POINTS)
    with pytest.raises(ZooError, match=rf"cannot cut .* at '{branch}'; expected one of the 4 layers .*(sum|first)"):
        cut(network, branch)


def test_the_error_for_an_unknown_layer_names_the_nearest_first(network: Any) -> None:
    with pytest.raises(ZooError, match=r"at 'frist'; .* such as first"):
        cut(network, "frist")


def test_nothing_can_be_cut_behind_a_second_output() -> None:
    import keras

    network = build()
    two = keras.Model(network.input, [network.output, network.get_layer("first").output])
    with pytest.raises(ZooError, match=r"one of the 2 layers .* first, entry"):
        cut(two, "sum")


def test_training_the_suffix_trains_the_network_and_not_the_prefix(network: Any) -> None:
    prefix, suffix = cut(network, "sum")
    old_answers, old_prefix, features = answers(network), answers(prefix), answers(prefix)
    suffix.compile("sgd", "mse")
    suffix.fit(features, np.ones((5, 2), np.float32), epochs=2, verbose=0)
    assert np.abs(answers(network) - old_answers).max() > 1e-3
    np.testing.assert_array_equal(answers(prefix), old_prefix)
    np.testing.assert_array_equal(answers(suffix, features), answers(network))


@pytest.mark.parametrize("layer", CUT_POINTS)
def test_both_parts_survive_saving_and_make_the_network_again(layer: str, network: Any, tmp_path: Path) -> None:
    import keras

    for name, part in zip(("prefix", "suffix"), cut(network, layer), strict=True):
        part.save(tmp_path / f"{name}.keras")
    prefix, suffix = (keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("prefix", "suffix"))
    whole = keras.Model(prefix.input, suffix(prefix.output))
    np.testing.assert_array_equal(answers(whole), answers(network))


def test_a_suffix_can_be_cut_again(network: Any) -> None:
    prefix, suffix = cut(network, "first")
    middle, end = cut(suffix, "sum")
    np.testing.assert_array_equal(answers(end, middle(prefix(X))), answers(network))


def test_of_a_layer_used_twice_the_last_use_counts() -> None:
    import keras

    entry = keras.Input((4,), name="entry")
    twice = keras.layers.Dense(4, name="twice")
    prefix, suffix = cut(keras.Model(entry, keras.layers.ReLU()(twice(twice(entry)))), "twice")
    np.testing.assert_array_equal(answers(prefix), np.asarray(twice(twice(X))))
    np.testing.assert_array_equal(answers(suffix, X[:, :4]), np.maximum(X, 0))


def test_equal_networks_have_one_digest_whatever_keras_calls_their_layers() -> None:
    first, second = build(), build()
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    assert weights_digest(first) == weights_digest(second)


def test_the_digest_survives_saving_and_cutting_the_loaded_network(network: Any, tmp_path: Path) -> None:
    import keras

    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert weights_digest(loaded) == weights_digest(network)
    for ours, theirs in zip(cut(network, "sum"), cut(loaded, "sum"), strict=True):
        assert weights_digest(ours) == weights_digest(theirs)


def test_the_digest_is_the_same_in_another_process(network: Any) -> None:
    imports = "from typing import Any\nfrom gender_pipeline.zoo import weights_digest"
    program = f"{imports}\n{inspect.getsource(build)}\nprint(weights_digest(build()))"
    environment = os.environ | {"PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == weights_digest(network)


def test_the_digest_ignores_what_is_trainable_and_whether_it_was_compiled(network: Any) -> None:
    old = weights_digest(network)
    network.compile("adam", "mse")
    network.trainable = False
    assert weights_digest(network) == old


@pytest.mark.parametrize("settings", [{"activation": "tanh"}, {"flipped": True}])
def test_the_digest_changes_with_a_setting_or_a_link(settings: dict[str, Any], network: Any) -> None:
    assert weights_digest(build(**settings)) != weights_digest(network)


def test_the_digest_changes_with_the_last_bit_of_one_weight(network: Any) -> None:
    old = weights_digest(network)
    kernel = network.get_layer("head").kernel
    values = np.array(kernel)
    values[0, 0] = np.nextafter(values[0, 0], np.float32(9))
    kernel.assign(values)
    assert weights_digest(network) != old


def test_a_model_inside_a_model_counts(network: Any) -> None:
    import keras

    entry = keras.Input((4,))
    first, second = (keras.Model(entry, inner(entry)) for inner in (network, build()))
    assert weights_digest(first) == weights_digest(second)
    assert weights_digest(first) != weights_digest(keras.Model(entry, build(flipped=True)(entry)))
