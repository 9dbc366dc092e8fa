import pytest
from pydantic import ValidationError

from trainer.settings import Settings, adjusted, one_line


def test_a_micro_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValidationError, match="micro_batch 5 does not divide batch 16"):
        Settings(batch=16, micro_batch=5)


def test_a_batch_that_makes_no_whole_groups_is_refused():
    with pytest.raises(ValidationError, match="groups of 4; a micro-batch of 6"):
        Settings(batch=6)


def test_unknown_settings_are_refused_by_name():
    with pytest.raises(ValidationError, match="gama"):
        Settings.model_validate({"gama": 1})


def test_resuming_may_change_a_rate_but_not_the_networks():
    assert adjusted(Settings(), {"gamma": "0.5"}).gamma == 0.5
    with pytest.raises(ValueError, match="cannot change architecture; it may change batch"):
        adjusted(Settings(), {"architecture": {}})


def test_half_life_of_the_average_follows_the_batch():
    assert Settings(batch=32).ema_half_life == 10_000
    assert Settings(batch=32, ema_kimg=2).ema_half_life == 2000


def test_refused_settings_are_told_in_one_line_each_by_name():
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"batch": 0, "gama": 1})
    told = one_line(refused.value)
    assert "batch: Input should be greater than or equal to 1 (found 0)" in told
    assert "gama: Extra inputs are not permitted" in told
    assert "\n" not in told
