"""An agent's belief about a hidden goal, beside that of an exact Bayes filter.

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

from metarl_cli.core import tree
from metarl_cli.core.protocols import Agent, InfersTask, Metrics, PredictsReward
from metarl_cli.core.types import Trajectory
from metarl_cli.envs.base.hidden_goal import HiddenGoal, posterior


@dataclass(frozen=True)
class GoalBeliefs:
    """Beliefs over G goals before each step of a trial in each of N tasks, `[T, N, G]`.

    What is expected is the reward of a move to a place where the goal may be. On a grid that is the
    chance of the goal (of its being paid).
    """

    hidden: HiddenGoal
    trial: Trajectory  # [T, N]
    exact: Tensor  # chances of the goals
    learned: Tensor | None  # expected, which need not sum to 1; None: the agent shows no belief
    log_probs: Tensor | None  # of the learned belief, if it is a distribution

    @property
    def expected(self) -> Tensor:
        """What the exact belief expects `[T, N, G]`, to be compared with `learned`."""
        return self.exact @ torch.as_tensor(self.hidden.pays)

    def agreement(self) -> Metrics:
        """Compare learned and exact belief, means over steps and tasks.

        `belief_kl`: KL(exact || learned) in nats, for distributions, whose log-probabilities have
        no floor; `belief_error`: absolute difference of what is expected, mean over goals too.
        """
        out: Metrics = {}
        if self.learned is not None:
            out["belief_error"] = float((self.learned - self.expected).abs().mean())
        if self.log_probs is not None:
            out["belief_kl"] = float(kl(self.exact, self.log_probs).mean())
        return out


def goal_beliefs(agent: Agent, hidden: HiddenGoal, trial: Trajectory) -> GoalBeliefs:
    """Read an agent's belief off a trial `[T, N]` that it has played where the goal is hidden.

    The agent may offer `InfersTask`, where the goals are all tasks (on a curve, task inference
    tells one estimate and no belief: nothing is shown), or else `PredictsReward`: then it is asked
    for the reward of moves to each goal, and the mean is taken. (Staying there is no good question:
    agents stay where they have found the goal, and predictors know it. Where they predict the
    chance of a reward, near the goal that is a little more than the reward.)
    """
    log_probs = learned = None
    if isinstance(agent, InfersTask):
        if hidden.cells:
            log_probs = agent.task_log_probs(trial).double().cpu()
            learned = log_probs.exp()
    elif isinstance(agent, PredictsReward):
        tasks = range(trial.reward.shape[1])  # one by one: memory
        maps = [_foretold(agent, hidden, tree.index(trial, np.s_[:, n : n + 1])) for n in tasks]
        learned = torch.cat(maps, 1)
    return GoalBeliefs(hidden, trial, exact_belief(hidden, trial), learned, log_probs)


def _foretold(agent: PredictsReward, hidden: HiddenGoal, trial: Trajectory) -> Tensor:
    moves = hidden.moves
    before, action, goal = map(torch.as_tensor, (moves.before, moves.action, moves.goal))  # [Q]
    after = torch.as_tensor(hidden.goals)[goal]
    reward = agent.predicted_reward(
        trial, before.to(trial.reward), action.to(trial.action), after.to(trial.reward)
    )
    each = one_hot(goal, len(hidden.goals)).double()  # [Q, G]
    return reward.double().cpu() @ (each / each.sum(0))


def exact_belief(hidden: HiddenGoal, trial: Trajectory) -> Tensor:
    """Return what a Bayes filter believes before each step, `[T, N, G]`."""
    assert isinstance(trial.next_obs, Tensor)
    seen = (trial.next_obs, trial.reward, trial.extras["info/success"] > 0)
    after = posterior(hidden.agrees(*(x.cpu().numpy() for x in seen)))
    prior = np.full_like(after[:1], 1 / len(hidden.goals))
    return torch.as_tensor(np.concatenate([prior, after[:-1]]))


def kl(exact: Tensor, log_probs: Tensor) -> Tensor:
    """KL(exact || learned) `[...]` of chances and log-probabilities `[..., G]`."""
    return (torch.xlogy(exact, exact) - exact * log_probs).sum(-1)
