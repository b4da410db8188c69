import torch
from helpers import Scripted, tiny_sampler

from metarl_cli.buffers.sequences import as_sequence, episodes_of
from metarl_cli.buffers.trials import TrialBuffer

ENDS = [2, 9, 1, 9, 9, 3]
STEPS = [2, 4, 1, 4, 4, 3]


def recorded(**env):
    sampler = tiny_sampler(action="discrete", ends=ENDS, **env)
    agent = Scripted(discrete=True)
    episode, _ = sampler.run(agent, sampler.begin(agent, sampler.sample_tasks()))
    return episode


def test_episodes_come_back_with_the_observation_they_end_on():
    episode = recorded()
    back = episodes_of(as_sequence(episode))
    acted = episode.step.active > 0
    assert back.acted.equal(episode.step.active) and back.acted.sum(0).tolist() == STEPS
    assert back.action[acted].equal(episode.action[acted])
    assert back.reward[acted].equal(episode.reward[acted])
    assert back.end.tolist() == STEPS
    last = back.step.obs[back.end, range(6)]
    assert last.equal(episode.next_obs[back.end - 1, range(6)])
    assert back.step.prev_reward[back.end, range(6)].equal(back.reward[back.end - 1, range(6)])


def test_what_a_buffer_appends_belongs_to_no_episode():
    buffer = TrialBuffer(capacity=6, length=8)
    episode = recorded()
    buffer.add(as_sequence(episode))
    back = episodes_of(buffer.sample(50))
    assert back.acted.shape == (7, 50)
    assert set(back.end.tolist()) == set(STEPS)
    assert back.step.active.sum(0).sub(1).equal(back.acted.sum(0))


def test_pictures_are_kept_once():
    image = as_sequence(recorded(obs="dict")).obs["image"]
    assert image.shape[:2] == (5, 6) and image.dtype == torch.uint8
