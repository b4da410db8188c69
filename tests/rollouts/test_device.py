"""Nothing of a sampler leaves the device of its simulation, and no step waits for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from helpers import Scripted, tiny_sampler
from other_device import OTHER, OtherDevice
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.types import EnvSpec, Output, StepResult
from metarl_cli.rollouts.sampler import Sampler
from metarl_cli.rollouts.tasks import TaskSplit

BOX = Box(-1, 1, (2,), np.float32)
B = 4


class Line:
    """A family of torch's own: points on a line pay minus their distance to the task, -1 to 1."""

    all_tasks = test_tasks = None

    def sample_tasks(self, num, rng):
        return rng.random((num, 1)) * 2 - 1


class LineSimulation:
    """Moves by the mean of the action, at most .1; a row ends where it has reached its task."""

    info_keys = ("success", "unstable")

    def __init__(self, device, horizon=5):
        self.num_envs, self.device = B, torch.device(device)
        self.spec = EnvSpec(BOX, BOX, Box(-1, 1, (1,), np.float64), horizon)

    def reset(self, task, *, seed):
        self.task = task[:, 0].float()
        self.place = 0.01 * torch.arange(B, device=self.device)
        self.active = torch.ones(B, dtype=torch.bool, device=self.device)
        self.elapsed = 0
        return self.look()

    def step(self, action):
        moved = self.place + 0.1 * action.clamp(-1, 1).mean(-1)
        self.place = torch.where(self.active, moved, self.place)
        distance = (self.place - self.task).abs()
        self.elapsed += 1
        reached = self.active & (distance < 0.1)
        over = self.active & (self.elapsed >= self.spec.horizon) & ~reached
        reward = torch.where(self.active, -distance, torch.zeros_like(distance))
        self.active = self.active & ~reached & ~over
        info = {"success": reached.double(), "unstable": torch.zeros_like(reached)}
        return StepResult(self.look(), reward, reached, over, info)

    def look(self):
        return torch.stack([self.place, self.task], -1)

    def close(self):
        pass


@dataclass
class Seeker:
    """Walks towards the task that it sees."""

    def initial_state(self, num_tasks, envs_per_task):
        return None

    def act(self, state, step, *, explore):
        way = (step.obs[:, 1] - step.obs[:, 0]).clamp(-1, 1)
        action = way[:, None].expand(-1, 2) * step.active[:, None] + 0 * step.prev_action
        return Output(action, state, {"way": way})

    def adapt(self, state, episode):
        return state


def sampler_on(device, horizon=5):
    split = TaskSplit(Line(), "fresh", num_train=1, train_seed=0, num_test=2, test_seed=1)
    simulation = LineSimulation(device, horizon)
    return Sampler(simulation, split, num_tasks=2, seed=0, record_info=True)


def play(sampler, **settings):
    return sampler.run(Seeker(), sampler.begin(Seeker(), sampler.sample_tasks()), **settings)


def test_nothing_is_made_on_another_device_than_the_simulations():
    with OtherDevice():
        sampler = sampler_on(OTHER)
        trajectory, trial = play(sampler, episodes=2)
        step = trajectory.step
        for x in (
            *(step.obs, step.prev_action, step.prev_reward, step.first, step.active, step.task),
            *(trajectory.action, trajectory.reward, trajectory.next_obs, trajectory.terminated),
            *trajectory.extras.values(),
            *(trial.prev_action, trial.prev_reward),
        ):
            assert x.device == OTHER


@pytest.mark.parametrize("settings", [{"episodes": 1}, {"steps": "horizon"}])
def test_longer_episodes_do_not_read_the_device_more_often(settings):
    reads = []
    for horizon in (5, 50):
        with OtherDevice() as device:
            sampler = sampler_on(OTHER, horizon)
            chosen = {
                key: horizon if value == "horizon" else value for key, value in settings.items()
            }
            trajectory, _ = play(sampler, **chosen)
            assert len(trajectory.reward) == horizon
            reads.append(device.reads)
    assert reads[0] == reads[1] < 10


def test_numbers_are_those_of_the_cpu_up_to_where_all_have_ended():
    here = sampler_on("cpu", 50)
    ours, trial = play(here)
    with OtherDevice():
        there = sampler_on(OTHER, 50)
        theirs, other = play(there)
        theirs_reward, active = theirs.reward.cpu(), theirs.step.active.cpu()
        prev_action, prev_reward = other.prev_action.cpu(), other.prev_reward.cpu()
    num = len(ours.reward)
    assert num < len(theirs_reward) == 50
    assert ours.reward.equal(theirs_reward[:num]) and ours.step.active.equal(active[:num])
    assert theirs_reward[num:].eq(0).all() and active[num:].eq(0).all()
    assert trial.prev_action.equal(prev_action) and trial.prev_reward.equal(prev_reward)
    assert here.state_dict() == there.state_dict()


def test_a_wrong_device_is_noticed():
    with OtherDevice() as device:
        there = torch.ones(3, device=OTHER)
        with pytest.raises(RuntimeError, match="meets one of the other device"):
            there + torch.ones(3)
        assert device.reads == 0
        assert bool(there.all()) and float(there.sum()) == 3.0 and device.reads == 2
        assert there.cpu().tolist() == [1, 1, 1] and device.reads == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_numpy_batch_gives_the_same_numbers_to_an_agent_on_a_gpu():
    def played(device):
        sampler = tiny_sampler(ends=[2, 9, 9, 3, 9, 1], record_info=True, device=device)
        agent = Scripted(device=device)
        return sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()), steps=10)[0]

    ours, theirs = played("cpu"), played("cuda")
    assert theirs.reward.is_cuda and theirs.step.active.is_cuda and theirs.next_obs.is_cuda
    tree.tree_map(lambda x, y: assert_close(x, y.cpu(), rtol=0, atol=0), ours, theirs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_longer_episodes_do_not_wait_for_it_more_often(recwarn):
    waits = []
    for horizon in (5, 5, 50):  # the first one warms up
        sampler = sampler_on("cuda", horizon)
        recwarn.clear()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            play(sampler)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits.append(len([w for w in recwarn if "synchroniz" in str(w.message)]))
    assert 0 < waits[1] == waits[2] < 20
