import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models import registry
from models.card import read_card, write_card
from models.registry import ModelUnavailable, describe_model, find_model, load_model, model_home
from models.testcard import TestCard
from models.weights_header import file_sha256
from tests.models.small_models import write_small_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    """Three empty folders where the registry looks."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "bundled")
    folders = [tmp_path / "show", tmp_path / "data" / "wanderer" / "models", tmp_path / "bundled"]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


@pytest.fixture
def show(homes):
    return homes[0]


def refused(finding, *args, **options):
    with pytest.raises(ModelUnavailable, match=finding) as caught:
        load_model(*args, **options)
    return caught.value


def recard(weights, **changes):
    """Rewrite a model's card with other contents, without asking whether they make sense."""
    path = registry.card_path(weights)
    card = read_card(path)
    arguments = card.arguments | changes.pop("arguments", {})
    write_card(card.model_copy(update={"arguments": arguments, **changes}), path)


def test_the_test_card_is_always_there():
    assert isinstance(load_model("testcard"), TestCard)
    assert describe_model("testcard").z_dim == 16


def test_models_are_found_in_the_promised_order(homes):
    for folder in reversed(homes):
        (folder / "a.safetensors").touch()
        assert find_model("a", beside=homes[0]) == folder / "a.safetensors"
        assert find_model("a.safetensors", beside=homes[0]) == folder / "a.safetensors"
    assert find_model(homes[2] / "a", beside=homes[0]) == homes[2] / "a.safetensors"


def test_a_relative_data_home_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_home() == tmp_path / ".local" / "share" / "wanderer" / "models"


def test_an_unknown_name_says_where_and_what_else(show):
    write_small_model(show, "stylegan3-t", "figures-64")
    error = refused("no such model", "figurs-64", beside=show)
    assert "did you mean 'figures-64'?" in error.remedy
    assert str(show) in error.expected
    error = refused("no such model", "zzz", beside=show)
    assert error.remedy == "known are figures-64, testcard"


def test_a_pickle_is_refused_with_the_command_to_run(show):
    error = refused("a snapshot pickle", "ffhq.pkl", beside=show)
    assert error.remedy == "run: ./wanderer import-model ffhq.pkl"


def test_a_loaded_model_carries_its_card(show):
    weights = write_small_model(show, "stylegan3-t", "small")
    model = load_model("small", device="cpu", beside=show)
    assert model.card == read_card(registry.card_path(weights)) == describe_model(weights)


def test_weights_without_a_card_are_refused(show):
    weights = write_small_model(show, "stylegan3-t")
    registry.card_path(weights).unlink()
    assert "can't be read" in refused("card.yaml", weights).found


def test_weights_unlike_the_card_are_refused(show):
    weights = write_small_model(show, "stylegan3-t")
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    error = refused("sha256", weights)
    assert file_sha256(weights) in error.found
    assert "damaged or changed" in error.remedy


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"arguments": {"channel_max": 4}}, "the weights lack synthesis.L0_24_4.affine.bias"),
        ({"arguments": {"num_layers": 5}}, "describes 3951 weights; expected at most the 3409 in"),
        ({"num_ws": 7}, "num_ws is 7; expected 6"),
        ({"num_ws": 3}, "num_ws is 3; expected 6"),
        ({"resolution": 32}, "arguments.img_resolution is 16; expected 32"),
        ({"arguments": {"wavelets": 1}}, "wavelets: is unknown; known are"),
        ({"arguments": {"channel_base": "many"}}, "channel_base: found 'many', expected a whole"),
        ({"arguments": {"channel_max": 10**9}}, "channel_max: found 1000000000, expected a whole"),
        ({"arguments": {"num_layers": True}}, "num_layers: found True, expected a whole number"),
        ({"arguments": {"img_channels": 4}}, "img_channels: found 4, expected 3"),
        ({"arguments": {"mapping_kwargs": 3}}, "mapping_kwargs: expected a mapping"),
        (
            {"arguments": {"mapping_kwargs": {"num_layers": 99}}},
            "mapping_kwargs.num_layers: found 99",
        ),
        ({"arguments": {"num_critical": 9}}, "don't fit together: num_critical is 9"),
        ({"kind": "testcard"}, "kind: found 'testcard', expected stylegan3-t or"),
    ],
)
def test_a_card_that_lies_is_refused_by_name(show, changes, finding):
    weights = write_small_model(show, "stylegan3-t")
    recard(weights, **changes)
    refused(finding, weights)


