"""From a model's name or path to a loaded model. Knows no show; imports torch only when it must.

Everything about a file is doubted here, before the doors open: its card, its fingerprint, its
header, its shapes and its numbers.
"""

import difflib
import os
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from models.architecture import (
    InvalidArguments,
    build,
    check_arguments,
    shape_differences,
    shapes_of,
    weight_count,
)
from models.card import Card, InvalidCard, read_card
from models.image_model import ImageModel
from models.testcard import TestCard
from models.weights_header import Entry, InvalidWeights, file_sha256, read_header

if TYPE_CHECKING:
    from torch import nn

TESTCARD = "testcard"
SUFFIX = ".safetensors"
CARD_SUFFIX = ".card.yaml"
BUNDLED = Path(__file__).parent / "weights"
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DEVICES = "auto, cpu, cuda or cuda:N"


class ModelUnavailable(Exception):
    """A model that can't be had: where it was looked for, what was found and what to do."""

    def __init__(self, place: str, found: str, expected: str, remedy: str) -> None:
        """Join the four parts into one sentence and keep them."""
        super().__init__(f"{place}: {found}; expected {expected}; {remedy}")
        self.place, self.found, self.expected, self.remedy = place, found, expected, remedy


def load_model(
    name_or_path: str | Path,
    device: str = "auto",
    precision: str = "auto",
    *,
    beside: Path | None = None,
) -> ImageModel:
    """Load a model, ready to map and synthesize; raises ModelUnavailable on any doubt.

    `beside` is the folder of the show that names it. `device` is auto, cpu, cuda or cuda:N;
    `precision` is auto, float32, bfloat16 or float16.
    """
    if precision not in PRECISIONS:
        wanted = ", ".join(PRECISIONS)
        raise ModelUnavailable(str(name_or_path), f"precision {precision!r}", wanted, "choose one")
    if str(name_or_path) == TESTCARD:
        return TestCard()
    path = find_model(name_or_path, beside=beside)
    card = _card_of(path)
    generator = _generator(path, card)
    from models.torch_model import TorchModel

    try:
        return TorchModel(generator, card, _device(device, path), precision)
    except (RuntimeError, MemoryError, ValueError) as error:
        remedy = "choose another device or precision, or free its memory"
        raise ModelUnavailable(str(path), f"{error}", f"room on device {device}", remedy) from error


def use_threads(count: int) -> None:
    """Let models on the CPU compute with `count` threads from now on, those still to come too.

    Without torch in memory there is nothing to tell.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)


def describe_model(name_or_path: str | Path, *, beside: Path | None = None) -> Card:
    """Return a model's card without loading its weights; raises ModelUnavailable."""
    if str(name_or_path) == TESTCARD:
        return TestCard().card
    return _card_of(find_model(name_or_path, beside=beside))


def find_model(name_or_path: str | Path, *, beside: Path | None = None) -> Path:
    """Return the .safetensors file a name or path stands for; raises ModelUnavailable.

    Looked for beside the show, then in $XDG_DATA_HOME/wanderer/models, then among the bundled.
    """
    name = str(name_or_path)
    if name.endswith(".pkl"):
        remedy = f"run: ./wanderer import-model {name}"
        raise ModelUnavailable(name, "a snapshot pickle", f"an imported model ({SUFFIX})", remedy)
    wanted = Path(name if name.endswith(SUFFIX) else name + SUFFIX)
    folders = search_folders(beside)
    for folder in folders:
        if (folder / wanted).is_file():  # an absolute `wanted` replaces the folder
            return folder / wanted
    near = difflib.get_close_matches(name, [TESTCARD, *_known(folders)], n=1)
    known = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_known(folders))}"
    places = ", ".join(str(folder) for folder in folders)
    raise ModelUnavailable(name, "no such model", f"{wanted} in {places}", known)


def search_folders(beside: Path | None = None) -> list[Path]:
    """Return the folders models are looked for in, first come first served."""
    return [beside or Path.cwd(), model_home(), BUNDLED]


def model_home() -> Path:
    """Return where import and training put models: $XDG_DATA_HOME/wanderer/models."""
    data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not data_home.is_absolute():  # unset or relative: the XDG specification says ignore it
        data_home = Path.home() / ".local" / "share"
    return data_home / "wanderer" / "models"


