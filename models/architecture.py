"""Which arguments each kind of generator takes, and how large they may be. Builds nothing itself.

A card or a snapshot is somebody else's file: its numbers are bounded here, before any of them
decides how much memory a network takes. torch is imported only inside `build`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.layer_schedule import ScheduleOptions, schedule

if TYPE_CHECKING:
    from torch import nn


class InvalidArguments(Exception):
    """An argument no generator of ours takes; the message names it, its value and the bound."""


@dataclass(frozen=True)
class Range:
    """Whole numbers (with `real`, any numbers) from `low` to `high`; None where `optional`."""

    low: float
    high: float
    real: bool = False
    optional: bool = False

    def refusal(self, value: object) -> str | None:
        """Say what was expected where `value` is outside, else None."""
        if value is None and self.optional:
            return None
        fits = isinstance(value, (int, float) if self.real else int) and not isinstance(value, bool)
        if fits and self.low <= value <= self.high:  # type: ignore[operator]  # a number by now
            return None
        noun = "a number" if self.real else "a whole number"
        return f"{noun} from {self.low:g} to {self.high:g}" + (" or null" if self.optional else "")


@dataclass(frozen=True)
class OneOf:
    """One of a few values, compared with their types (1 is not True)."""

    values: tuple[object, ...]

    def refusal(self, value: object) -> str | None:
        """Say what was expected where `value` is none of them, else None."""
        if any(type(value) is type(known) and value == known for known in self.values):
            return None
        return " or ".join(repr(known) for known in self.values)


Rule = Range | OneOf
SWITCH = OneOf((True, False))

SHAPE: dict[str, Rule] = {
    "z_dim": Range(1, 4096),
    "c_dim": Range(0, 65536),
    "w_dim": Range(1, 4096),
    "img_resolution": OneOf(tuple(2**n for n in range(2, 12))),
    "img_channels": OneOf((3,)),
}
MAPPING: dict[str, Rule] = {
    "num_layers": Range(1, 32),
    "lr_multiplier": Range(1e-6, 10, real=True),
    "w_avg_beta": Range(0, 1, real=True),
}
SYNTHESIS_3: dict[str, Rule] = {
    "channel_base": Range(1, 2**20),
    "channel_max": Range(1, 8192),
    "num_layers": Range(2, 32),
    "num_critical": Range(0, 31),
    "first_cutoff": Range(0.5, 2048, real=True),
    "first_stopband": Range(1, 4096, real=True),
    "last_stopband_rel": Range(0.1, 8, real=True),
    "margin_size": Range(0, 64),
    "output_scale": Range(1e-6, 1e3, real=True),
    "num_fp16_res": Range(0, 16),
    "conv_kernel": OneOf((1, 3)),
    "filter_size": Range(1, 16),
    "lrelu_upsampling": OneOf((1, 2, 4)),
    "use_radial_filters": SWITCH,
    "conv_clamp": Range(1e-3, 1e6, real=True, optional=True),
    "magnitude_ema_beta": Range(0, 1, real=True),
}
SYNTHESIS_2: dict[str, Rule] = {
    "channel_base": Range(1, 2**20),
    "channel_max": Range(1, 8192),
    "num_fp16_res": Range(0, 16),
    "conv_clamp": Range(1e-3, 1e6, real=True, optional=True),
}
SYNTHESIS: dict[str, dict[str, Rule]] = {
    "stylegan3-t": SYNTHESIS_3,
    "stylegan3-r": SYNTHESIS_3,
    "stylegan2": SYNTHESIS_2,
}


def check_arguments(kind: str, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidArguments where a generator of this kind can't be built from `arguments`."""
    if kind not in SYNTHESIS:
        raise InvalidArguments(f"kind: found {kind!r}, expected {' or '.join(SYNTHESIS)}")
    for name in SHAPE:
        if name not in arguments:
            raise InvalidArguments(f"{name}: is missing")
    mapping = arguments.get("mapping_kwargs", {})
    if not isinstance(mapping, Mapping):
        raise InvalidArguments("mapping_kwargs: expected a mapping of names to numbers")
    flat = {name: value for name, value in arguments.items() if name != "mapping_kwargs"}
    _check_each(flat, SHAPE | SYNTHESIS[kind], "")
    _check_each(mapping, MAPPING, "mapping_kwargs.")