def test_a_greedy_card_is_refused_before_memory_is_taken(show):
    weights = write_small_model(show, "stylegan3-t")
    greedy = {"channel_base": 2**20, "channel_max": 8192, "img_resolution": 2048}
    greedy |= {"num_layers": 32, "filter_size": 16}
    recard(weights, arguments=greedy, resolution=2048, num_ws=34)
    program = (
        "import resource, sys, torch, models.stylegan3\n"
        "from models.registry import load_model, ModelUnavailable\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load_model(sys.argv[1], device='cpu')\n"
        "except ModelUnavailable as error:\n    sys.stdout.write(str(error))\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "assert grown < 400 * 1024, grown\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(weights)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "at most the" in done.stdout


def test_weights_that_are_not_finite_are_refused(show):
    def spoil(state):
        state["mapping.fc0.bias"][2] = float("inf")

    weights = write_small_model(show, "stylegan3-t", spoil=spoil)
    refused("mapping.fc0.bias is not finite", weights, device="cpu")


def test_whole_numbers_among_the_weights_are_refused(show):
    def spoil(state):
        state["mapping.fc0.bias"] = state["mapping.fc0.bias"].to(torch.int64)

    weights = write_small_model(show, "stylegan3-t", spoil=spoil)
    refused("'mapping.fc0.bias' is I64; expected F32, F16, BF16", weights)


def test_half_precision_weights_are_taken(show):
    def halve(state):
        for name in state:
            state[name] = state[name].to(torch.float16)

    weights = write_small_model(show, "stylegan3-t", spoil=halve)
    assert load_model(weights, device="cpu").resolution == 16


def with_header(header, data=b""):
    raw = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(raw)) + raw + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        (b"", "found 0 bytes"),
        (b"<html>not found</html>", "header claims"),
        (struct.pack("<Q", 2**63) + b"{}", "header claims 9223372036854775808 bytes"),
        (with_header(b"{"), "not JSON"),
        (with_header(b"[" * 100_000), "not JSON"),
        (with_header([1]), "not a table"),
        (with_header({"a": 3}), "'a' lacks dtype"),
        (with_header({"a": ONE}), "holds 0 bytes of data where its header tells of 4"),
        (with_header({"a": ONE}, bytes(5)), "holds 5 bytes of data"),
        (with_header({"a": ONE, "b": ONE}, bytes(8)), "overlap or leave gaps"),
        (with_header({"a": ONE | {"shape": [2]}}, bytes(4)), "doesn't fit its bytes"),
        (with_header({"a": ONE | {"shape": [-1, -1]}}, bytes(4)), "doesn't fit its bytes"),
        (with_header({"a": ONE | {"shape": [1] * 9}}, bytes(4)), "doesn't fit its bytes"),
        (with_header(b'{"a": {}, "a": {}}'), "not JSON"),
    ],
)
def test_a_damaged_weights_file_is_refused_before_it_is_loaded(show, raw, finding):
    weights = write_small_model(show, "stylegan3-t")
    weights.write_bytes(raw)
    recard(weights, sha256=file_sha256(weights))
    assert "copy or import it again" in refused(finding, weights).remedy


def test_devices_and_precisions_are_named_in_refusals(show):
    weights = write_small_model(show, "stylegan3-t")
    refused("precision 'float8'; expected auto, float32", weights, precision="float8")
    refused("device 'tpu'; expected auto, cpu, cuda or cuda:N", weights, device="tpu")
    refused("of .* CUDA devices; expected one that is there", weights, device="cuda:99")
