"""The integer hash that fills golden networks, and a reader of the golden file."""

import json
import math
from pathlib import Path

import numpy as np
import torch

GOLDEN = json.loads((Path(__file__).parent / "golden" / "stylegan3_golden.json").read_text())
KEPT = {"up_filter", "down_filter", "transform", "resample_filter"}


def hashed(count, salt):
    index = np.arange(1, count + 1, dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    x = (index * np.uint64(0x9E3779B1) + np.uint64((salt * 0x85EBCA6B) % 2**32)) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & mask
    x ^= x >> np.uint64(16)
    return math.sqrt(12) * (x.astype(np.float64) / 2**32 - 0.5)


def hashed_tensor(shape, salt, scale=1.0):
    values = hashed(math.prod(shape), salt) * scale
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def golden_value(key, v):
    leaf = key.rsplit(".", 1)[-1]
    rules = [
        (leaf == "magnitude_ema", lambda: 1 + 0.25 * v),
        (leaf == "noise_strength", lambda: 0.1 * v),
        (leaf == "phases", lambda: 0.25 * v),
        (key.endswith("input.affine.bias"), lambda: np.array([1.0, 0, 0, 0]) + 0.2 * v),
        (key.endswith("input.affine.weight"), lambda: 0.3 * v),
        (key.endswith("affine.bias"), lambda: 1 + 0.25 * v),
        (leaf == "w_avg", lambda: 0.3 * v),
        ("mapping.fc" in key and leaf == "weight", lambda: 100 * v),
        ("mapping.fc" in key and leaf == "bias", lambda: 10 * v),
        (leaf == "bias", lambda: 0.1 * v),
    ]
    return next((make() for matches, make in rules if matches), v)


def fill(module):
    """Replace every tensor of a module's state by its golden value; returns the module."""
    state = module.state_dict()
    for key, tensor in state.items():
        if key.rsplit(".", 1)[-1] in KEPT:
            continue
        salt = sum(j * ord(letter) for j, letter in enumerate(key, 1))
        values = golden_value(key, hashed(tensor.numel(), salt))
        state[key] = torch.from_numpy(np.asarray(values, dtype=np.float32)).reshape(tensor.shape)
    module.load_state_dict(state, strict=True)
    return module


def assert_matches(tensor, record, atol=1e-5):
    flat = tensor.detach().reshape(-1).to(torch.float64)
    assert list(tensor.shape) == record["shape"]
    found = flat[torch.tensor(record["sample_index"])]
    torch.testing.assert_close(
        found, torch.tensor(record["sample"], dtype=torch.float64), atol=atol, rtol=0
    )
    for name, value in [("mean", flat.mean()), ("min", flat.min()), ("max", flat.max())]:
        assert abs(value.item() - record[name]) <= atol, name
    assert abs(flat.std(correction=0).item() - record["std"]) <= atol