def _check_each(values: Mapping[str, Any], rules: Mapping[str, Rule], prefix: str) -> None:
    for name, value in values.items():
        if name not in rules:
            known = ", ".join(sorted(rules))
            raise InvalidArguments(f"{prefix}{str(name)[:80]}: is unknown; known are {known}")
        expected = rules[name].refusal(value)
        if expected is not None:
            raise InvalidArguments(f"{prefix}{name}: found {_short(value)}, expected {expected}")


def _short(value: object) -> str:
    plain = isinstance(value, (int, float, str, bool, type(None)))
    return repr(value)[:60] if plain else f"a {type(value).__name__}"


def build(kind: str, arguments: Mapping[str, Any]) -> "nn.Module":
    """Build a generator with untrained weights: `weight_count` first, where arguments are foreign.

    Raises InvalidArguments.
    """
    check_arguments(kind, arguments)
    try:
        if kind == "stylegan2":
            from models import stylegan2

            generator: nn.Module = stylegan2.Generator(**arguments)
        else:
            from models import stylegan3

            generator = stylegan3.Generator(**arguments)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise InvalidArguments(f"arguments don't fit together: {error}") from error
    return generator


def weight_count(kind: str, arguments: Mapping[str, Any]) -> int:
    """Return how many weights a generator has, before any memory is taken for them.

    The constant buffers (filters, noise) are not counted; the bounds above keep them small. torch's
    meta device would count for us, but its first use imports torch's compiler: seconds of start-up.
    """
    check_arguments(kind, arguments)
    w_dim: int = arguments["w_dim"]
    synthesis = _weights_of_2 if kind == "stylegan2" else _weights_of_3
    options = {name: value for name, value in arguments.items() if name in SYNTHESIS[kind]}
    try:
        layers = synthesis(w_dim, arguments["img_resolution"], arguments["img_channels"], options)
    except (ValueError, ArithmeticError) as error:
        raise InvalidArguments(f"arguments don't fit together: {error}") from error
    depth: int = arguments.get("mapping_kwargs", {}).get(
        "num_layers", 8 if kind == "stylegan2" else 2
    )
    width: int = arguments["z_dim"]
    if arguments["c_dim"]:
        layers += (arguments["c_dim"] + 1) * w_dim
        width += w_dim
    return layers + (width + 1) * w_dim + (depth - 1) * (w_dim + 1) * w_dim


def _weights_of_3(w_dim: int, resolution: int, colours: int, options: dict[str, Any]) -> int:
    fields = {k: v for k, v in options.items() if k in ScheduleOptions.__dataclass_fields__}
    specs = schedule(resolution, colours, ScheduleOptions(**fields))
    total = specs[0].source.channels ** 2 + 4 * (w_dim + 1)
    for spec in specs:
        inputs, outputs = spec.source.channels, spec.target.channels
        total += outputs * (inputs * spec.conv_kernel**2 + 1) + inputs * (w_dim + 1)
    return total


def _weights_of_2(w_dim: int, resolution: int, colours: int, options: dict[str, Any]) -> int:
    base, most = options.get("channel_base", 32768), options.get("channel_max", 512)
    total, inputs, size = 0, 0, 4
    while size <= resolution:
        width = min(base // size, most)
        for source in (inputs, width):  # conv0 and conv1; the first block has a constant instead
            convolution = width * (source * 9 + 1) + 1 + source * (w_dim + 1)
            total += convolution if source else width * 16
        total += colours * (width + 1) + width * (w_dim + 1)
        inputs, size = width, size * 2
    return total


def shapes_of(generator: "nn.Module") -> dict[str, tuple[int, ...]]:
    """Return name -> shape of everything a generator stores."""
    return {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}


def shape_differences(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, str]]:
    """Yield (what was found, what was expected) for each tensor that isn't as it should be."""
    for name in sorted(expected.keys() - found.keys()):
        yield f"the weights lack {name}", f"{len(expected)} tensors"
    for name in sorted(found.keys() - expected.keys()):
        yield f"the weights have a tensor {name[:80]!r} too many", f"{len(expected)} tensors"
    for name in sorted(found.keys() & expected.keys()):
        if found[name] != expected[name]:
            yield f"{name} has shape {list(found[name])}", f"{list(expected[name])}"
