"""Draws figure number i of a seed: an Open Peeps bust as 64 (or so) pixels, and what it shows.

Knows no files but the style's own definition, no torch and no order: figure i depends on the seed
and on i, never on what was drawn before. Refuses mirroring: all figures look one way.
"""

import functools
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from numpy.typing import NDArray
from PIL import Image

RECIPE: Final = "peeps-1"  # change with anything below that changes a pixel or an attribute
LICENCE: Final = "Open Peeps by Pablo Stanley, CC0 1.0; drawn with DiceBear (MIT)"

# What is drawn was chosen on contact sheets at 64 px, 22 November 2026. Left out: heads that leave
# the frame (bun, bun2, buns, longAfro), are no person (bear, cyclops, monster, fang) or differ from
# a kept one by a few pixels only; pictures of masks; moustaches thinner than a pixel.
HEADS: Final = (
    *("afro", "bangs", "bangs2", "bantuKnots", "cornrows", "dreads1", "dreads2"),
    *("flatTop", "flatTopLong", "grayBun", "grayMedium", "grayShort", "hatBeanie", "hatHip"),
    *("hijab", "long", "longBangs", "longCurly", "medium1", "medium2", "mediumBangs"),
    *("mediumBangs3", "mediumStraight", "mohawk", "noHair1", "noHair3", "pomp", "shaved1"),
    *("short1", "short3", "short4", "short5", "turban", "twists", "twists2"),
)
INKED_HEADS: Final = ("noHair1", "turban")  # no hair to be seen; the manifest still has a colour
FACES: Final = (
    *("awe", "calm", "cheeky", "concerned", "cute", "driven", "explaining", "eyesClosed"),
    *("serious", "smile", "smileBig", "smileTeethGap", "solemn"),
)
FACIAL_HAIR: Final = ("chin", "full", "full2", "full3", "full4", "goatee2", "moustache2")
ACCESSORIES: Final = ("glasses", "glasses3", "glasses5", "sunglasses", "sunglasses2")

SKINS: Final = MappingProxyType(
    {
        "porcelain": "#ffdbb4",
        "sand": "#edb98a",
        "amber": "#d08b5b",
        "bronze": "#ae5d29",
        "umber": "#75523f",
    }
)
HAIR_COLOURS: Final = MappingProxyType(
    {
        "black": "#0d0a0a",
        "dark brown": "#3a2317",
        "chestnut": "#70401f",
        "copper": "#a8481b",
        "straw": "#c99a3f",
        "silver": "#9a9a9e",
    }
)
CLOTHING: Final = MappingProxyType(
    {
        "sky": "#8fa7df",
        "leaf": "#6fc57a",
        "apricot": "#ffbf66",
        "orchid": "#d973b9",
        "brick": "#c8503f",
        "aqua": "#7fd0d2",
        "lemon": "#fbe25a",
        "navy": "#3b4a7a",
        "ivory": "#f6f2e8",
        "charcoal": "#4a4a52",
    }
)
# Cool and pale, so that every skin and the black outline stand out.
BACKGROUNDS: Final = MappingProxyType(
    {
        "mist": "#cfe0e8",
        "sage": "#cbdcc4",
        "lilac": "#d6cfe6",
        "rose": "#efcfd2",
        "chalk": "#e8e6e0",
        "sea": "#9fc4c6",
    }
)

# Out of 100 figures. Half the hair is black: dark ink is what these drawings are made of.
_HAIR_WEIGHTS: Final = (46, 16, 12, 9, 9, 8)
_BEARDED: Final = 18
_BESPECTACLED: Final = 22

# One tenth larger than drawn and a little to the left: head and shoulders fill the frame, and the
# tallest kept hair (flatTopLong) still ends inside it.
_SCALE: Final = 1.1
_SHIFT_X, _SHIFT_Y = -4.0, -5.0  # percent of the frame
_SUPERSAMPLE: Final = 2  # resvg already averages edges; 3 took 17 ms a figure against 10 ms


@dataclass(frozen=True)
class Peep:
    """What one figure shows; every field is a name from the tables above, or None for nothing."""

    skin: str
    head: str
    hair_colour: str
    face: str
    facial_hair: str | None
    accessories: str | None
    clothing: str
    background: str

    def row(self) -> dict[str, str | None]:
        """Return the attributes as one manifest row."""
        return asdict(self)


