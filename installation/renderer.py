"""Draws pictures onto a framebuffer: blend of keys, crossfade, fit, magnification, grade, dither.

Knows no torch, no model, no window and no time: it draws what it is given, black if nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import moderngl

from installation.placement import Fit, Placement, QuarterTurn, Span, place

Size = tuple[int, int]
Viewport = tuple[int, int, int, int]

_PASSES = ("keys", "across", "across4", "down", "down4")
_CACHED_TARGETS = 8  # sizes in use at once: two scenes of different size on three channels


@dataclass(frozen=True)
class LayerPictures:
    """One layer of a frame: mix(earlier, later, blend), over the layers below by its opacity.

    Both are texture arrays of one size, planar, nominal [-1, 1], row 0 on top, as `upload.Ring`
    makes them; the image's red plane is `first_layer`, green and blue follow.
    """

    earlier: moderngl.TextureArray
    later: moderngl.TextureArray
    blend: float
    opacity: float = 1.0
    first_layer: int = 0

    @property
    def size(self) -> Size:
        """Width and height of the image in texels."""
        return self.earlier.width, self.earlier.height


@dataclass(frozen=True)
class _Finish:
    """What the last pass does to colours."""

    opacity: float = 1.0
    brightness: float = 1.0
    inverse_gamma: float = 1.0
    levels: float = 0.0  # 0: no dither
    tick: int = 0


class Renderer:
    """All passes for one context; belongs to its thread."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self._ctx = ctx
        ctx.includes["kernel.glsl"] = _source("kernel.glsl")
        self._passes = {name: ctx.vertex_array(_program(ctx, name), []) for name in _PASSES}
        self._targets: dict[tuple[str, Size], moderngl.Framebuffer] = {}

    def draw(
        self,
        fbo: moderngl.Framebuffer,
        viewport: Viewport,                   # x, y, width, height; pixels, y upwards
        pictures: Sequence[LayerPictures],    # bottom first; none: black
        *,
        brightness: float = 1.0,              # 0 black to 1, times the encoded colour
        fit: Fit = "contain",
        gamma: float = 1.0,                   # above 1 lifts the middle tones: colour ** (1/gamma)
        image_size: Size | None = None,       # texels; None: that of the largest picture
        rotation: QuarterTurn = 0,            # clockwise, for a turned projector
        tick: int = 0,                        # changes the dither; equal ticks, equal pixels
    ) -> None:  # fmt: skip
        """Draw one frame of one channel into the viewport; the rest of `fbo` stays as it is."""
        self._ctx.enable_only(moderngl.NOTHING)
        fbo.clear(0.0, 0.0, 0.0, 1.0, viewport=viewport)
        if not pictures or min(viewport[2:]) < 1:
            return
        size = image_size or max((layer.size for layer in pictures), key=lambda s: s[0] * s[1])
        picture = self._blend(pictures, size)
        finish = _Finish(1.0, brightness, 1.0 / gamma, 255.0, tick & 0xFFFFFFFF)
        placement = place(size, viewport[2:], fit, rotation)
        self._resample(picture, fbo, viewport[:2], placement, finish)
        if len(self._targets) > _CACHED_TARGETS:
            self._drop_targets()

    def release(self) -> None:
        """Give programs and framebuffers back."""
        for one in self._passes.values():
            one.program.release()
            one.release()
        self._drop_targets()

    def _blend(self, pictures: Sequence[LayerPictures], size: Size) -> moderngl.Texture:
        """All layers over each other, RGBA16F, at `size`."""
        enlarged = [self._alone(layer) if layer.size != size else None for layer in pictures]
        target = self._target("picture", size)
        target.clear(0.0, 0.0, 0.0, 1.0)
        self._ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        for layer, small in zip(pictures, enlarged, strict=True):
            if small is None:
                self._keys(layer, target, layer.opacity)
            else:
                finish = _Finish(opacity=layer.opacity)
                self._resample(small, target, (0, 0), place(layer.size, size, "contain"), finish)
        return _texture(target)

    def _alone(self, layer: LayerPictures) -> moderngl.Texture:
        """A layer at its own size, for one that differs from the picture's."""
        target = self._target("layer", layer.size)
        self._keys(layer, target, 1.0)
        return _texture(target)

    def _keys(self, layer: LayerPictures, target: moderngl.Framebuffer, opacity: float) -> None:
        layer.earlier.use(0)
        layer.later.use(1)
        values = {
            "earlier": 0,
            "later": 1,
            "first_layer": layer.first_layer,
            "blend": layer.blend,
            "opacity": opacity,
        }
        self._run("keys", target, (0, 0, *layer.size), values)

    def _resample(
        self,
        picture: moderngl.Texture,
        target: moderngl.Framebuffer,
        origin: Size,
        placement: Placement,
        finish: _Finish,
    ) -> None:
        across, up = placement.across, placement.up
        strip = self._target("strip", (across.count_px, up.texels))
        picture.use(0)
        self._run_along("across", strip, (0, 0, *strip.size), across, {"picture": 0})
        _texture(strip).use(0)
        x, y, width, height = placement.rectangle
        corner = (origin[0] + x, origin[1] + y)
        back = (up, across) if placement.swapped else (across, up)
        values = {
            "picture": 0,
            "corner": corner,
            "far_end": (width - 1, height - 1),
            "turn": (back[0].reversed, back[1].reversed, placement.swapped),
            **vars(finish),
        }
        self._run_along("down", target, (*corner, width, height), up, values)

    def _run_along(
        self,
        name: str,
        target: moderngl.Framebuffer,
        viewport: Viewport,
        span: Span,
        values: dict[str, Any],
    ) -> None:
        """One axis of a resampling; enlarging has a program of its own, with four taps."""
        axis = _axis(span)
        if axis["axis.taps"] == 4:
            del axis["axis.taps"]
            name += "4"
        self._run(name, target, viewport, {**values, **axis})

    def _run(
        self, name: str, target: moderngl.Framebuffer, viewport: Viewport, values: dict[str, Any]
    ) -> None:
        one = self._passes[name]
        for uniform, value in values.items():
            one.program[uniform] = value
        target.use()
        target.viewport = viewport
        # Only an opacity is blended; elsewhere 0 times an old texel could be 0 times NaN.
        self._ctx.enable_only(
            moderngl.BLEND if values.get("opacity", 1.0) < 1.0 else moderngl.NOTHING
        )
        one.render(moderngl.TRIANGLES, vertices=3)

    def _target(self, use: str, size: Size) -> moderngl.Framebuffer:
        key = (use, size)
        if key not in self._targets:
            # Half floats hold a blend to a tenth of a level; a second rounding would show as a
            # darker white, and llvmpipe is as quick with single precision.
            texture = self._ctx.texture(size, 4, dtype="f4" if use == "strip" else "f2")
            texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
            self._targets[key] = self._ctx.framebuffer([texture])
        return self._targets[key]

    def _drop_targets(self) -> None:
        for target in self._targets.values():
            _texture(target).release()
            target.release()
        self._targets.clear()


def _texture(target: moderngl.Framebuffer) -> moderngl.Texture:
    texture = target.color_attachments[0]
    assert isinstance(texture, moderngl.Texture)
    return texture


def _axis(span: Span) -> dict[str, Any]:
    """The uniform `axis` of shaders/kernel.glsl."""
    ratio = span.texels / span.extent_px
    width = max(1.0, ratio)  # when shrinking, the kernel covers what one pixel covers
    return {
        "cubic": span.cubic,
        "axis.before": float(span.hidden_px),
        "axis.texels_per_pixel": ratio,
        "axis.width": width,
        "axis.taps": 2 * -int(-2.0 * width // 1),
        "axis.last": span.texels - 1,
    }


def _program(ctx: moderngl.Context, name: str) -> moderngl.Program:
    fragment = _source(f"{name.removesuffix('4')}.frag.glsl")
    if name.endswith("4"):
        fragment = fragment.replace("#version 330 core\n", "#version 330 core\n#define TAPS 4\n")
    return ctx.program(vertex_shader=_source("everywhere.vert.glsl"), fragment_shader=fragment)


@cache
def _source(name: str) -> str:
    return resources.files("installation").joinpath("shaders", name).read_text(encoding="utf-8")
