import pytest

from models.architecture import InvalidArguments, build, check_arguments, weight_count
from tests.models.golden_weights import GOLDEN
from tests.models.small_models import ARGUMENTS

CASES = [(kind, ARGUMENTS[kind]) for kind in ARGUMENTS]
CASES += [
    ("stylegan3-t", GOLDEN["T6"]["kwargs"]),
    ("stylegan3-r", GOLDEN["R14"]["kwargs"]),
    ("stylegan2", GOLDEN["SG2"]["kwargs"]),
    ("stylegan2", ARGUMENTS["stylegan2"] | {"mapping_kwargs": {}, "c_dim": 2}),
    ("stylegan3-t", ARGUMENTS["stylegan3-t"] | {"mapping_kwargs": {}, "c_dim": 2}),
]
OFFICIAL = {"z_dim": 512, "w_dim": 512, "c_dim": 0, "img_channels": 3}


@pytest.mark.parametrize(("kind", "arguments"), CASES)
def test_weights_are_counted_as_they_are_built(kind, arguments):
    generator = build(kind, arguments)
    built = sum(parameter.numel() for parameter in generator.parameters())
    assert weight_count(kind, arguments) == built


@pytest.mark.parametrize(
    ("kind", "arguments", "published"),
    [
        ("stylegan3-t", {"img_resolution": 1024}, 22_313_167),
        ("stylegan3-t", {"img_resolution": 256, "channel_base": 16384}, 23_320_443),
        (
            "stylegan3-r",
            {"img_resolution": 512, "channel_base": 65536, "channel_max": 1024, "conv_kernel": 1},
            16_665_594,
        ),
        ("stylegan2", {"img_resolution": 1024}, 30_370_060),
    ],
)
def test_official_networks_have_their_published_number_of_weights(kind, arguments, published):
    assert weight_count(kind, OFFICIAL | arguments) == published


def test_a_missing_argument_is_named():
    with pytest.raises(InvalidArguments, match="w_dim: is missing"):
        check_arguments("stylegan2", {"z_dim": 8, "c_dim": 0})


@pytest.mark.parametrize("value", [float("nan"), "3", 3.5, True, None, [3], 10**30])
def test_a_value_of_another_type_is_refused(value):
    with pytest.raises(InvalidArguments, match=r"num_layers: found .*, expected a whole number"):
        check_arguments("stylegan3-t", ARGUMENTS["stylegan3-t"] | {"num_layers": value})
