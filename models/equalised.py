"""Equalised layers and the mapping network all StyleGANs share; knows nothing of pictures.

Formulas: StyleGAN (Karras 2019, appendix C) and StyleGAN2; names of parameters are those found in
published snapshots.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_SLOPE = 0.2
SQRT2 = math.sqrt(2.0)


def normalise_second_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of `x` [N, D] to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class FullyConnected(nn.Module):
    """An equalised-learning-rate layer: `act(x·(weight·λ/√in)ᵀ + bias·λ)`.

    `activation` is "linear" or "lrelu" (slope 0.2, gain √2); λ is `lr_multiplier`.
    """

    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "linear",
        bias: bool = True,
        lr_multiplier: float = 1.0,
        weight_init: float = 1.0,
        bias_init: float | tuple[float, ...] = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ("linear", "lrelu"):
            raise ValueError(f"activation is {activation!r}; use 'linear' or 'lrelu'")
        self.in_features, self.out_features = in_features, out_features
        self.activation = activation
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.weight = nn.Parameter(
            torch.randn(out_features, in_features) * (weight_init / lr_multiplier)
        )
        start = torch.as_tensor(bias_init, dtype=torch.float32).expand(out_features)
        self.bias = nn.Parameter(start / lr_multiplier) if bias else None

    def effective_bias(self) -> Tensor | None:
        """Return the bias as it is added, or None."""
        if self.bias is None:
            return None
        return self.bias if self.bias_gain == 1.0 else self.bias * self.bias_gain

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` [N, in] to [N, out]."""
        y = F.linear(x, self.weight * self.weight_gain, self.effective_bias())
        if self.activation == "lrelu":
            y = F.leaky_relu(y, LRELU_SLOPE) * SQRT2
        return y


class MappingNetwork(nn.Module):
    """From z (and a class vector c) to the intermediate latents ws.

    With `num_ws=None` the result is [N, w_dim] and no running mean is kept: the discriminator's
    use. With `z_dim=0` only c is used.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        *,
        num_layers: int = 2,
        lr_multiplier: float = 0.01,
        w_avg_beta: float = 0.998,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        self.embed = FullyConnected(c_dim, w_dim) if c_dim > 0 else None
        width = z_dim + (w_dim if c_dim > 0 else 0)
        for index in range(num_layers):
            layer = FullyConnected(width, w_dim, activation="lrelu", lr_multiplier=lr_multiplier)
            setattr(self, f"fc{index}", layer)
            width = w_dim
        if num_ws is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Return ws [N, num_ws, w_dim] (or [N, w_dim] where num_ws is None).

        `truncation_psi` pulls the first `truncation_cutoff` rows (None: all) towards the mean w;
        `update_emas` moves that mean by this batch first. `c` may be None only where c_dim is 0.
        """
        x = self._inputs(z, c)
        for index in range(self.num_layers):
            x = getattr(self, f"fc{index}")(x)
        if self.num_ws is None:
            return x
        if update_emas:
            mean = x.detach().mean(dim=0)
            self.w_avg.copy_(mean + self.w_avg_beta * (self.w_avg - mean))
        ws = x.unsqueeze(1).expand(-1, self.num_ws, -1)
        return self._truncate(ws, truncation_psi, truncation_cutoff)

    def _inputs(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        parts = []
        if self.z_dim > 0:
            if z is None or z.ndim != 2 or z.shape[1] != self.z_dim:
                found = None if z is None else list(z.shape)
                raise ValueError(f"z has shape {found}; expected [N, {self.z_dim}]")
            parts.append(normalise_second_moment(z.to(torch.float32)))
        if self.embed is not None:
            if c is None or c.ndim != 2 or c.shape[1] != self.c_dim:
                found = None if c is None else list(c.shape)
                raise ValueError(
                    f"c has shape {found}; this model is conditional and expects [N, {self.c_dim}]"
                )
            parts.append(normalise_second_moment(self.embed(c.to(torch.float32))))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _truncate(self, ws: Tensor, psi: float, cutoff: int | None) -> Tensor:
        if psi == 1.0:
            return ws
        pulled = self.w_avg + psi * (ws - self.w_avg)
        if cutoff is None:
            return pulled
        return torch.cat([pulled[:, :cutoff], ws[:, cutoff:]], dim=1)
