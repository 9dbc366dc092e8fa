import pytest
import torch

from models.fir_design import kaiser_beta, lowpass


@pytest.mark.parametrize(
    ("taps", "cutoff", "half_width", "rate", "beta", "first_half"),
    [
        (
            12, 2, 6, 32, 6.44372,
            [0.0007919, 0.01001832, 0.03894952, 0.09241279, 0.15652561, 0.20130186],
        ),
        (
            24, 3.1748021, 4.8251979, 64, 5.40442,
            [-0.00033991, -0.00029957, 0.00087359, 0.00421339, 0.01076619, 0.021245,
             0.03567749, 0.05317197, 0.07190806, 0.08939801, 0.10297809, 0.11040768],
        ),
        (
            12, 512, 118.346, 2048, 1.54012,
            [0.02337423, 0.03444928, -0.05088068, -0.07861523, 0.13961044, 0.43206197],
        ),
    ],
)  # fmt: skip
def test_filters_have_the_published_taps(taps, cutoff, half_width, rate, beta, first_half):
    assert kaiser_beta(taps, 2 * half_width, rate) == pytest.approx(beta, abs=1e-4)
    fir = lowpass(taps, cutoff, half_width, rate)
    expected = torch.tensor(first_half)
    torch.testing.assert_close(fir[: taps // 2], expected, atol=2e-7, rtol=0)
    torch.testing.assert_close(fir, fir.flip(0), atol=1e-8, rtol=0)
    assert fir.sum().item() == pytest.approx(1, abs=1e-6)


def test_radial_filter_has_the_published_taps():
    fir = lowpass(12, 2, 6, 32, radial=True)
    expected = [0.00020526, 0.00227863, 0.00819805, 0.01854216, 0.03053336, 0.03875488]
    torch.testing.assert_close(fir[5, :6], torch.tensor(expected), atol=2e-8, rtol=0)
    torch.testing.assert_close(fir, fir.t())
    assert fir.sum().item() == pytest.approx(1, abs=1e-6)


def test_radial_filter_of_odd_length_has_a_finite_middle():
    fir = lowpass(11, 2, 6, 32, radial=True)
    assert fir.isfinite().all()
    assert fir[5, 5] == fir.max()


def test_one_tap_is_no_filter():
    assert lowpass(1, 2, 6, 32) is None


def test_wide_transitions_need_no_window():
    assert kaiser_beta(2, 1.0, 64.0) == 0.0
