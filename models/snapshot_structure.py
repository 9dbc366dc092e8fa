"""Which network a snapshot holds, told by its structure and checked number by number.

The names of classes are the same in many projects, so they are never trusted. What decides a
picture (rates, cutoffs, sizes, clamps) is stored in every layer: it must equal what our own
schedule makes of the same arguments, else the file comes from a modified program.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.layer_schedule import LayerSpec, ScheduleOptions, schedule
from models.pickle_stubs import Record
from models.snapshot_stylegan2 import stylegan2_arguments
from models.stored_attributes import (
    UnfamiliarNetwork,
    accept,
    compare,
    complete_mapping,
    init_arguments,
    submodules,
)

LAYER_NAME = re.compile(r"L\d+_\d+_\d+")
MAPPING_LR = 0.01
SCHEDULE_FIELDS = tuple(ScheduleOptions.__dataclass_fields__)

# A layer without these can't be compared at all.
ESSENTIAL = {
    f"{end}_{what}"
    for end in ("in", "out")
    for what in ("size", "sampling_rate", "cutoff", "half_width")
} | {"conv_kernel", "conv_clamp"}


@dataclass(frozen=True)
class Structure:
    """A generator's kind ("stylegan3-t", …) and the arguments that build it here."""

    kind: str
    arguments: dict[str, Any]


def identify(root: Record) -> Structure:
    """Tell what generator a record is; raises UnfamiliarNetwork naming the first difference."""
    synthesis = submodules(root).get("synthesis")
    mapping = submodules(root).get("mapping")
    if synthesis is None or mapping is None:
        raise _unknown(root)
    layers = submodules(synthesis)
    if "input" in layers and any(LAYER_NAME.fullmatch(name) for name in layers):
        structure = _stylegan3(root, synthesis, mapping)
    elif {"b4", "b8"} <= layers.keys():
        structure = Structure("stylegan2", stylegan2_arguments(root, synthesis, mapping))
    else:
        raise _unknown(root)
    _check_mapping(mapping, structure.arguments)
    return structure


def _stylegan3(root: Record, synthesis: Record, mapping: Record) -> Structure:
    arguments = init_arguments(root)
    complete_mapping(arguments, mapping)
    radial = arguments.get("use_radial_filters", False) is True
    kind = "stylegan3-r" if radial else "stylegan3-t"
    accept(kind, arguments)
    options = ScheduleOptions(**{k: v for k, v in arguments.items() if k in SCHEDULE_FIELDS})
    try:
        specs = schedule(arguments["img_resolution"], arguments["img_channels"], options)
    except (ValueError, ArithmeticError) as error:
        raise UnfamiliarNetwork(f"was made with arguments that don't fit: {error}") from error
    names = tuple(spec.name for spec in specs)
    layers = submodules(synthesis)
    if set(layers) != {"input", *names}:
        odd = sorted(set(layers) ^ {"input", *names})
        raise UnfamiliarNetwork(f"has other layers than our schedule: {', '.join(odd)[:120]}")
    _check_synthesis(synthesis, specs, arguments, options)
    for spec in specs:
        expected = dict(_layer_attributes(spec, arguments))
        compare(f"synthesis.{spec.name}", layers[spec.name], expected, ESSENTIAL)
    return Structure(kind, arguments)


def _check_synthesis(
    synthesis: Record,
    specs: tuple[LayerSpec, ...],
    arguments: Mapping[str, Any],
    options: ScheduleOptions,
) -> None:
    first = specs[0].source
    expected = {
        "layer_names": tuple(spec.name for spec in specs),
        "num_ws": len(specs) + 1,
        "num_layers": options.num_layers,
        "num_critical": options.num_critical,
        "margin_size": options.margin_size,
        "output_scale": arguments.get("output_scale", 0.25),
        "num_fp16_res": options.num_fp16_res,
    }
    compare("synthesis", synthesis, expected, {"output_scale"})
    features = {
        "channels": first.channels,
        "size": (first.size, first.size),
        "sampling_rate": first.sampling_rate,
        "bandwidth": first.cutoff,
    }
    compare("synthesis.input", submodules(synthesis)["input"], features, set(features))


def _layer_attributes(spec: LayerSpec, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a published snapshot stores in one layer, by our schedule."""
    for end, band in (("in", spec.source), ("out", spec.target)):
        yield f"{end}_channels", band.channels
        yield f"{end}_size", (band.size, band.size)
        yield f"{end}_sampling_rate", band.sampling_rate
        yield f"{end}_cutoff", band.cutoff
        yield f"{end}_half_width", band.half_width
    own = ("is_torgb", "is_critically_sampled", "use_fp16", "conv_kernel", "tmp_sampling_rate")
    for name in (*own, "up_factor", "up_taps", "down_factor", "down_taps", "down_radial"):
        yield name, getattr(spec, name)
    yield "padding", (*spec.padding, *spec.padding)
    yield "conv_clamp", arguments.get("conv_clamp", 256)
    yield "magnitude_ema_beta", arguments.get("magnitude_ema_beta", 0.999)


def _check_mapping(mapping: Record, arguments: Mapping[str, Any]) -> None:
    options = arguments["mapping_kwargs"]
    names = {f"fc{index}" for index in range(options["num_layers"])}
    names |= {"embed"} if arguments["c_dim"] else set()
    layers = submodules(mapping)
    if set(layers) != names:
        odd = sorted(set(layers) ^ names)
        raise UnfamiliarNetwork(f"has other mapping layers than ours: {', '.join(odd)[:120]}")
    width = arguments["z_dim"] + (arguments["w_dim"] if arguments["c_dim"] else 0)
    for index in range(options["num_layers"]):
        gain = options.get("lr_multiplier", MAPPING_LR) / math.sqrt(width)
        expected = {"weight_gain": gain, "activation": "lrelu"}
        compare(f"mapping.fc{index}", layers[f"fc{index}"], expected, set())
        width = arguments["w_dim"]


def _unknown(root: Record) -> UnfamiliarNetwork:
    names = sorted({root.class_name, *(child.class_name for child in submodules(root).values())})
    listed = ", ".join(repr(name)[:40] for name in names[:6])
    return UnfamiliarNetwork(f"holds a network of unknown structure (classes {listed})")
