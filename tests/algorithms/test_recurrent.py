"""What algorithms with memory must keep apart, and what they must keep."""

from __future__ import annotations

import pytest
import torch
from helpers import run_trials, tiny_sampler
from omegaconf import OmegaConf
from torch.testing import assert_close

from metarl_cli.commands.parts.assemble import assemble, build_network
from metarl_cli.config.build import build
from metarl_cli.config.compose import compose
from metarl_cli.core import tree
from metarl_cli.core.errors import UserError

BELIEF = ("varibad", "task_inference")
ENDS = [2, 9, 1, 9, 9, 3]
ONE_UPDATE = {"learner": {"batch": 4, "updates": 1, "buffer_trials": 8}}
SMALL = {"num_tasks": 3, "envs_per_task": 2, "elbo": ONE_UPDATE, "supervision": ONE_UPDATE}

with_belief = pytest.mark.parametrize("name", BELIEF)


def built(name, **settings):
    """An algorithm and its sampler of six tiny environments."""
    cfg = compose("train", [f"algo={name}", "env=point_nav", "network.hidden=8"])
    OmegaConf.set_struct(cfg, False)
    small = {key: value for key, value in SMALL.items() if key in cfg.algo} | settings
    sampler = tiny_sampler(ends=ENDS)
    torch.manual_seed(0)
    network = build_network(cfg.network)
    algorithm = build(OmegaConf.merge(cfg.algo, small), spec=sampler.spec, network=network)
    return algorithm, sampler


def parameters(step):
    return {id(p) for group in step.optimizer.param_groups for p in group["params"]}


@with_belief
def test_policy_and_encoder_are_trained_by_different_optimisers(name):
    algorithm, _ = built(name)
    parts = algorithm.learned()
    policy, model = parts["policy_optimizer"], parts["model_optimizer"]
    assert parameters(policy) == {id(p) for p in parts["policy"].parameters()}
    assert parameters(model) == {id(p) for p in parts["model"].parameters()}
    assert {id(p) for p in algorithm.agent.encoder.parameters()} < parameters(model)
    assert not parameters(policy) & parameters(model)


@with_belief
def test_gradient_of_the_policy_does_not_reach_the_encoder(name):
    algorithm, sampler = built(name)
    trials = run_trials(algorithm, sampler, 2)
    assert not trials.extras["belief"].requires_grad
    before = tree.clone(dict(algorithm.agent.encoder.named_parameters()))
    policy = tree.clone(dict(algorithm.agent.policy.named_parameters()))
    algorithm.agent.improve(trials)
    after = dict(algorithm.agent.encoder.named_parameters())
    assert all(p.grad is None and p.equal(before[key]) for key, p in after.items())
    moved = dict(algorithm.agent.policy.named_parameters())
    assert not any(p.equal(policy[key]) for key, p in moved.items())


@with_belief
def test_training_moves_encoder_decoder_and_policy(name):
    algorithm, sampler = built(name)
    parts = algorithm.learned()
    before = {key: tree.clone(parts[key].state_dict()) for key in ("model", "policy")}
    algorithm.train_step(sampler)
    for key, saved in before.items():
        for child in ("0.head.weight", "1") if key == "model" else ("head", "critic_head"):
            names = [name for name in saved if name.startswith(child) and "weight" in name]
            state = parts[key].state_dict()
            assert names and any(not state[name].equal(saved[name]) for name in names)


@with_belief
def test_the_belief_that_the_policy_saw_is_what_the_encoder_computes(name):
    algorithm, sampler = built(name)
    algorithm.train_step(sampler)  # the inputs have statistics now
    trials = run_trials(algorithm, sampler, 3)
    belief = algorithm.agent.encoder.sequence(trials.step)
    seen, mask = torch.cat([belief.mean, belief.log_std], -1), trials.step.active.bool()
    assert_close(trials.extras["belief"][mask], seen[mask], rtol=1e-4, atol=1e-5)


@with_belief
def test_a_trial_keeps_its_belief_between_episodes_at_meta_test(name):
    algorithm, sampler = built(name)
    trial = sampler.begin(algorithm, sampler.sample_tasks("test"))
    first, trial = sampler.run(algorithm, trial)
    adapted = trial.adapt(algorithm, first)
    second, _ = sampler.run(algorithm, adapted)
    whole = tree.concatenate([first, second])
    belief, mask = algorithm.agent.encoder.sequence(whole.step), whole.step.active.bool()
    assert_close(
        whole.extras["belief"][..., : belief.mean.shape[-1]][mask],
        belief.mean[mask],
        rtol=1e-4,
        atol=1e-5,
    )
    anew = algorithm.agent.encoder.sequence(second.step).mean
    assert (belief.mean[4] - anew[0]).abs().amax(-1).min() > 1e-5


@with_belief
def test_each_model_update_learns_from_the_latest_trials(name):
    algorithm, sampler = built(name)
    buffer = algorithm.experience()["buffer"]
    for expected in (6, 8, 8):  # six trials an iteration, room for eight
        algorithm.train_step(sampler)
        assert buffer.num == expected


def test_import_tells_the_task_to_its_share_of_training_trials_and_to_nobody_at_meta_test():
    algorithm, sampler = built("import", informed_share=0.5)
    told, act = [], algorithm.act

    def watched(state, step, *, explore):
        told.append(state.informed.tolist())
        return act(state, step, explore=explore)

    algorithm.act = watched
    algorithm.train_step(sampler)
    assert told and all(row == [1, 1, 1, 0, 0, 0] for row in told)
    told.clear()
    trial = sampler.begin(algorithm, sampler.sample_tasks("test"))
    sampler.run(algorithm, trial, episodes=2)
    assert told and not any(map(any, told))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_import_without_trials_of_its_history_is_refused(share):
    with pytest.raises(UserError, match="informed_share: got"):
        built("import", informed_share=share)


@pytest.mark.slow
def test_rl2_learns_to_explore_and_exploit_a_bandit():
    # Always the same arm: 5; greedy on the posterior 6.62; Bayes-optimal 6.66
    run = assemble(compose("train", ["experiment=rl2/bernoulli_bandit", "threads=1"]))
    sampler, returns = run.training_sampler(), []
    while sampler.env_steps + 10_240 <= 300_000:
        returns.append(run.algorithm.train_step(sampler)["train/return_0"])
    assert sum(returns[-5:]) / 5 >= 6.3  # 5,120 trials in tasks not met before
