from functools import partial

import numpy as np
import pytest
import torch
from helpers import NUM_STATES, Noisy, Scripted, tiny_sampler
from torch.testing import assert_close

from metarl_cli.core import tree
from metarl_cli.core.errors import NonFiniteError
from metarl_cli.rollouts import sampler as sampler_module

AGENT = Scripted()
T, B = 4, 6
ENDS = [2, 9, 9, 3, 9, 1]


def run(sampler, agent=AGENT, **settings):
    trial = sampler.begin(agent, sampler.sample_tasks())
    return sampler.run(agent, trial, **settings)


def test_recorded_numbers_are_those_of_the_environment():
    sampler = tiny_sampler()
    tasks = sampler.sample_tasks()
    episode, _ = sampler.run(AGENT, sampler.begin(AGENT, tasks))
    task = tasks.params.repeat_interleave(2, 0).float()  # task-major
    assert episode.step.obs.shape == (T, B, 2) and episode.action.shape == (T, B, 2)
    assert_close(episode.step.task, task.expand(T, B, 1))
    assert_close(episode.step.obs[:, 0, 0], torch.arange(4.0) / NUM_STATES)
    assert_close(episode.action[:, 0, 0], torch.arange(4.0) / 10)
    for t in range(T):
        assert_close(episode.reward[t], -(t / 10 - task[:, 0]).abs())
    assert_close(episode.episode_return, episode.reward.sum(0))


def test_next_obs_is_the_true_successor_also_at_the_end():
    sampler = tiny_sampler(horizon=3, ends=[2, 9, 9, 9, 9, 9])
    episode, _ = run(sampler, episodes=2)
    counter = episode.next_obs[:, :, 0] * NUM_STATES
    assert_close(counter[:, 1], torch.tensor([1.0, 2, 3, 1, 2, 3]))
    assert_close(counter[:, 0], torch.tensor([1.0, 2, 2, 1, 2, 2]))  # ended, standing still
    inside = torch.tensor([0, 1, 3, 4])
    assert episode.next_obs[inside].equal(episode.step.obs[inside + 1])
    assert not episode.next_obs[2].equal(episode.step.obs[3])  # a reset lies between


def test_first_marks_the_first_step_of_each_episode():
    episode, _ = run(tiny_sampler(horizon=3), episodes=2)
    assert episode.step.first[:, 0].tolist() == [1, 0, 0, 1, 0, 0]


def test_previous_action_and_reward_are_zero_at_the_start_of_a_trial_and_survive_resets():
    episode, trial = run(tiny_sampler(), episodes=2)
    assert episode.step.prev_action[0].eq(0).all() and episode.step.prev_reward[0].eq(0).all()
    assert episode.step.prev_action[1:].equal(episode.action[:-1])
    assert episode.step.prev_reward[1:].equal(episode.reward[:-1])
    assert trial.prev_action.equal(episode.action[-1])
    assert trial.prev_reward.equal(episode.reward[-1])


def test_reward_of_the_last_real_step_survives_the_wait_for_other_environments():
    sampler = tiny_sampler(ends=[2, 9, 9, 9, 9, 9])
    episode, trial = run(sampler, episodes=2)
    prev_action, prev_reward = episode.step.prev_action[:, 0], episode.step.prev_reward[:, 0]
    last_reward, last_action = episode.reward[1, 0], episode.action[1, 0]
    assert last_reward != 0
    assert prev_reward[2:5].tolist() == [last_reward.item()] * 3
    assert prev_action[2:5].equal(last_action.expand(3, 2))
    assert episode.step.first[4, 0] == 1
    assert trial.prev_reward[0] == episode.reward[5, 0]


def test_episode_that_ended_early_is_inactive_afterwards():
    sampler = tiny_sampler(ends=[2, 9, 9, 9, 9, 9])
    episode, _ = run(sampler)
    assert episode.step.active[:, 0].tolist() == [1, 1, 0, 0]
    assert episode.terminated[:, 0].tolist() == [0, 1, 0, 0]
    assert episode.reward[2:, 0].tolist() == [0, 0]
    assert episode.step.active[:, 1:].eq(1).all() and episode.terminated[:, 1:].eq(0).all()
    assert sampler.env_steps == 5 * T + 2


def test_episode_is_over_when_every_environment_has_ended():
    sampler = tiny_sampler(ends=[1, 2, 1, 1, 1, 1])
    episode, _ = run(sampler)
    assert len(episode.reward) == 2 and sampler.env_steps == 7


def test_rows_that_have_ended_stand_still_while_other_processes_have_rows_at_work(monkeypatch):
    monkeypatch.setattr(sampler_module, "largest", lambda steps, running: [max(steps, 3), 1])
    sampler = tiny_sampler(ends=[1, 2, 1, 1, 1, 1])
    episode, trial = run(sampler, steps=3)
    assert len(episode.reward) == 3 and episode.step.active.sum() == sampler.env_steps == 7
    assert episode.step.obs[2].equal(episode.next_obs[2])
    assert trial.open_episode is not None  # it goes on elsewhere
    rest, _ = sampler.run(AGENT, trial, steps=1)
    assert rest.step.active.eq(0).all() and rest.step.first.eq(0).all()


