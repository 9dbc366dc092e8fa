"""A few whole pictures, as they were when somebody looked at them and found them right.

Kept by renderer in tests/golden. On the renderer they were made with they must agree to one level
of 255; on another, nearly. WANDERER_BLESS=1 writes them anew: look at them before committing.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from installation.offscreen import OffscreenSurface
from installation.renderer import LayerPictures, Renderer

pytestmark = pytest.mark.gl

GOLDEN = Path(__file__).parents[1] / "golden"
VIEW = (128, 96)


def rings(side, seed):
    """Coloured rings with a white corner above left and a black one below left, nominal."""
    centre = np.random.default_rng(seed).uniform(0.3, 0.7, (3, 2, 1, 1))
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    image = np.sin(20.0 * np.hypot(x - centre[:, 0], y - centre[:, 1]) + seed)
    image[:, : side // 4, : side // 4] = 1.0
    image[:, -(side // 4) :, : side // 4] = -1.0
    return image.astype(np.float32)


PICTURES = {  # name: (sides, blends and opacities of the layers), options
    "magnified": ([(16, 0.0, 1.0)], {}),
    "crossfade": ([(16, 0.3, 1.0), (48, 0.6, 0.5)], {"fit": "stretch"}),
    "turned": ([(24, 0.5, 1.0)], {"fit": "cover", "rotation": 90, "gamma": 1.5, "tick": 7}),
    "shrunk": ([(256, 0.2, 1.0)], {"brightness": 0.6}),
}


def draw(name):
    layers, options = PICTURES[name]
    surface = OffscreenSurface(VIEW)
    renderer = Renderer(surface.ctx)
    pictures = []
    for number, (side, blend, opacity) in enumerate(layers):
        keys = [
            surface.ctx.texture_array((side, side, 3), 1, rings(side, 2 * number + key), dtype="f4")
            for key in (0, 1)
        ]
        pictures.append(LayerPictures(*keys, blend, opacity))
    surface.begin()
    renderer.draw(surface.fbo, (0, 0, *VIEW), pictures, **options)
    surface.present()
    seen = surface.read()
    for picture in pictures:
        picture.earlier.release()
        picture.later.release()
    renderer.release()
    info = surface.ctx.info
    surface.close()
    return seen, f"{info['GL_RENDERER']} {info['GL_VERSION']}"


def slug(renderer):
    return re.sub(r"[^a-z0-9.]+", "-", renderer.lower()).strip("-")


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_as_it_was_found_right(name, tmp_path):
    seen, renderer = draw(name)
    own = GOLDEN / slug(renderer) / f"{name}.png"
    if os.environ.get("WANDERER_BLESS") == "1":
        own.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(seen).save(own)
    golden = own if own.exists() else next(iter(sorted(GOLDEN.glob(f"*/{name}.png"))))
    wanted = np.asarray(Image.open(golden))
    difference = np.abs(seen.astype(int) - wanted)
    Image.fromarray(seen).save(tmp_path / "seen.png")
    Image.fromarray((np.minimum(difference * 32, 255)).astype(np.uint8)).save(
        tmp_path / "difference.png"
    )
    most, share = (1, 1.0) if golden == own else (8, 0.005)
    assert difference.max() <= most, f"{renderer}: compare {tmp_path}/seen.png with {golden}"
    assert (difference > 2).mean() <= share, f"{renderer}: see {tmp_path}/difference.png"


def test_pictures_are_kept_for_at_least_one_renderer():
    assert {path.stem for path in GOLDEN.glob("*/*.png")} == set(PICTURES)
