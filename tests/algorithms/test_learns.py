"""Each algorithm learns what it is for, within two minutes on one thread.

What it has learned is told as a share of the way from an anchor that needs no learning to one that
leaves nothing to learn, both known exactly. Bounds leave room below the worst of three seeds, whose
shares stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from metarl_cli.commands.parts.assemble import Parts, assemble
from metarl_cli.config.compose import compose
from metarl_cli.core.types import Output, TimeStep
from metarl_cli.runtime.evaluator import meta_test

pytestmark = pytest.mark.slow

# A goal within five steps in the plane; the return is minus the distance, summed.
POINT = ["env=point_nav", "env.horizon=20"]
# Two arms, ten pulls; many bandits, for single ones are noisy.
BANDIT = [
    *("env=bernoulli_bandit", "env.num_arms=2", "env.tasks.num_test=4000"),
    *("algo.num_tasks=256", "algo.episodes=1", "meta_test={episodes: 0, envs_per_task: 5}"),
]
# One of five goals on 3x3 cells, found or ruled out by standing on them; a trial is two episodes.
GRID = [
    *("env=gridnavi", "env.size=3", "env.horizon=8", "env.step_reward=0"),
    *("env.tasks.num_test=5", "env.tasks.num_train=5"),
]


def trained(algo: str, world: Sequence[str], *settings: str, iterations: int) -> Parts:
    run = assemble(compose("train", [f"algo={algo}", *world, "threads=1", *settings]))
    sampler = run.training_sampler()
    for _ in range(iterations):
        run.algorithm.train_step(sampler)
    return run


def online(run: Parts) -> list[float]:
    """Mean return of each episode of the meta-test, sampled actions."""
    return run.test("test", probe=False).online.mean((1, 2)).tolist()


def share(value: float, floor: float, ceiling: float) -> float:
    return (value - floor) / (ceiling - floor)


def shares(run: Parts, floor: str, ceiling: str) -> list[float]:
    """For each episode of the meta-test, the share of the way between two of the anchors."""
    anchors = run.family.anchors()

    def anchor(name: str, episode: int) -> float:
        returns = anchors[name]  # the last one stands for all later episodes
        return returns[min(episode, len(returns) - 1)]

    return [
        share(value, anchor(floor, k), anchor(ceiling, k)) for k, value in enumerate(online(run))
    ]


def test_maml_learns_to_be_changed_by_one_gradient_step() -> None:
    run = trained("maml", POINT, "algo.inner={step_size: 0.5, gae_lambda: 1}", iterations=60)
    before, after, *_ = shares(run, "stand_still", "oracle")
    assert before < 0.1  # three seeds: -.05 -.05 -.06, for it does not know the goal
    assert after > 0.6  # .71 .73 .70


@pytest.mark.parametrize(("algo", "step_size"), [("promp", 0.5), ("cavia", 1.0)])
def test_relatives_of_maml_learn_to_be_changed_by_a_few_steps(algo: str, step_size: float) -> None:
    inner = f"algo.inner={{step_size: {step_size}, gae_lambda: 1}}"
    run = trained(algo, POINT, inner, iterations=60)
    before, once, *_, thrice = shares(run, "stand_still", "oracle")
    assert before < 0.1  # three seeds: promp -.06 -.06 -.06; cavia -.06 -.07 -.06
    assert once > 0.55  # .66 .69 .68; .71 .73 .71
    assert thrice > 0.65  # .77 .76 .77; .85 .86 .87


def test_policy_told_the_task_learns_to_use_it() -> None:
    run = trained("oracle", POINT, iterations=20)
    assert min(shares(run, "stand_still", "oracle")) > 0.65  # .82 .83 .82


class ToTheMiddle:
    """Walks to the middle of all goals and stays: the best that can be done without looking."""

    def __init__(self, middle: float) -> None:
        self.middle = middle

    def initial_state(self, num_tasks: int, envs_per_task: int) -> None:
        return None

    def act(self, state: None, step: TimeStep, *, explore: bool) -> Output:
        return Output(((self.middle - step.obs) / 0.1).clamp(-1, 1), state)

    def adapt(self, state: None, episode: object) -> None:
        return state


def test_blind_policy_learns_what_is_best_on_average() -> None:
    run = trained("multitask_ppo", POINT, "env.goal_range=[0.1,0.5]", iterations=20)
    best = meta_test(
        ToTheMiddle(0.3), run.test_sampler("test"), episodes=0, split="test", seed=0, probe=False
    )
    (still,) = run.family.anchors()["stand_still"]
    reached = share(online(run)[0], still, float(best.online.mean()))
    assert 0.75 < reached < 1.05  # three seeds: .95 .92 .93


def test_retraining_comes_near_the_goal_within_60_updates() -> None:
    settings = ["env.tasks.num_test=5", "meta_test.episodes=60"]
    run = trained("scratch_ppo", POINT, *settings, iterations=0)
    first, *_, last = shares(run, "stand_still", "oracle")
    assert first < 0.1 and last > 0.6  # three seeds: .84 .84 .85


@pytest.mark.parametrize(("algo", "bound"), [("rl2", 0.85), ("import", 0.75)])
def test_memory_learns_to_explore_bandits(algo: str, bound: float) -> None:
    """From pulling at random to the Bayes-optimal agent; knowing the arms would be 1.64."""
    (reached,) = shares(trained(algo, BANDIT, iterations=100), "random", "bayes_optimal")
    assert reached > bound  # rl2: .99 .99 .97; import: .90 .98 .97


@pytest.mark.parametrize("algo", ["task_inference", "varibad", "hyperx"])
def test_belief_learns_to_search_and_then_to_go_straight(algo: str) -> None:
    run = trained(algo, GRID, iterations=150)
    search, straight = shares(run, "random", "bayes_optimal")
    assert search > 0.85 and straight > 0.85  # the worst of three seeds of each: .96 and .99


def test_dream_finds_out_in_one_episode_what_the_next_needs() -> None:
    settings = [
        *("network.hidden=64", "network.embedding=32", "algo.q_hidden=[64]"),
        *("algo.bottleneck.latent_dim=16", "algo.q_learning.updates=16"),
        *("algo.q_learning.epsilon_steps=20000", "algo.q_learning.buffer_trials=2000"),
    ]
    run = trained("dream", GRID, *settings, iterations=60)
    assert shares(run, "random", "oracle")[-1] > 0.85  # 1.00 .93 1.00


def test_pearl_infers_the_goal_from_three_episodes() -> None:
    """Goals within one step, four steps per episode; without inference it walks to any of them."""
    settings = [
        *("env.horizon=4", "env.max_step=0.5", "env.tasks.num_train=100", "algo.num_tasks=100"),
        *("network.hidden=[64,64]", "algo.encoder_hidden=[64,64]", "algo.latent_dim=2"),
        *("algo.batch=16", "algo.context_batch=32", "algo.gradient_steps=200"),
        *("algo.collection.prior_episodes=3", "algo.collection.extra_episodes=2"),
        *("algo.collection.warmup_steps=1000", "algo.kl_weight=0.0003", "algo.sac.discount=0.2"),
        *("algo.sac.learning_rate=2e-3", "algo.sac.target_rate=0.05", "algo.sac.reward_scale=1"),
        "algo.sac.temperature=0.005",
    ]
    run = trained("pearl", [*POINT[:1], *settings], iterations=20)
    before, *_, after = shares(run, "stand_still", "oracle")
    assert before < 0 and after > 0.12  # three seeds: -.54 -.27 -.43 and .42 .26 .31