def test_time_limit_is_not_a_termination():
    episode, _ = run(tiny_sampler())
    assert episode.terminated.eq(0).all()


def test_agents_extras_and_the_infos_asked_for_are_recorded():
    plain, _ = run(tiny_sampler())
    assert set(plain.extras) == {"age"} and plain.extras["age"][:, 0].tolist() == [0, 1, 2, 3]
    full, _ = run(tiny_sampler(record_info=True))
    assert set(full.extras) == {"age", "info/success", "info/unstable"}
    assert full.extras["info/success"].equal((full.reward > -0.1).float())


def test_agents_state_goes_through_steps_episodes_and_adaptation():
    sampler = tiny_sampler()
    episode, trial = run(sampler, episodes=2)
    assert trial.state == 2 * T and trial.adapt(AGENT, episode).state == 2 * T + 100
    assert trial.state == 2 * T


def test_probe_leaves_no_trace_in_the_trial():
    sampler = tiny_sampler()
    trial = sampler.begin(AGENT, sampler.sample_tasks())
    before = (trial.state, trial.prev_action.clone(), trial.prev_reward.clone())
    sampler.run(AGENT, trial, explore=False)
    after, _ = sampler.run(AGENT, trial)
    assert trial.state == before[0] and trial.prev_action.equal(before[1])
    assert trial.prev_reward.equal(before[2])
    assert after.extras["age"][0, 0] == 0 and after.step.prev_reward[0].eq(0).all()


@pytest.mark.parametrize("action", ["continuous", "discrete"])
@pytest.mark.parametrize("obs", ["vector", "discrete"])
def test_spaces_keep_their_types(obs, action):
    episode, _ = run(tiny_sampler(obs=obs, action=action), Scripted(action == "discrete"))
    assert episode.step.obs.dtype == (torch.float32 if obs == "vector" else torch.int64)
    expected = torch.float32 if action == "continuous" else torch.int64
    assert episode.action.dtype == episode.step.prev_action.dtype == expected
    assert episode.step.obs.shape == ((T, B, 2) if obs == "vector" else (T, B))
    assert episode.reward.dtype == torch.float32


def test_same_seed_same_trajectories_other_seed_others():
    def trajectory(seed):
        torch.manual_seed(0)
        return run(tiny_sampler(seed=seed), Noisy())[0]

    first, same, other = trajectory(0), trajectory(0), trajectory(1)
    assert first.step.obs.equal(same.step.obs) and first.reward.equal(same.reward)
    assert not first.step.obs.equal(other.step.obs)


def test_every_episode_starts_anew():
    sampler = tiny_sampler()
    episode, _ = run(sampler, episodes=2)
    starts = episode.step.obs[[0, T], :, 1]
    assert len(set(starts.flatten().tolist())) == 2 * B


def test_restored_counters_continue_with_the_same_tasks_and_starts():
    sampler = tiny_sampler()
    run(sampler)
    resumed = tiny_sampler()
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.env_steps == sampler.env_steps == T * B
    ours, theirs = run(sampler)[0], run(resumed)[0]
    assert ours.step.obs.equal(theirs.step.obs) and ours.step.task.equal(theirs.step.task)
    fresh = run(tiny_sampler())[0]
    assert not ours.step.obs.equal(fresh.step.obs)


def test_held_out_tasks_do_not_move_the_stream_of_training_tasks():
    first, second = tiny_sampler(), tiny_sampler()
    second.sample_tasks("test"), second.sample_tasks("validation")
    assert first.sample_tasks().params.equal(second.sample_tasks().params)


def test_number_of_tasks_must_fit():
    with pytest.raises(ValueError, match="6 environments cannot be shared by 4 tasks"):
        tiny_sampler(num_tasks=4)
    sampler = tiny_sampler(num_tasks=2)
    with pytest.raises(ValueError, match="expected 2 tasks, got 3"):
        sampler.begin(AGENT, sampler.sample_tasks("test"))


class Broken(Scripted):
    """Chooses a NaN in its second step."""

    def act(self, state, step, *, explore):
        output = super().act(state, step, explore=explore)
        if state == 1:
            output.action[4] = torch.nan
        return output


class Linear(Scripted):
    """Acts by its observation, so that a bad one shows in the action."""

    def act(self, state, step, *, explore):
        output = super().act(state, step, explore=explore)
        output.action = step.obs.clamp(-1, 1)
        return output


@pytest.mark.parametrize("what", ["reward", "obs"])
@pytest.mark.parametrize("step", [1, T - 1])
@pytest.mark.parametrize("agent", [Scripted(), Linear()])
def test_non_finite_reward_or_observation_is_named_with_its_place(what, step, agent):
    sampler = tiny_sampler(fault=(what, step, 3))
    place = rf"{what} is not finite at step {step} in environment 3"
    with pytest.raises(NonFiniteError, match=place):
        run(sampler, agent)


