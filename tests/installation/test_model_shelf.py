import logging

import numpy as np
import pytest

from installation.model_shelf import RETRY_S, TRIALS, ModelShelf, NotEnoughMemory


class Clockwork:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


class Plain:
    z_dim = 4

    def __init__(self, name):
        self.name = name
        self.batches = []

    def map(self, z, c=None, psi=1.0, cutoff=None):
        self.batches.append(len(z))
        return z[:, None]

    def synthesize(self, ws, out=None):
        return np.zeros((len(ws), 3, 4, 4), np.float32)


class Store:
    def __init__(self, *names):
        self.names = set(names)
        self.loads = []

    def __call__(self, name):
        self.loads.append(name)
        if name not in self.names:
            raise FileNotFoundError(f"{name}: no such model")
        return Plain(name)


def shelf(store, clock=None, needed=0, free=lambda: 1):
    return ModelShelf(
        store,
        images=3,
        monotonic=clock or Clockwork(),
        bytes_needed=lambda name: needed,
        bytes_free=free,
    )


def test_fetch_returns_a_model_that_has_made_pictures_in_the_batch_of_the_show():
    loaded = shelf(Store("a")).fetch("a")
    assert loaded.model.batches == [3] * (1 + TRIALS)


def test_one_slow_picture_does_not_make_a_model_slow():
    clock = Clockwork()

    class Uneven(Plain):
        def synthesize(self, ws, out=None):
            clock.now_s += 0.3 if len(self.batches) == 4 else 0.01
            return super().synthesize(ws, out)

    models = shelf(Uneven, clock)
    assert models.fetch("a").seconds_per_batch == pytest.approx(0.01)


def test_a_very_slow_model_is_not_timed_for_long():
    clock = Clockwork()

    class Slow(Plain):
        def synthesize(self, ws, out=None):
            clock.now_s += 2.0
            return super().synthesize(ws, out)

    loaded = shelf(Slow, clock).fetch("a")
    assert loaded.seconds_per_batch == 2.0
    assert len(loaded.model.batches) == 2


def test_a_model_wanted_beforehand_is_there_without_waiting():
    models = shelf(Store("a"))
    assert models.get("a") is None
    models.want(["a"])
    models.wait()
    assert models.get("a").model.name == "a"


def test_a_model_is_loaded_only_once():
    store = Store("a")
    models = shelf(store)
    models.fetch("a")
    models.want(["a"])
    models.wait()
    models.fetch("a")
    assert store.loads == ["a"]


def test_a_missing_model_is_told_once_and_tried_again_later(caplog):
    clock, store = Clockwork(), Store()
    models = shelf(store, clock)
    for at_s in (0.0, 1.0, RETRY_S, RETRY_S * 2):
        clock.now_s = at_s
        models.want(["gone"])
        models.wait()
    assert store.loads == ["gone"] * 3
    told = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [r.getMessage() for r in told] == [
        "model 'gone' can't be had, the show goes on without it: gone: no such model"
    ]
    assert models.problems == {"gone": "gone: no such model"}


def test_a_model_that_appears_later_is_had_and_its_problem_forgotten():
    clock, store = Clockwork(), Store()
    models = shelf(store, clock)
    models.want(["late"])
    models.wait()
    store.names.add("late")
    clock.now_s = RETRY_S
    models.want(["late"])
    models.wait()
    assert models.get("late") is not None
    assert models.problems == {}


def test_a_missing_model_does_not_keep_the_next_one_from_loading():
    models = shelf(Store("b"))
    for _ in range(2):
        models.want(["gone", "b"])
        models.wait()
    assert models.get("b") is not None


def test_idle_models_make_room_for_a_wanted_one():
    models = shelf(Store("a", "b"), needed=100, free=lambda: 100 if not held() else 0)

    def held():
        return [n for n in ("a", "b") if models.get(n)]

    models.fetch("a")
    models.want(["b"])
    models.wait()
    assert held() == ["b"]


def test_a_model_that_does_not_fit_is_refused_with_figures():
    models = shelf(Store("a"), needed=3 * 2**30, free=lambda: 2**30)
    with pytest.raises(NotEnoughMemory, match=r"'a' needs about 3072 MiB and 1024 MiB are free"):
        models.fetch("a")
