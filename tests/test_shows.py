"""Every show in shows/ parses and is planned through the days that show what time can do."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from installation.frame_plan import FramePlan, keys_at, models_within, plan
from installation.latent import latent_vector
from installation.latent_walker import latent_at
from installation.scheduler import next_change
from installation.show import load_show
from installation.state import Grid, initial_state

SHOWS = sorted((Path(__file__).resolve().parent.parent / "shows").glob("*.yaml"))
BERLIN = ZoneInfo("Europe/Berlin")
NOONS = {
    "an ordinary day": datetime(2026, 11, 27, 12, tzinfo=BERLIN),
    "the night clocks go forward": datetime(2026, 3, 28, 12, tzinfo=BERLIN),
    "the night clocks go back": datetime(2026, 10, 24, 12, tzinfo=BERLIN),
}
DAY_S = 86_400.0
FRAME_S = 1 / 30
DIM = 16
# Full light and points of length 4: the quickest walk of our shows moves 0.15 in a frame, a jump 4.
LARGEST_STEP = 0.4


def wall(frame: FramePlan):
    """What the wall shows, with a latent vector [DIM] in the place of each picture."""
    seen = np.zeros(DIM)
    for layer in frame.layers:
        earlier, later = (latent_vector(key.latent, DIM) for key in (layer.earlier, layer.later))
        picture = earlier * (1.0 - layer.blend) + later * layer.blend
        seen = seen * (1.0 - layer.opacity) + picture * layer.opacity
    return seen * frame.brightness


def moments_of_a_day(show, noon):
    """Moments spread over 24 hours, and those around doors, scenes and legs, where jumps live."""
    start = noon.timestamp()
    moments = [start + DAY_S * ((n * 0.6180339887) % 1.0) for n in range(120)]
    change = noon
    while (change := next_change(show, change)) and change < noon + timedelta(days=1):
        moments += [change.timestamp() + n / 4 for n in range(-2, 24)]
    turn = sum(scene.for_s for scene in show.scenes)
    round_start = start - start % turn
    for scene in show.scenes:
        moments += [round_start + n / 4 for n in range(-2, int(4 * scene.pacing.crossfade_s) + 2)]
        round_start += scene.for_s
        leg_s = (scene.pacing.hold_s + scene.pacing.travel_s) / scene.pacing.speed
        border = start - start % leg_s
        moments += [border + part * leg_s - FRAME_S / 2 for part in (0, 0.1, 0.25, 0.5, 0.75, 1)]
    return moments


@pytest.mark.parametrize("path", SHOWS, ids=lambda path: path.stem)
@pytest.mark.parametrize("noon", NOONS.values(), ids=NOONS)
def test_day_of_every_show_is_planned_without_a_jump(path, noon):
    show = load_show(path)
    state = initial_state(show, Grid())
    for moment in moments_of_a_day(show, noon):
        (before,), (after,) = plan(show, state, moment), plan(show, state, moment + FRAME_S)
        assert 0.0 <= before.brightness <= 1.0
        assert np.abs(wall(after) - wall(before)).max() < LARGEST_STEP, moment
        asked = {(layer.scene, layer.earlier) for layer in before.layers}
        assert asked <= {(image.scene, image.key) for image in keys_at(show, state, before.tick)}
        needed = models_within(show, state, moment, FRAME_S)
        assert {layer.model for layer in (*before.layers, *after.layers)} <= set(needed)


@pytest.mark.parametrize("path", SHOWS, ids=lambda path: path.stem)
def test_every_show_opens_with_a_comment_saying_what_to_look_for(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ") and lines[1].startswith("# ")


def test_first_light_is_always_open_and_moving_from_its_first_second():
    show = load_show(next(path for path in SHOWS if path.stem == "first_light"))
    state = initial_state(show)
    for moment in (0.0, 1_795_348_800.0, 1_795_348_801.7):
        first, second = (plan(show, state, moment + step)[0] for step in (0.0, 0.25))
        assert first.brightness == second.brightness == 1.0
        assert np.linalg.norm(wall(second) - wall(first)) > 0.1


def test_crossfade_shows_two_scenes_at_once():
    show = load_show(next(path for path in SHOWS if path.stem == "crossfade"))
    (frame,) = plan(show, initial_state(show), 24.0 * 1000 + 2.0)
    assert [layer.scene for layer in frame.layers] == ["restless", "slow"]


def test_opening_hours_are_dark_on_mondays_and_light_past_fridays_midnight():
    show = load_show(next(path for path in SHOWS if path.stem == "opening_hours"))
    state = initial_state(show)

    def brightness(*parts):
        moment = datetime(2026, 11, *parts, tzinfo=BERLIN)
        return plan(show, state, moment.timestamp())[0].brightness

    assert [brightness(23, 12), brightness(24, 12), brightness(28, 1), brightness(28, 3)] == [
        0.0,
        1.0,
        1.0,
        0.0,
    ]


def test_loop_comes_back_to_the_very_same_picture():
    show = load_show(next(path for path in SHOWS if path.stem == "loop"))
    (scene,) = show.scenes
    assert latent_at(scene, 7.0) == latent_at(scene, 67.0) == latent_at(scene, 7.0 + 60.0 * 260_000)