class Rewarded(Scripted):
    """Acts by its last reward, as agents with memory do."""

    def act(self, state, step, *, explore):
        output = super().act(state, step, explore=explore)
        output.action = output.action + step.prev_reward.unsqueeze(-1)
        return output


def test_reward_that_makes_the_next_action_non_finite_is_the_one_that_is_named():
    sampler = tiny_sampler(fault=("reward", 1, 3))
    with pytest.raises(NonFiniteError, match="reward is not finite at step 1 in environment 3"):
        run(sampler, Rewarded())


def test_non_finite_observation_at_the_reset_is_named():
    sampler = tiny_sampler(fault=("obs", -1, 2))
    with pytest.raises(NonFiniteError, match="obs is not finite at the reset in environment 2"):
        run(sampler, Linear())


def test_non_finite_action_is_named_with_its_place():
    with pytest.raises(NonFiniteError, match=r"action in environment 4"):
        run(tiny_sampler(), Broken())


def test_unstable_simulation_is_masked_counted_and_no_termination():
    sampler = tiny_sampler(fault=("unstable", 1, 3), record_info=True)
    episode, _ = run(sampler)
    assert episode.step.active[:, 3].tolist() == [1, 0, 0, 0]
    assert episode.reward[1:, 3].eq(0).all() and episode.terminated[:, 3].eq(0).all()
    assert episode.step.active[:, :3].eq(1).all()
    assert episode.extras["info/unstable"][:, 3].tolist() == [0, 1, 0, 0]
    assert sampler.unstable == 1
    assert sampler.env_steps == 5 * T + 2  # the step that blew up was simulated


def test_count_of_unstable_steps_survives_a_resume():
    sampler, resumed = tiny_sampler(fault=("unstable", 1, 3)), tiny_sampler()
    run(sampler)
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.unstable == 1


def test_numbers_of_an_unstable_step_are_held():
    sampler = tiny_sampler(fault=("unstable", 2, 0))
    episode, _ = run(sampler)
    assert np.isfinite(episode.next_obs.numpy()).all()
    assert episode.next_obs[2, 0].equal(episode.step.obs[2, 0])


def test_a_number_of_steps_is_whole_episodes_back_to_back_and_the_last_is_cut():
    sampler = tiny_sampler(horizon=3)
    piece, trial = run(sampler, steps=5)
    assert piece.step.first[:, 0].tolist() == [1, 0, 0, 1, 0]
    assert (piece.step.obs[:, 0, 0] * NUM_STATES).round().tolist() == [0, 1, 2, 0, 1]
    assert piece.reward.shape == (5, B) and sampler.env_steps == 5 * B
    assert trial.open_episode.elapsed == 2 and sampler.episodes_run == 2


def test_the_next_steps_go_on_with_the_episode_that_was_cut():
    in_pieces, whole = tiny_sampler(ends=ENDS), tiny_sampler(ends=ENDS)
    trial, pieces = in_pieces.begin(AGENT, in_pieces.sample_tasks()), []
    for steps in (1, 2, 3, 2):
        piece, trial = in_pieces.run(AGENT, trial, steps=steps)
        pieces.append(piece)
    expected, after = run(whole, episodes=2)
    joined = tree.concatenate(pieces)
    tree.tree_map(partial(assert_close, rtol=0, atol=0), joined, expected)
    assert trial.open_episode is None and trial.state == after.state
    assert in_pieces.state_dict() == whole.state_dict()


def test_next_obs_of_a_cut_is_where_the_episode_goes_on():
    sampler = tiny_sampler()
    first, trial = run(sampler, steps=2)
    second, _ = sampler.run(AGENT, trial, steps=1)
    assert first.next_obs[-1].equal(second.step.obs[0]) and second.step.first.eq(0).all()


def test_whole_episodes_begin_anew_and_leave_a_cut_one_behind():
    sampler = tiny_sampler()
    _, trial = run(sampler, steps=2)
    episode, after = sampler.run(AGENT, trial)
    assert episode.step.first[:, 0].tolist() == [1, 0, 0, 0] and after.open_episode is None
    assert episode.step.prev_action[0].equal(trial.prev_action)


@pytest.mark.parametrize("use", ["another run", "a resume"])
def test_an_episode_whose_simulation_was_used_since_cannot_go_on(use):
    sampler = tiny_sampler()
    _, trial = run(sampler, steps=2)
    if use == "another run":
        run(sampler, steps=2)
    else:
        sampler.load_state_dict(sampler.state_dict())
    with pytest.raises(ValueError, match="cannot go on: the simulation was used since"):
        sampler.run(AGENT, trial, steps=1)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps: got 0, expected a number > 0"):
        run(tiny_sampler(), steps=0)


def test_a_fault_after_a_cut_is_named_by_the_step_of_its_episode():
    sampler = tiny_sampler(fault=("reward", 3, 3))
    _, trial = run(sampler, steps=2)
    with pytest.raises(NonFiniteError, match="reward is not finite at step 3 in environment 3"):
        sampler.run(AGENT, trial, steps=2)
