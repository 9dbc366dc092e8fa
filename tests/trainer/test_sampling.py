import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.sampling import normal, pictures_at


@given(st.integers(0, 50), st.integers(1, 30), st.integers(1, 20))
def test_every_pass_shows_every_picture_once(seed, count, passes):
    shown = pictures_at(seed, "pictures", 0, count * passes, count).reshape(passes, count)
    assert torch.equal(shown.sort(dim=1).values, torch.arange(count).expand(passes, count))


@given(st.integers(0, 200), st.integers(1, 40))
def test_order_does_not_depend_on_where_one_begins(cursor, take):
    whole = pictures_at(3, "pictures", 0, 240, 17)
    assert torch.equal(pictures_at(3, "pictures", cursor, take, 17), whole[cursor : cursor + take])


def test_passes_seeds_and_streams_differ():
    first = pictures_at(1, "pictures", 0, 50, 50)
    assert not torch.equal(first, pictures_at(1, "pictures", 50, 50, 50))
    assert not torch.equal(first, pictures_at(2, "pictures", 0, 50, 50))
    assert not torch.equal(first, pictures_at(1, "pull", 0, 50, 50))


def test_numbers_are_a_function_of_seed_stream_and_step():
    torch.manual_seed(7)
    once = normal((4, 3), 1, "z", 9)
    torch.manual_seed(8)
    assert torch.equal(once, normal((4, 3), 1, "z", 9))
    assert not torch.equal(once, normal((4, 3), 1, "z", 10))
    assert not torch.equal(once, normal((4, 3), 1, "prior", 9))


def test_drawing_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    normal((4, 3), 1, "z", 9)
    pictures_at(1, "pictures", 0, 5, 50)
    assert torch.equal(before, torch.get_rng_state())