def card_path(weights: Path) -> Path:
    """Return where the card of a .safetensors file lies."""
    return weights.with_name(weights.name.removesuffix(SUFFIX) + CARD_SUFFIX)


def _known(folders: list[Path]) -> list[str]:
    """Names of all models that have a card, testcard last."""
    found: set[str] = set()
    for folder in folders:
        found |= {path.name.removesuffix(CARD_SUFFIX) for path in folder.glob(f"*{CARD_SUFFIX}")}
    return [*sorted(found), TESTCARD]


def _card_of(path: Path) -> Card:
    """Read the card beside the weights and check what it says about itself."""
    place = card_path(path)
    try:
        card = read_card(place)
        check_arguments(card.kind, card.arguments)
    except (InvalidCard, InvalidArguments) as error:
        remedy = "import or export the model again"
        found = str(error).removeprefix(f"{place}: ")
        raise ModelUnavailable(str(place), found, f"a card for {path.name}", remedy) from error
    stated = {
        "z_dim": card.z_dim,
        "c_dim": card.c_dim,
        "w_dim": card.w_dim,
        "img_resolution": card.resolution,
    }
    for argument, value in stated.items():
        if card.arguments[argument] != value:
            found = f"arguments.{argument} is {card.arguments[argument]}"
            raise ModelUnavailable(str(place), found, f"{value} as the card says", "mend the card")
    return card


def _generator(path: Path, card: Card) -> "nn.Module":
    """Build the card's generator and fill it, after every check that needs no memory."""
    import torch
    from safetensors.torch import load_file

    try:
        entries = read_header(path)
        digest = file_sha256(path)
    except (InvalidWeights, OSError) as error:
        remedy = "copy or import it again"
        raise ModelUnavailable(str(path), f"{error}", "a whole weights file", remedy) from error
    if digest != card.sha256:
        remedy = "the file was damaged or changed: copy or import it again"
        raise ModelUnavailable(str(path), f"sha256 {digest}", f"{card.sha256} (card)", remedy)
    generator = _built(path, card, entries)
    generator.load_state_dict(load_file(path), strict=True)
    for name, tensor in generator.state_dict().items():
        if not torch.isfinite(tensor).all():
            remedy = "take an earlier snapshot of this model"
            raise ModelUnavailable(str(path), f"{name} is not finite", "finite weights", remedy)
    return generator


def _built(path: Path, card: Card, entries: Mapping[str, Entry]) -> "nn.Module":
    """Build what the card describes, once it is known to be no larger than the weights."""
    place, remedy = str(card_path(path)), "use the card made with these weights"
    held = sum(prod(entry.shape) for entry in entries.values())
    try:
        count = weight_count(card.kind, card.arguments)
        if count > held:
            found, wanted = f"describes {count} weights", f"at most the {held} in {path.name}"
            raise ModelUnavailable(place, found, wanted, remedy)
        generator = build(card.kind, card.arguments)
    except InvalidArguments as error:
        wanted = f"arguments of a {card.kind}"
        raise ModelUnavailable(place, f"{error}", wanted, "mend the card") from error
    if generator.num_ws != card.num_ws:
        found = f"num_ws is {card.num_ws}"
        raise ModelUnavailable(place, found, f"{generator.num_ws}", "mend the card")
    shapes = {name: entry.shape for name, entry in entries.items()}
    for problem in shape_differences(shapes, shapes_of(generator)):
        raise ModelUnavailable(place, *problem, remedy)
    return generator


def _device(device: str, path: Path) -> str:
    """Return "cpu" or "cuda:N" for a device by name; raises ModelUnavailable."""
    import torch

    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    number = "0" if device == "cuda" else device.removeprefix("cuda:")
    if not device.startswith("cuda") or not number.isdecimal():
        raise ModelUnavailable(str(path), f"device {device!r}", DEVICES, "choose one")
    if int(number) >= torch.cuda.device_count():
        found = f"device {device}, of {torch.cuda.device_count()} CUDA devices"
        raise ModelUnavailable(str(path), found, "one that is there", "use device auto or cpu")
    return f"cuda:{number}"