def _uniform(seed: int, index: int, attribute: str) -> float:
    """A number in [0, 1) from SHA-256: the same for every version of every library, for ever.

    Each attribute has a stream of its own, so adding one leaves the others as they were.
    """
    digest = hashlib.sha256(f"{RECIPE}/{seed}/{index}/{attribute}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2.0**48


def peep(seed: int, index: int) -> Peep:
    """Choose the attributes of figure `index` of `seed`; all choices are independent."""

    def one_of(attribute: str, names: tuple[str, ...]) -> str:
        return names[int(_uniform(seed, index, attribute) * len(names))]

    def maybe(attribute: str, names: tuple[str, ...], percent: int) -> str | None:
        wanted = _uniform(seed, index, attribute + "?") * 100 < percent
        return one_of(attribute, names) if wanted else None

    hair = int(_uniform(seed, index, "hair") * sum(_HAIR_WEIGHTS))
    hair_index = int(np.searchsorted(np.cumsum(_HAIR_WEIGHTS), hair, side="right"))
    return Peep(
        skin=one_of("skin", tuple(SKINS)),
        head=one_of("head", HEADS),
        hair_colour=tuple(HAIR_COLOURS)[hair_index],
        face=one_of("face", FACES),
        facial_hair=maybe("facial hair", FACIAL_HAIR, _BEARDED),
        accessories=maybe("accessories", ACCESSORIES, _BESPECTACLED),
        clothing=one_of("clothing", tuple(CLOTHING)),
        background=one_of("background", tuple(BACKGROUNDS)),
    )


def _with_hair_colour(definition: dict[str, Any]) -> dict[str, Any]:
    """Give hair a colour of its own: the style draws most of it in the ink of the outlines.

    Heads and beards that have a fill (`headContrast`) keep black outlines and take the colour as
    fill; in the others, ink becomes hair. Eyes, noses, clothes, bald heads and turbans stay inked.
    """
    for part in ("head", "facialHair"):
        variants = definition["components"][part]["variants"]
        for name in variants:
            text = json.dumps(variants[name])
            if '"headContrast"' in text:
                text = text.replace('"headContrast"', '"hair"')
            elif name not in INKED_HEADS:
                text = text.replace('"ink"', '"hair"')
            variants[name] = json.loads(text)
    definition["colors"]["hair"] = {"values": list(HAIR_COLOURS.values())}
    return definition


@functools.cache
def _style() -> Style:
    text = files("dicebear_styles").joinpath("open-peeps.json").read_text("utf-8")
    return Style(_with_hair_colour(json.loads(text)))


def svg(figure: Peep) -> str:
    """Return the figure as SVG text; equal figures give equal text."""
    options: dict[str, Any] = {
        "seed": RECIPE,
        "idRandomization": False,
        "flip": "none",
        "scale": _SCALE,
        "translateX": _SHIFT_X,
        "translateY": _SHIFT_Y,
        "headVariant": figure.head,
        "expressionVariant": figure.face,
        "maskProbability": 0,
        "facialHairProbability": 0 if figure.facial_hair is None else 100,
        "accessoriesProbability": 0 if figure.accessories is None else 100,
        "skinColor": SKINS[figure.skin],
        "hairColor": HAIR_COLOURS[figure.hair_colour],
        "clothingColor": CLOTHING[figure.clothing],
        "backgroundColor": BACKGROUNDS[figure.background],
    }
    if figure.facial_hair is not None:
        options["facialHairVariant"] = figure.facial_hair
    if figure.accessories is not None:
        options["accessoriesVariant"] = figure.accessories
    return str(Avatar(_style(), options))


def draw(figure: Peep, size: int) -> NDArray[np.uint8]:
    """Draw a figure as uint8 [3, size, size], red first, top row first; about 12 ms at 64 px.

    Rendered at twice the size and reduced by Pillow's Lanczos filter, which of ten filters tried
    on a zone plate left the least alias (0.06 levels against 46 for cv2's and torch's bilinear).
    """
    wide = size * _SUPERSAMPLE
    png = resvg_py.svg_to_bytes(
        svg_string=svg(figure), width=wide, height=wide, skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))


def draw_range(seed: int, start: int, stop: int, size: int) -> NDArray[np.uint8]:
    """Draw figures start … stop - 1 of a seed as uint8 [stop - start, 3, size, size]."""
    return np.stack([draw(peep(seed, index), size) for index in range(start, stop)])


def recipe() -> Mapping[str, str]:
    """Name everything that decides a pixel: our recipe and the packages that draw."""
    packages = ("dicebear-core", "dicebear-styles", "resvg-py", "pillow")
    return {"recipe": RECIPE, **{name: version(name) for name in packages}}
