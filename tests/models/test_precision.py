import pytest
import torch

from models.precision import (
    PixelDifference,
    choose_precision,
    cpu_flags,
    pixel_difference,
    precision_dtype,
)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (set(), "float32"),
        ({"avx2", "fma", "avx512f"}, "float32"),
        ({"avx512_bf16"}, "bfloat16"),
        ({"amx_bf16", "amx_tile"}, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_only_where_the_processor_has_it(flags, expected):
    assert choose_precision("cpu", "auto", frozenset(flags)) == expected


def test_auto_takes_float16_on_cuda():
    assert choose_precision("cuda:1", "auto", frozenset()) == "float16"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_asked_precision_is_kept_on_a_processor(precision):
    assert choose_precision("cpu", precision, frozenset()) == precision


def test_float16_on_a_processor_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="'float16' on a CPU; use auto, float32 or bfloat16"):
        choose_precision("cpu", "float16")


def test_unknown_precision_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="precision is 'half'; expected auto, float32"):
        choose_precision("cpu", "half")
    with pytest.raises(ValueError, match="precision is 'auto'; expected float32"):
        precision_dtype("auto")
    assert precision_dtype("bfloat16") == torch.bfloat16


def test_processor_flags_come_from_the_first_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nflags\t: other\n")
    assert cpu_flags(file) == {"fpu", "avx2", "amx_bf16"}
    file.write_text("Features : asimd\n")
    assert cpu_flags(file) == frozenset()
    assert cpu_flags(tmp_path / "absent") == frozenset()


def test_pixel_difference_counts_levels_of_the_8_bit_picture():
    black = torch.full((1, 3, 2, 2), -1.0)
    other = black.clone()
    other[0, 0, 0, 0] = 1.0
    other[0, 1, 0, 0] = -1.0 + 2 / 127.5
    assert pixel_difference(black, black - 5) == PixelDifference(0.0, 0)
    assert pixel_difference(black, other) == PixelDifference((255 + 2) / 12, 255)
    with pytest.raises(ValueError, match=r"shapes \[1, 3, 2, 2\] and \[1, 3, 2\] differ"):
        pixel_difference(black, black[..., 0])
