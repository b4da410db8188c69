"""PEARL: what is collected, what encoder and critics see of it, and what is kept."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from metarl_cli.commands.parts.assemble import assemble
from metarl_cli.config.compose import compose
from metarl_cli.core.errors import UserError

H = 5  # steps per episode
PHASES = {"prior": 2, "posterior": 1, "extra": 3}
SMALL = [
    "algo=pearl",
    "env=point_semicircle",
    f"env.horizon={H}",
    "env.tasks.num_train=4",
    "env.tasks.num_test=2",
    "algo.num_tasks=2",
    "algo.gradient_steps=2",
    "algo.batch=6",
    "algo.meta_batch=2",
    "algo.context_batch=5",
    "algo.replay_capacity=100",
    *(f"algo.collection.{phase}_episodes={n}" for phase, n in PHASES.items()),
    "algo.collection.warmup_steps=0",
    "network.hidden=[8]",
    "algo.encoder_hidden=[8]",
    "threads=1",
]


def built(*overrides):
    run = assemble(compose("train", [*SMALL, *overrides]))
    return run.algorithm, run.training_sampler()


class Recorded:
    """A sampler that notes the z of each episode that it runs."""

    def __init__(self, sampler):
        self.sampler, self.z = sampler, []

    def run(self, agent, trial):
        self.z.append(trial.state.z.clone())
        return self.sampler.run(agent, trial)

    def __getattr__(self, name):
        return getattr(self.sampler, name)


def test_extra_episodes_are_for_the_critics_alone():
    algorithm, sampler = built()
    algorithm.train_step(sampler)
    met = algorithm.replay.counts > 0
    assert algorithm.replay.counts[met].tolist() == [6 * H] * 2
    assert algorithm.context.counts[met].tolist() == [3 * H] * 2
    assert sampler.env_steps == 2 * 6 * H


def test_context_is_of_the_last_visit_and_replay_of_all():
    algorithm, sampler = built("algo.num_tasks=4")
    for _ in range(2):
        algorithm.train_step(sampler)
    assert algorithm.replay.counts.tolist() == [2 * 6 * H] * 4
    assert algorithm.context.counts.tolist() == [3 * H] * 4


def test_prior_episodes_are_played_with_z_from_the_prior_and_later_ones_from_the_posterior():
    algorithm, sampler = built("algo.collection.warmup_steps=400")  # it only collects
    with torch.no_grad():  # factors N(5, tiny): what the posterior is sure of
        algorithm.encoder.head.weight.zero_()
        algorithm.encoder.head.bias.copy_(torch.tensor([5.0] * 5 + [-20.0] * 5))
    recorded = Recorded(sampler)
    algorithm.train_step(recorded)
    prior, posterior = torch.stack(recorded.z[:2]), torch.stack(recorded.z[2:])
    assert prior.abs().max() < 4.9 and prior.std() > 0.3
    assert_close(posterior, torch.full_like(posterior, 5.0), atol=0.01, rtol=0)
    assert not prior[0].equal(prior[1])


def test_no_gradient_step_before_the_warm_up_is_over():
    algorithm, sampler = built(f"algo.collection.warmup_steps={2 * 6 * H + 1}")
    assert "sac/q" not in algorithm.train_step(sampler)
    metrics = algorithm.train_step(sampler)
    assert "sac/q" in metrics and metrics["sac/gradient_steps"] == 2
    assert metrics["sac/grad_norm"] > 0


def test_a_warm_up_that_cannot_end_is_refused():
    with pytest.raises(UserError, match=r"warmup_steps: got 401, the replay holds 400"):
        built("algo.collection.warmup_steps=401")


def test_critics_learn_from_the_dense_reward_and_the_encoder_sees_the_sparse_one():
    algorithm, sampler = built("algo.dense_training=true")
    algorithm.train_step(sampler)
    met = torch.nonzero(algorithm.replay.counts).squeeze(-1)
    assert (algorithm.replay.sample(met, 20)["reward"] < -0.2).all()
    assert (algorithm.context.sample(met, 20)[..., -1] == 0).all()


def test_dense_training_is_refused_where_there_is_no_dense_reward():
    with pytest.raises(UserError, match=r"algo\.dense_training"):
        algorithm, sampler = built("env=point_nav", "algo.dense_training=true")
        algorithm.train_step(sampler)


def test_posterior_takes_in_episodes_one_by_one_and_forgets_nothing():
    algorithm, sampler = built()
    trial = sampler.begin(algorithm, sampler.sample_tasks())
    episodes = []
    for _ in range(2):
        episode, trial = sampler.run(algorithm, trial)
        episodes.append(episode)
        trial = trial.adapt(algorithm, episode)
    fresh = algorithm.initial_state(2, 1)
    backwards = algorithm.adapt(algorithm.adapt(fresh, episodes[1]), episodes[0])
    assert_close(backwards.evidence, trial.state.evidence)
    assert (trial.state.evidence[:, :5] > 0).all()


def test_encoder_learns_from_the_critics():
    algorithm, sampler = built("algo.gradient_steps=1", "algo.kl_weight=0")
    before = algorithm.encoder.head.weight.clone()
    algorithm.train_step(sampler)
    assert not before.equal(algorithm.encoder.head.weight)


def test_steps_after_the_end_of_an_episode_are_not_stored():
    early = ["env=point_nav", "env.goal_range=[-0.1,0.1]", "env.reach_tolerance=0.08"]
    algorithm, sampler = built(*early)
    algorithm.train_step(sampler)
    assert algorithm.replay.counts.sum() == sampler.env_steps < 2 * 6 * H
    met = torch.nonzero(algorithm.replay.counts).squeeze(-1)
    stored = algorithm.replay.sample(met, 200)
    nearest = stored["next_obs"].norm(dim=-1)[stored["terminated"].squeeze(-1) > 0]
    assert len(nearest) and (nearest < 0.3).all()


def test_more_training_tasks_than_rings_are_refused_in_one_line():
    algorithm, sampler = built("algo.train_tasks=1")
    with pytest.raises(UserError, match=r"^algo\.train_tasks: "):
        for _ in range(5):
            algorithm.train_step(sampler)


def test_fresh_training_tasks_are_refused_in_one_line():
    algorithm, sampler = built("env.tasks.mode=fresh")
    with pytest.raises(UserError, match=r"^env\.tasks\.mode: .* finite"):
        algorithm.train_step(sampler)


def test_replay_may_be_left_out_of_checkpoints():
    algorithm, sampler = built("algo.save_replay=false")
    algorithm.train_step(sampler)
    assert algorithm.experience() == {}
    other, sampler = built("algo.save_replay=false")
    for name, part in algorithm.learned().items():
        other.learned()[name].load_state_dict(part.state_dict())
    assert "sac/q" in other.train_step(sampler)  # from what it collects anew


def test_warm_up_begins_again_without_the_replay():
    steps = 2 * 6 * H
    settings = ["algo.save_replay=false", f"algo.collection.warmup_steps={steps + 1}"]
    algorithm, sampler = built(*settings)
    for _ in range(2):
        metrics = algorithm.train_step(sampler)
    other, _ = built(*settings)
    assert "sac/q" in metrics and "sac/q" not in other.train_step(sampler)
