"""A frame between two ends: handed over on request, whole, and dropped when nobody asked."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from installation.shared_frame import Shape, SharedFrame, new_memory

SHAPE = Shape(width=5, height=3)


def frame_of(value: int) -> np.ndarray:
    return np.full((SHAPE.height, SHAPE.width, 3), value, np.uint8)


@pytest.fixture
def ends() -> Iterator[tuple[SharedFrame, SharedFrame]]:
    descriptor = new_memory(SHAPE)
    writer, reader = SharedFrame(descriptor, SHAPE), SharedFrame(descriptor, SHAPE)
    yield writer, reader
    writer.close()
    reader.close()
    os.close(descriptor)


def test_a_frame_arrives_with_its_rows_from_the_top(ends):
    writer, reader = ends
    sent = np.arange(SHAPE.nbytes, dtype=np.uint8).reshape(3, 5, 3)
    reader.ask()
    writer.write(sent)
    assert reader.pixels() == sent.tobytes()


def test_a_frame_that_is_a_view_of_another_arrives_whole(ends):
    writer, reader = ends
    flipped = np.arange(SHAPE.nbytes, dtype=np.uint8).reshape(3, 5, 3)[::-1]
    reader.ask()
    writer.write(flipped)
    assert reader.pixels() == np.ascontiguousarray(flipped).tobytes()


def test_nothing_is_wanted_until_the_reader_asks(ends):
    writer, reader = ends
    assert not writer.wanted()
    reader.ask()
    assert writer.wanted()
    writer.write(frame_of(1))
    assert not writer.wanted()


def test_asking_twice_opens_one_request(ends):
    writer, reader = ends
    reader.ask()
    reader.ask()
    writer.write(frame_of(2))
    assert not writer.wanted()


@given(st.lists(st.booleans(), max_size=40))
def test_the_reader_always_sees_the_frame_that_answered_it(turns):
    descriptor = new_memory(SHAPE)
    writer, reader = SharedFrame(descriptor, SHAPE), SharedFrame(descriptor, SHAPE)
    answered = 0
    for number, is_readers_turn in enumerate(turns):
        if is_readers_turn:
            reader.ask()
        elif writer.wanted():
            writer.write(frame_of(number))
            answered = number
        if not reader.wanted():
            assert set(reader.pixels()) <= {answered}
    writer.close()
    reader.close()
    os.close(descriptor)
