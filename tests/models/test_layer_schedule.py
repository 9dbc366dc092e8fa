import pytest

from models.layer_schedule import ScheduleOptions, schedule

FULL_T = schedule(1024, 3, ScheduleOptions())
FULL_R = schedule(
    1024,
    3,
    ScheduleOptions(channel_base=65536, channel_max=1024, conv_kernel=1, use_radial_filters=True),
)


def test_published_network_has_its_sizes_channels_and_rates():
    sizes = [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]
    assert [spec.target.size for spec in FULL_T] == sizes
    wide = [512] * 7 + [323, 203, 128, 81, 51, 32, 32, 3]
    assert [spec.target.channels for spec in FULL_T] == wide
    rotating = [1024] * 7 + [645, 406, 256, 161, 102, 64, 64, 3]
    assert [spec.target.channels for spec in FULL_R] == rotating
    rates = [16, 16, 32, 32, 64, 128, 128, 256, 256, 512, 1024, 1024, 1024, 1024, 1024]
    assert [spec.target.sampling_rate for spec in FULL_T] == rates
    assert [spec.use_fp16 for spec in FULL_T] == [False] * 5 + [True] * 10


def test_published_network_has_its_cutoffs_and_half_widths():
    bands = {spec.index: spec.target for spec in FULL_T}
    for index, cutoff, half_width in [
        (0, 2, 6),
        (1, 3.1748, 4.8252),
        (2, 5.03968, 10.9603),
        (7, 50.7968, 77.2032),
        (11, 322.54, 189.46),
        (12, 512, 118.346),
        (14, 512, 118.346),
    ]:
        assert bands[index].cutoff == pytest.approx(cutoff, rel=1e-5)
        assert bands[index].half_width == pytest.approx(half_width, rel=1e-5)


def test_published_network_has_its_paddings():
    same, doubling, last = (9, 8), (-6, -9), (-11, -12)
    kinds = {1: same, 2: doubling, 3: same, 13: last, 14: (0, 0)}
    assert {index: FULL_T[index].padding for index in kinds} == kinds
    kinds = {1: (11, 10), 2: (-2, -5), 13: (-9, -10), 14: (0, 0)}
    assert {index: FULL_R[index].padding for index in kinds} == kinds


def test_doubling_layers_raise_fourfold_and_all_halve():
    factors = [(spec.up_factor, spec.down_factor) for spec in FULL_T]
    assert factors[:4] == [(2, 2), (2, 2), (4, 2), (2, 2)]
    assert factors[-1] == (1, 1)
    assert [(spec.up_taps, spec.down_taps) for spec in FULL_T[:3]] == [(12, 12), (12, 12), (24, 12)]


def test_radial_filters_end_where_sampling_is_critical():
    assert [spec.down_radial for spec in FULL_R] == [True] * 12 + [False] * 3
    assert not any(spec.down_radial for spec in FULL_T)
    assert [spec.is_critically_sampled for spec in FULL_T] == [False] * 12 + [True] * 3


def test_names_carry_index_size_and_channels():
    assert FULL_T[7].name == "L7_276_323"
    assert FULL_T[-1].name == "L14_1024_3"


def test_impossible_options_are_refused_with_the_bounds():
    with pytest.raises(ValueError, match="img_resolution is 100; expected a power of two"):
        schedule(100, 3, ScheduleOptions())
    with pytest.raises(
        ValueError, match=r"num_critical is 14; expected 0 to num_layers - 1 \(13\)"
    ):
        schedule(64, 3, ScheduleOptions(num_critical=14))
