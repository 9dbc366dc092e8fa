"""What every image model offers: latents in, pictures out. Knows no network, file or device."""

from typing import Any, Literal, Protocol

from models.card import Card

# Native arrays are numpy.ndarray or torch.Tensor, as `ImageModel.array` says; torch is never
# imported here, so the type can't be named.
NativeArray = Any


class ImageModel(Protocol):
    """A model that makes pictures from points in its latent space.

    Shape letters: N pictures, Z = `z_dim`, C = `c_dim`, W = `w_dim`, L = `num_ws`,
    H = width = `resolution`.
    """

    card: Card
    device: str  # "cpu" or "cuda:0"
    precision: str  # "float32", "bfloat16" or "float16": of the layers that may be reduced
    z_dim: int
    c_dim: int
    w_dim: int
    num_ws: int
    resolution: int  # pixels of one side; pictures are square

    @property
    def array(self) -> Literal["numpy", "torch"]:
        """What map and synthesize return, and what `out` must be."""
        ...

    def map(
        self,
        z: NativeArray,
        c: NativeArray | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> NativeArray:
        """Map z [N,Z] (numpy or native) to ws, native float32 [N,L,W].

        `c` [N,C] is the label vector, None where C = 0. `psi` pulls the first `cutoff` of the L
        rows (None: all) towards the model's mean: 1 leaves them, 0 is the mean itself.
        """
        ...

    def synthesize(self, ws: NativeArray, out: NativeArray | None = None) -> NativeArray:
        """Make pictures from ws [N,L,W]: native float32 [N,3,H,H], nominally in [-1,1].

        With `out` (same shape, any float type, native memory, possibly someone else's) the last
        operation writes into it and it is returned.
        """
        ...
