"""Makes snapshot pickles of random networks, without any code but ours: throw-away modules stand
in for the ones real snapshots name, and the source text inside would end the process if run."""

import contextlib
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import torch

from models.architecture import build
from models.layer_schedule import ScheduleOptions, schedule
from models.snapshot_structure import SCHEDULE_FIELDS
from tests.models.golden_weights import GOLDEN

BUFFERS = {
    *("transform", "freqs", "phases", "magnitude_ema", "up_filter", "down_filter"),
    *("w_avg", "resample_filter", "noise_const"),
}
SOURCE = "raise SystemExit('the source text of a snapshot was run')"
CASES = {"stylegan3-t": "T6", "stylegan3-r": "R6", "stylegan2": "SG2"}


class Module:
    """One network or submodule as it lies in a snapshot."""

    def __init__(self, class_name, state, version=6):
        self.class_name, self.state, self.version = class_name, state, version

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": SOURCE,
            "class_name": self.class_name,
            "state": self.state,
        }
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


class ThrowAway(types.ModuleType):
    pass


@contextlib.contextmanager
def throw_away_modules():
    names = ["torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util"]
    assert not any(name in sys.modules for name in names)
    for name in names:
        sys.modules[name] = ThrowAway(name)

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("a snapshot's own loader was called")

    persistence, util = sys.modules[names[1]], sys.modules[names[3]]
    _reconstruct_persistent_obj.__module__ = persistence.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    util.EasyDict = type("EasyDict", (dict,), {"__module__": util.__name__})
    try:
        yield util.EasyDict
    finally:
        for name in names:
            del sys.modules[name]


