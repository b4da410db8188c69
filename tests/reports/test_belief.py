import numpy as np
import pytest
from matplotlib.image import imread

from metarl_cli.reports.belief import TrialPicture, belief_figure

GOALS = np.array([[0, 2], [1, 2], [2, 2]])


def trial(chance, episodes=1, horizon=3):
    belief = np.broadcast_to(np.array(chance), (episodes, horizon, 3))
    path = np.broadcast_to(np.array([[0, 0], [0, 1], [0, 2]]), (episodes, 3, 2))
    return TrialPicture("title", GOALS[0], GOALS, True, path, belief, None)


def blue(path):
    """Number of pixels of the darkest blue."""
    picture = imread(path)[..., :3]
    return int((np.abs(picture - np.array([8, 48, 107]) / 255).max(-1) < 0.02).sum())


def test_certain_cells_are_dark_and_impossible_ones_are_not(tmp_path):
    belief_figure(trial([0.0, 0.0, 0.0]), tmp_path / "none.png")
    belief_figure(trial([0.0, 1.0, 0.0]), tmp_path / "one.png")
    belief_figure(trial([0.0, 1.0, 1.0]), tmp_path / "two.png")
    none, one, two = (blue(tmp_path / f"{name}.png") for name in ("none", "one", "two"))
    assert none < 200  # the end of the colour scale
    assert one > 5000
    assert two - none == pytest.approx(2 * (one - none), rel=0.1)


def test_the_learned_belief_has_rows_of_its_own(tmp_path):
    alone = trial([1.0, 0.0, 0.0])
    both = TrialPicture(**{**vars(alone), "learned": alone.exact})
    belief_figure(alone, tmp_path / "alone.png")
    belief_figure(both, tmp_path / "both.png")
    heights = [imread(tmp_path / f"{name}.png").shape[0] for name in ("alone", "both")]
    assert heights[1] > 1.5 * heights[0]


def on_semicircle(learned, exact):
    angles = np.pi * (np.arange(4) + 0.5) / 4
    goals = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    path = np.linspace([0, 0], goals[0], 3)[None]
    maps = (np.broadcast_to(np.array(x), (1, 3, 4)) for x in (exact, learned))
    return TrialPicture("title", goals[0], goals, False, path, *maps)


def test_rings_around_the_semicircle_are_dark_where_rewards_are_expected(tmp_path):
    one, none = [0.0, 0.0, 1.0, 0.0], [0.0] * 4
    belief_figure(on_semicircle(learned=one, exact=none), tmp_path / "learned.png")
    belief_figure(on_semicircle(learned=none, exact=one), tmp_path / "exact.png")
    # Of the radius 1.25 to 1.49, and outside of it 1.55 to 1.79
    learned, exact = (blue(tmp_path / f"{name}.png") for name in ("learned", "exact"))
    assert exact > learned > 1000
    assert exact / learned == pytest.approx((1.55 + 1.79) / (1.25 + 1.49), rel=0.1)
