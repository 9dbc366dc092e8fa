"""The textbook path: StyleGAN3's two hard operations as the papers write them.

Zero-insertion, depthwise FIR convolutions and one grouped convolution with a filter bank per
sample, in float32. Slow on purpose: it is the yardstick of the tests and of `bench`, and refuses to
know anything about how the fast path computes the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    demodulate: bool,
    padding: int,
    input_gain: Tensor | None = None,
) -> Tensor:
    """Convolve each sample of `x` [N, I, H, W] with filters scaled by its styles [N, I].

    `weight` is [O, I, k, k]. Weight (per output channel) and styles (per sample) are brought to a
    root mean square of one before demodulation, StyleGAN3's order (Karras 2021, appendix C.4).
    """
    batch, channels = styles.shape
    if demodulate:
        weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
    banks = weight.unsqueeze(0) * styles.reshape(batch, 1, channels, 1, 1)
    if demodulate:
        banks = banks * (banks.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if input_gain is not None:
        banks = banks * input_gain
    y = F.conv2d(
        x.reshape(1, batch * channels, *x.shape[2:]),
        banks.reshape(-1, *banks.shape[2:]),
        padding=padding,
        groups=batch,
    )
    return y.reshape(batch, -1, *y.shape[2:])


def filtered_lrelu(
    x: Tensor,
    bias: Tensor,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    *,
    up: int,
    down: int,
    padding: tuple[int, int],
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Bias, upsample, leaky ReLU, clamp, downsample: [N, C, H, W] -> [N, C, H', W'].

    A 1-D filter [T] runs over both axes, a 2-D filter [T, T] once; None is the identity.
    """
    y = upfirdn(x + bias.reshape(1, -1, 1, 1), up_filter, up=up, padding=padding, gain=up**2)
    y = F.leaky_relu(y, slope) * gain
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    return upfirdn(y, down_filter, down=down)


def upfirdn(
    x: Tensor,
    fir: Tensor | None,
    *,
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
    gain: float = 1.0,
) -> Tensor:
    """Insert up-1 zeros after every sample, pad or crop, filter by `fir`, keep every down-th."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height, 1, width, 1)
    x = F.pad(x, [0, up - 1, 0, 0, 0, up - 1])
    x = x.reshape(batch, channels, height * up, width * up)
    low, high = padding
    x = F.pad(x, [low, high, low, high])
    if fir is not None:
        for kernel in _kernels(fir):
            bank = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
            x = F.conv2d(x, bank, groups=channels)
    if gain != 1.0:
        x = x * gain
    return x[:, :, ::down, ::down]


def _kernels(fir: Tensor) -> list[Tensor]:
    """The 2-D kernels, flipped for torch's correlation, that make up a filter."""
    if fir.ndim == 2:
        return [fir.flip([0, 1])]
    return [fir.flip([0]).reshape(1, -1), fir.flip([0]).reshape(-1, 1)]


def synthesis_input(
    weight: Tensor,
    freqs: Tensor,
    phases: Tensor,
    matrix: Tensor,
    *,
    size: int,
    rate: float,
    band: float,
) -> Tensor:
    """Return the Fourier features [N, C, size, size] seen through `matrix` [N, 3, 3].

    Features are sin(2π(f·p + φ)) at positions p, faded out towards the Nyquist rate, then mixed by
    `weight` [C, C]. The picture spans [-½, ½]; the margin lies outside.
    """
    phases = phases + (freqs @ matrix[:, :2, 2:]).squeeze(2)
    freqs = freqs @ matrix[:, :2, :2]
    amplitudes = (1 - (freqs.norm(dim=2) - band) / (rate / 2 - band)).clamp(0, 1)
    line = (torch.arange(size, device=freqs.device, dtype=torch.float32) + 0.5 - size / 2) / rate
    grid_y, grid_x = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([grid_x, grid_y], dim=2)
    angle = torch.einsum("hwd,ncd->nchw", grid, freqs) + phases[:, :, None, None]
    features = torch.sin(angle * (2 * torch.pi)) * amplitudes[:, :, None, None]
    return torch.einsum("oc,nchw->nohw", weight / weight.shape[1] ** 0.5, features)
