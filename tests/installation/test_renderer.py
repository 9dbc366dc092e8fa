"""What is drawn is what the formulas say, to within one of 255 levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from installation.offscreen import OffscreenSurface
from installation.placement import place
from installation.renderer import LayerPictures, Renderer

pytestmark = pytest.mark.gl

VIEW = (48, 40)


@pytest.fixture(scope="module")
def surface():
    made = OffscreenSurface(VIEW)
    yield made
    assert made.ctx.error == "GL_NO_ERROR"
    made.close()


@pytest.fixture(scope="module")
def renderer(surface):
    made = Renderer(surface.ctx)
    yield made
    made.release()


@pytest.fixture
def show(surface, renderer):
    """Draw nominal images [3, H, W] (or layers) and look."""
    textures = []

    def texture(image):
        planes = np.ascontiguousarray(image, np.float32)
        made = surface.ctx.texture_array((*planes.shape[:0:-1], len(planes)), 1, planes, dtype="f4")
        textures.append(made)
        return made

    def look(*images, viewport=(0, 0, *VIEW), layers=None, **options):
        if layers is None:
            made = [texture(image) for image in images]
            layers = [LayerPictures(one, one, 0.0) for one in made]
        surface.begin()
        surface.fbo.clear(1.0, 0.0, 1.0)
        renderer.draw(surface.fbo, viewport, layers, **options)
        surface.present()
        return surface.read()

    look.texture = texture
    yield look
    for made in textures:
        made.release()


def flat(*colour, side=4):
    """An image of one colour, given in levels of 255."""
    nominal = np.array(colour, np.float32) / 127.5 - 1.0
    return np.broadcast_to(nominal[:, None, None], (3, side, side))


def noise(height, width, seed=1):
    return np.random.default_rng(seed).uniform(-1.2, 1.2, (3, height, width)).astype(np.float32)


def levels(image):
    """[3, H, W] nominal to [H, W, 3] levels as floats, clamped."""
    return np.clip(image.transpose(1, 2, 0) * 0.5 + 0.5, 0.0, 1.0) * 255.0


# -- the same formulas in numpy --------------------------------------------------------------------


def cubic(x, b, c):
    x = np.abs(x)
    near = (12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + (6 - 2 * b)
    far = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + (8 * b + 24 * c)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def weights(span):
    """[pixels, texels]: how much of each texel, edges repeated, is in each pixel."""
    ratio = span.texels / span.extent_px
    width = max(1.0, ratio)
    at = (np.arange(span.count_px) + span.hidden_px + 0.5) * ratio - 0.5
    reach = int(np.ceil(2 * width)) + 1
    texels = np.arange(-reach, span.texels + reach)
    each = cubic((texels - at[:, None]) / width, *span.cubic)
    each /= each.sum(axis=1, keepdims=True)
    folded = np.zeros((span.count_px, span.texels))
    for column, texel in enumerate(np.clip(texels, 0, span.texels - 1)):
        folded[:, texel] += each[:, column]
    return folded


def dither(width, height, tick):
    """[H, W, 3] in (-0.495, 0.495), row 0 at the bottom: pcg3d, Jarzynski and Olano 2020."""
    y, x = np.mgrid[:height, :width].astype(np.uint32)
    v = [x, y, np.full_like(x, tick & 0xFFFFFFFF)]
    v = [axis * np.uint32(1664525) + np.uint32(1013904223) for axis in v]
    for last in (False, True):
        v[0] = v[0] + v[1] * v[2]
        v[1] = v[1] + v[2] * v[0]
        v[2] = v[2] + v[0] * v[1]
        if not last:
            v = [axis ^ (axis >> np.uint32(16)) for axis in v]
    return 0.99 * np.stack([((axis >> np.uint32(9)) + 0.5) / 2**23 - 0.5 for axis in v], axis=-1)


def expected(image, fit="contain", rotation=0, brightness=1.0, gamma=1.0, tick=0):
    """The whole picture [H, W, 3] uint8, top row first."""
    height, width = image.shape[1:]
    placement = place((width, height), VIEW, fit, rotation)
    upright = (levels(image) / 255.0)[::-1]  # row 0 at the bottom
    seen = np.einsum("px,yxc->ypc", weights(placement.across), upright)
    seen = np.einsum("qy,ypc->qpc", weights(placement.up), seen)
    if placement.swapped:
        seen = seen.transpose(1, 0, 2)
    along_x = placement.up if placement.swapped else placement.across
    along_y = placement.across if placement.swapped else placement.up
    seen = seen[:: -1 if along_y.reversed else 1, :: -1 if along_x.reversed else 1]
    x, y, wide, high = placement.rectangle
    graded = np.clip(seen, 0.0, 1.0) ** (1.0 / gamma) * brightness
    picture = np.zeros((VIEW[1], VIEW[0], 3))
    picture[y : y + high, x : x + wide] = graded * 255.0 + dither(wide, high, tick)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)[::-1]


def assert_close(seen, wanted, share=0.1):
    """At most one level apart, and that rarely: half floats round where dither decides."""
    difference = np.abs(seen.astype(int) - wanted.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= share


CASES = [
    {},
    {"fit": "cover"},
    {"fit": "stretch"},
    {"rotation": 90},
    {"rotation": 180, "fit": "cover"},
    {"rotation": 270, "fit": "stretch"},
    {"brightness": 0.3},
    {"gamma": 2.2},
    {"gamma": 0.5, "brightness": 0.7, "tick": 12345678901},
]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("size", [(12, 8), (5, 17), (96, 100)], ids=str)
def test_picture_is_what_the_formulas_say(show, size, options):
    image = noise(*size)
    assert_close(show(image, **options), expected(image, **options))


@settings(max_examples=25)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["contain", "cover", "stretch"]),
    st.sampled_from([0, 90, 180, 270]),
)
def test_every_size_fit_and_turn_follows_the_formulas(surface, renderer, height, width, fit, turn):
    image = noise(height, width)
    texture = surface.ctx.texture_array((width, height, 3), 1, image, dtype="f4")
    surface.begin()
    layer = LayerPictures(texture, texture, 0.0)
    renderer.draw(surface.fbo, (0, 0, *VIEW), [layer], fit=fit, rotation=turn)
    assert_close(surface.read(), expected(image, fit, turn))
    texture.release()


# -- colours ---------------------------------------------------------------------------------------


def test_flat_colours_keep_their_level(show):
    for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0), (10, 128, 200)):
        seen = show(flat(*colour), fit="stretch").astype(float)
        assert np.abs(seen - colour).max() <= 1
        assert np.abs(seen.mean(axis=(0, 1)) - colour).max() < 0.15


def test_black_and_white_are_never_dithered(show):
    for tick in range(5):
        assert (show(flat(0, 0, 0), fit="stretch", tick=tick) == 0).all()
        assert (show(flat(255, 255, 255), fit="stretch", tick=tick) == 255).all()


def test_colours_outside_the_nominal_range_are_clamped(show):
    assert (show(np.full((3, 2, 2), 7.0), fit="stretch") == 255).all()
    assert (show(np.full((3, 2, 2), -7.0), fit="stretch") == 0).all()


def test_between_two_levels_dither_gives_the_mean(show):
    seen = show(flat(100.5, 100.25, 100.0), fit="stretch").astype(float)
    assert np.abs(seen.mean(axis=(0, 1)) - (100.5, 100.25, 100.0)).max() < 0.1
    assert set(np.unique(seen[:, :, 0])) == {100.0, 101.0}


def test_equal_ticks_give_equal_pixels_and_others_differ_little(show):
    image = noise(12, 12)
    first = show(image, tick=4)
    assert np.array_equal(first, show(image, tick=4))
    other = show(image, tick=5).astype(int)
    assert 0 < np.abs(other - first).max() <= 1


def test_no_brightness_is_black_everywhere(show):
    assert (show(noise(8, 8), brightness=0.0) == 0).all()


def test_row_zero_of_an_image_is_the_top_row_seen(show):
    image = np.full((3, 40, 40), -1.0)
    image[:, 0, :] = 1.0
    seen = show(image, fit="stretch")
    assert (seen[0] == 255).all()
    assert (seen[1:] == 0).all()


def test_picture_at_its_own_size_passes_unchanged(show):
    image = noise(VIEW[1], VIEW[0])
    assert np.abs(show(image) - levels(image)).max() <= 1.2


# -- keys and layers -------------------------------------------------------------------------------


def test_blend_goes_evenly_from_earlier_to_later(show):
    earlier, later = show.texture(flat(0, 40, 255)), show.texture(flat(200, 40, 55))
    for blend in (0.0, 0.25, 0.5, 1.0):
        seen = show(layers=[LayerPictures(earlier, later, blend)], fit="stretch")
        wanted = np.array([200 * blend, 40, 255 - 200 * blend])
        assert np.abs(seen.mean(axis=(0, 1)) - wanted).max() < 0.2


def test_key_images_are_clamped_before_they_are_blended(show):
    earlier, later = show.texture(np.full((3, 2, 2), 3.0)), show.texture(np.full((3, 2, 2), -1.0))
    seen = show(layers=[LayerPictures(earlier, later, 0.5)], fit="stretch")
    assert np.abs(seen.mean() - 127.5) < 0.2


def test_layer_covers_those_below_by_its_opacity(show):
    below, above = show.texture(flat(200, 0, 100)), show.texture(flat(0, 200, 100))
    for opacity in (0.0, 0.3, 1.0):
        layers = [LayerPictures(below, below, 0.0), LayerPictures(above, above, 0.0, opacity)]
        seen = show(layers=layers, fit="stretch").mean(axis=(0, 1))
        assert np.abs(seen - (200 * (1 - opacity), 200 * opacity, 100)).max() < 0.3


def test_layers_of_different_size_meet_at_the_larger(show):
    below, above = show.texture(flat(200, 0, 100, side=4)), show.texture(flat(0, 200, 100, side=16))
    for order in ((below, above), (above, below)):
        layers = [
            LayerPictures(order[0], order[0], 0.0),
            LayerPictures(order[1], order[1], 0.0, 0.5),
        ]
        seen = show(layers=layers, fit="stretch").mean(axis=(0, 1))
        assert np.abs(seen - (100, 100, 100)).max() < 0.3


def test_picture_size_may_be_given(show):
    image = noise(8, 8)
    assert_close(show(image, image_size=(8, 8)), expected(image))
    assert show(image, image_size=(16, 16)).std() > 10


def test_channel_shows_the_image_of_its_own_row(show):
    batch = np.concatenate([flat(255, 0, 0), flat(0, 255, 0), flat(0, 0, 255)])
    texture = show.texture(batch)
    for row, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        layer = LayerPictures(texture, texture, 0.0, first_layer=3 * row)
        assert (show(layers=[layer], fit="stretch") == colour).all()


# -- where -----------------------------------------------------------------------------------------


def test_without_pictures_the_viewport_is_black(show):
    assert (show() == 0).all()


def test_bars_around_a_contained_picture_are_black(show):
    seen = show(flat(255, 255, 255))
    assert (seen[:, :4] == 0).all()
    assert (seen[:, 44:] == 0).all()
    assert (seen[:, 4:44] == 255).all()


def test_only_the_viewport_is_drawn(show):
    seen = show(flat(255, 255, 255), viewport=(8, 4, 20, 10), fit="stretch")
    rows = slice(VIEW[1] - 14, VIEW[1] - 4)  # y counts from below
    assert (seen[rows, 8:28] == 255).all()
    seen[rows, 8:28] = (255, 0, 255)
    assert (seen == (255, 0, 255)).all()


def test_picture_does_not_depend_on_where_its_viewport_is(show):
    image = noise(6, 9)
    low = show(image, viewport=(0, 0, 20, 10), fit="cover")
    high = show(image, viewport=(11, 29, 20, 10), fit="cover")
    assert np.array_equal(low[VIEW[1] - 10 :, :20], high[1:11, 11:31])


def test_quarter_turns_turn_clockwise(show):
    image = np.full((3, 2, 2), -1.0)
    image[:, 0, 0] = 1.0  # white above left
    corners = {0: (0, 0), 90: (0, -1), 180: (-1, -1), 270: (-1, 0)}
    for rotation, corner in corners.items():
        seen = show(image, fit="stretch", rotation=rotation)
        assert (seen[corner] > 200).all()
        assert seen[::-1, ::-1][corner].max() < 20


def test_fine_pattern_shrinks_to_its_mean(show):
    image = np.indices((80, 96)).sum(axis=0) % 2 * 2.0 - 1.0
    seen = show(np.broadcast_to(image, (3, 80, 96)), fit="stretch").astype(float)
    assert np.abs(seen[4:-4, 4:-4] - 127.5).max() <= 2


def test_magnified_edge_is_a_slope_without_steps(show):
    image = np.full((3, 4, 4), -1.0)
    image[:, :, 2:] = 1.0
    row = show(image, fit="stretch")[20, :, 0].astype(int)
    assert (np.diff(row) >= -8).all(), "hardly any halo"
    assert np.diff(row).max() <= 255 / 8, "no step: a texel is twelve pixels wide"


def test_many_sizes_in_turn_leave_little_behind(show, renderer):
    for side in range(1, 40):
        show(flat(9, 9, 9, side=side))
    assert len(renderer._targets) <= 10
    assert_close(show(noise(7, 7)), expected(noise(7, 7)))


def test_released_renderer_leaves_no_error(surface):
    renderer = Renderer(surface.ctx)
    renderer.draw(surface.fbo, (0, 0, *VIEW), [])
    renderer.release()
    surface.begin()
    assert surface.ctx.error == "GL_NO_ERROR"
