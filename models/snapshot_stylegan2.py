"""The arguments of a StyleGAN2 generator, read from its submodules instead of from defaults.

Two programs wrote such snapshots, with different defaults for clamping, half precision and the
mean's decay; what a file doesn't say in its arguments it says in its layers.
"""

from collections.abc import Iterator
from typing import Any

from models.pickle_stubs import Record
from models.stored_attributes import (
    UnfamiliarNetwork,
    accept,
    compare,
    complete_mapping,
    init_arguments,
    plain,
    submodules,
)

IGNORED = ("fused_modconv_default",)  # chooses between two ways to compute the same
LAYERS = ("conv0", "conv1", "torgb")


def stylegan2_arguments(root: Record, synthesis: Record, mapping: Record) -> dict[str, Any]:
    """Return the arguments that build this generator; raises UnfamiliarNetwork."""
    arguments = init_arguments(root)
    nested = arguments.pop("synthesis_kwargs", {})
    if type(nested) is not dict:
        raise UnfamiliarNetwork("has synthesis arguments that aren't a table")
    arguments |= nested
    for name in IGNORED:
        arguments.pop(name, None)
    complete_mapping(arguments, mapping)
    blocks = _blocks(synthesis, arguments)
    arguments["conv_clamp"] = _common_clamp(blocks)
    arguments["num_fp16_res"] = sum(
        plain(block.state.get("use_fp16", False)) is True for block in blocks.values()
    )
    _drop_usual(arguments, "architecture", "skip")
    accept("stylegan2", arguments)
    _check_blocks(blocks, arguments["num_fp16_res"])
    return arguments


def _blocks(synthesis: Record, arguments: dict[str, Any]) -> dict[int, Record]:
    """Return the blocks by their resolution, which must be 4, 8, … up to the picture's."""
    found = submodules(synthesis)
    size = arguments.get("img_resolution")
    known = type(size) is int and 4 <= size <= 1 << 20
    sizes = [2**n for n in range(2, 21) if known and 2**n <= size]
    if {f"b{size}" for size in sizes} != set(found):
        listed = ", ".join(sorted(found))[:120]
        raise UnfamiliarNetwork(f"has blocks {listed} for pictures of {size} pixels")
    return {size: found[f"b{size}"] for size in sizes}


def _layers(blocks: dict[int, Record]) -> Iterator[tuple[int, str, Record]]:
    for size, block in blocks.items():
        for name, layer in submodules(block).items():
            if name in LAYERS:
                yield size, name, layer


def _common_clamp(blocks: dict[int, Record]) -> Any:  # noqa: ANN401  a number or None, checked later
    clamps = [
        plain(layer.state["conv_clamp"])
        for _, _, layer in _layers(blocks)
        if "conv_clamp" in layer.state
    ]
    if not clamps:
        raise UnfamiliarNetwork("does not say whether its layers clamp (conv_clamp)")
    if any(clamp != clamps[0] for clamp in clamps):
        raise UnfamiliarNetwork("clamps its layers differently (conv_clamp)")
    return clamps[0]


def _check_blocks(blocks: dict[int, Record], half_precision: int) -> None:
    top = max(blocks)
    for size, block in blocks.items():
        expected = {
            "resolution": size,
            "architecture": "skip",
            "is_last": size == top,
            "use_fp16": size * 2**half_precision > top,
        }
        compare(f"synthesis.b{size}", block, expected, set())
    for size, name, layer in _layers(blocks):
        expected = {"up": 2 if name == "conv0" else 1, "resolution": size}
        expected |= {"use_noise": True, "activation": "lrelu"}
        common = {} if name == "torgb" else expected
        compare(f"synthesis.b{size}.{name}", layer, common, set())


def _drop_usual(arguments: dict[str, Any], name: str, usual: object) -> None:
    """Leave out an argument at the one value that our generator has built in."""
    if arguments.get(name) == usual:
        del arguments[name]
