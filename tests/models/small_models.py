"""Writes small networks of random weights as model files: weights and card."""

import torch
from safetensors.torch import save_file

from models.architecture import build
from models.card import Card, write_card
from models.registry import card_path
from models.weights_header import file_sha256

SHAPE = {"z_dim": 8, "c_dim": 0, "w_dim": 12, "img_resolution": 16, "img_channels": 3}
SMALL = {"mapping_kwargs": {"num_layers": 2}, "channel_base": 128, "channel_max": 8}
ARGUMENTS = {
    "stylegan3-t": SHAPE | SMALL | {"num_layers": 4, "margin_size": 4},
    "stylegan3-r": SHAPE
    | SMALL
    | {"num_layers": 4, "margin_size": 4, "conv_kernel": 1, "use_radial_filters": True},
    "stylegan2": SHAPE | SMALL,
}


def write_small_model(folder, kind, name=None, *, seed=0, spoil=None, **arguments):
    """Write NAME.safetensors and its card; `spoil(state)` may change the tensors first."""
    arguments = ARGUMENTS[kind] | arguments
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = build(kind, arguments)
        state = {key: value.clone() for key, value in generator.state_dict().items()}
        state["mapping.w_avg"] = torch.randn(arguments["w_dim"])
    if spoil:
        spoil(state)
    weights = folder / f"{name or kind}.safetensors"
    save_file(state, weights)
    write_card(card_of(weights, kind, arguments, generator.num_ws), card_path(weights))
    return weights


def card_of(weights, kind, arguments, num_ws):
    return Card(
        name=weights.stem,
        kind=kind,
        arguments=arguments,
        resolution=arguments["img_resolution"],
        z_dim=arguments["z_dim"],
        c_dim=arguments["c_dim"],
        w_dim=arguments["w_dim"],
        num_ws=num_ws,
        sha256=file_sha256(weights),
    )
