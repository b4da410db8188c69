"""An agent's belief about hidden goals on a grid, beside that of an exact Bayes filter.

Zintgraf et al. 2020 (VariBAD, arXiv:1910.08348), section 5.1; Humplik et al. 2019
(arXiv:1905.06424), section 5. A belief "before step t" knows of the steps 0..t-1 of the trial. So
does an agent when it takes step t: it has been shown the reward of step t-1, at the first step of
an episode the last one of the episode before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from metarl_cli.core.protocols import Agent, InfersTask, Metrics, PredictsReward
from metarl_cli.core.types import Trajectory
from metarl_cli.envs.gridworld import GridNavigation
from metarl_cli.envs.gridworld_bayes import posterior


@dataclass(frozen=True)
class GoalBeliefs:
    """Beliefs over G goals before each step of a trial in each of N tasks, `[T, N, G]`."""

    goals: np.ndarray  # [G, 2], cells
    trial: Trajectory  # [T, N]
    exact: Tensor
    learned: Tensor | None  # chances, which need not sum to 1; None: the agent shows no belief
    log_probs: Tensor | None  # of the learned belief, if it is a distribution

    def agreement(self) -> Metrics:
        """Compare learned and exact belief, means over steps and tasks.

        `belief_kl`: KL(exact || learned) in nats, for distributions, whose log-probabilities have
        no floor; `belief_error`: absolute difference of the chance of a goal, mean over goals too.
        """
        out: Metrics = {}
        if self.learned is not None:
            out["belief_error"] = float((self.learned - self.exact).abs().mean())
        if self.log_probs is not None:
            out["belief_kl"] = float(kl(self.exact, self.log_probs).mean())
        return out


def goal_beliefs(agent: Agent, env: GridNavigation, trial: Trajectory) -> GoalBeliefs:
    """Read an agent's belief off a trial `[T, N]` that it has played in such an environment.

    The agent may offer `InfersTask`, or else `PredictsReward`: then the chance of a goal is the
    reward that is expected of a move there, mean over the cells from which to come. (Staying there
    is no good question: agents stay where they have found the goal, and predictors know it.)
    """
    goals = env.goals
    log_probs = learned = None
    if isinstance(agent, InfersTask):
        log_probs = agent.task_log_probs(trial).double().cpu()
        learned = log_probs.exp()
    elif isinstance(agent, PredictsReward):
        learned = _chance_of_reward(agent, env, trial)
    return GoalBeliefs(goals, trial, exact_belief(goals, trial), learned, log_probs)


def _chance_of_reward(agent: PredictsReward, env: GridNavigation, trial: Trajectory) -> Tensor:
    before, action, goal = map(torch.as_tensor, env.moves_to_goals())  # [Q]
    after = torch.as_tensor(env.goals)[goal]
    reward = agent.predicted_reward(
        trial, before.to(trial.reward), action.to(trial.action), after.to(trial.reward)
    )
    each = one_hot(goal, len(env.goals)).double()  # [Q, G]
    return reward.double().cpu() @ (each / each.sum(0))


def exact_belief(goals: np.ndarray, trial: Trajectory) -> Tensor:
    """Return what a Bayes filter believes before each step, `[T, N, G]`."""
    assert isinstance(trial.next_obs, Tensor)
    found = trial.extras["info/success"].cpu().numpy() > 0
    after = posterior(goals, trial.next_obs.cpu().numpy(), found)
    prior = np.full_like(after[:1], 1 / len(goals))
    return torch.as_tensor(np.concatenate([prior, after[:-1]]))


def kl(exact: Tensor, log_probs: Tensor) -> Tensor:
    """KL(exact || learned) `[...]` of chances and log-probabilities `[..., G]`."""
    return (torch.xlogy(exact, exact) - exact * log_probs).sum(-1)