def random_state(shapes, seed=0):
    """Random tensors of the golden shapes: what they draw doesn't matter."""
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def expected_state(kind, seed=0):
    """A generator's tensors as after some training; names and shapes are the published ones."""
    case = case_of(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = dict(build(kind, case["kwargs"]).state_dict())
        for name in state:
            if name.endswith(("w_avg", "noise_strength")):
                state[name] = torch.randn_like(state[name])
            elif name.endswith("magnitude_ema"):
                state[name] = torch.rand_like(state[name]) + 0.5
    assert {name: list(tensor.shape) for name, tensor in state.items()} == case["state_shapes"]
    return state


def case_of(kind):
    return GOLDEN[CASES[kind]]


def tree(state, attributes, class_name, path=""):
    """Turn a flat state dict into nested modules with the attributes that snapshots store."""
    own, below = {}, {}
    for name, tensor in state.items():
        head, dot, rest = name.partition(".")
        (below.setdefault(head, {}) if dot else own)[rest if dot else head] = tensor
    parameters = OrderedDict(
        (name, torch.nn.Parameter(tensor, requires_grad=False))
        for name, tensor in own.items()
        if name not in BUFFERS
    )
    buffers = OrderedDict((name, tensor) for name, tensor in own.items() if name in BUFFERS)
    if "magnitude_ema" in buffers:
        for name in ("up_filter", "down_filter"):
            buffers.setdefault(name, None)
    modules = OrderedDict(
        (name, tree(part, attributes, name, f"{path}{name}.")) for name, part in below.items()
    )
    hooks = {f"_hook_{index}": OrderedDict() for index in range(12)}
    full = {"training": False, "_parameters": parameters, "_buffers": buffers, **hooks}
    full |= {"_non_persistent_buffers_set": set(), "_modules": modules}
    return Module(class_name, full | attributes.get(path.rstrip("."), {}))


def stylegan3_attributes(kwargs):
    options = ScheduleOptions(**{k: v for k, v in kwargs.items() if k in SCHEDULE_FIELDS})
    specs = schedule(kwargs["img_resolution"], kwargs["img_channels"], options)
    first = specs[0].source
    attributes = {
        "synthesis": {
            "layer_names": [spec.name for spec in specs],
            "num_ws": len(specs) + 1,
            "num_layers": options.num_layers,
            "num_critical": options.num_critical,
            "margin_size": options.margin_size,
            "output_scale": 0.25,
            "num_fp16_res": options.num_fp16_res,
        },
        "synthesis.input": {
            "channels": first.channels,
            "size": np.array([first.size] * 2),
            "sampling_rate": np.float64(first.sampling_rate),
            "bandwidth": np.float64(first.cutoff),
        },
        "mapping": {"w_avg_beta": 0.998, "num_layers": 2, "embed": None},
    }
    for spec in specs:
        attributes[f"synthesis.{spec.name}"] = dict(layer_attributes(spec))
    return attributes


def layer_attributes(spec):
    for end, band in (("in", spec.source), ("out", spec.target)):
        yield f"{end}_channels", band.channels
        yield f"{end}_size", np.array([band.size] * 2)
        yield f"{end}_sampling_rate", np.float64(band.sampling_rate)
        yield f"{end}_cutoff", np.float64(band.cutoff)
        yield f"{end}_half_width", np.float64(band.half_width)
    yield "use_fp16", np.bool_(spec.use_fp16)
    yield "conv_clamp", 256
    yield "magnitude_ema_beta", 0.999
    yield "padding", [*spec.padding, *spec.padding]
    for name in ("is_torgb", "is_critically_sampled", "conv_kernel", "tmp_sampling_rate"):
        yield name, getattr(spec, name)
    for name in ("up_factor", "up_taps", "down_factor", "down_taps", "down_radial"):
        yield name, getattr(spec, name)


def stylegan2_attributes(kwargs, clamp=256, half_precision=4):
    attributes = {"mapping": {"w_avg_beta": 0.995, "num_layers": 2}}
    top = kwargs["img_resolution"]
    size = 4
    while size <= top:
        block = f"synthesis.b{size}"
        use_fp16 = size * 2**half_precision > top and size > 4
        attributes[block] = {"resolution": size, "architecture": "skip", "use_fp16": use_fp16}
        for name, up in (("conv0", 2), ("conv1", 1), ("torgb", None)):
            attributes[f"{block}.{name}"] = {"conv_clamp": clamp}
            if up:
                more = {"up": up, "resolution": size, "use_noise": True, "activation": "lrelu"}
                attributes[f"{block}.{name}"] |= more
        size *= 2
    return attributes


def generator(kind, state, easy_dict, *, nested=False, change=None):
    """One generator as a Module; `change(attributes, kwargs)` may spoil it."""
    kwargs = dict(case_of(kind)["kwargs"])
    make = stylegan2_attributes if kind == "stylegan2" else stylegan3_attributes
    attributes = make(kwargs)
    if change:
        change(attributes, kwargs)
    kwargs["mapping_kwargs"] = easy_dict(kwargs["mapping_kwargs"])
    if nested:
        names = ("channel_base", "channel_max", "num_fp16_res", "conv_clamp")
        inner = {name: kwargs.pop(name) for name in names if name in kwargs}
        kwargs["synthesis_kwargs"] = easy_dict(inner)
    attributes[""] = {"_init_args": (), "_init_kwargs": kwargs, "num_ws": 8}
    return tree(state, attributes, "Generator")


def snapshot_bytes(
    kind="stylegan3-t", protocol=4, *, seed=0, state=None, only_g_ema=False, **options
):
    """A whole snapshot (G, D, G_ema, augment_pipe, training_set_kwargs), or only its G_ema."""
    state = state or expected_state(kind, seed)
    other = random_state(GOLDEN["D_c3"]["state_shapes"], seed + 1)
    with throw_away_modules() as easy_dict:
        if only_g_ema:
            return pickle.dumps({"G_ema": generator(kind, state, easy_dict, **options)}, protocol)
        network = generator(kind, state, easy_dict, **options)
        content = {
            "G": network,
            "D": tree(other, {"": {"_init_args": (), "_init_kwargs": {}}}, "Discriminator"),
            "G_ema": generator(kind, state, easy_dict, **options),
            "augment_pipe": None,
            "training_set_kwargs": easy_dict(class_name="x.y", path="/home/someone/data.zip"),
        }
        return pickle.dumps(content, protocol=protocol)
