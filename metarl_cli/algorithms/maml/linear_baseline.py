"""Linear feature baseline: ridge regression of returns, one per task.

Duan et al. 2016 (arXiv:1604.06778, section 5); used by Finn et al. 2017 (arXiv:1703.03400).
"""

from __future__ import annotations

import torch
from torch import Tensor

from metarl_cli.functional.returns import discounted_return, gae, last_step_trace

OBS_CLIP = 10.0
STEPS_PER_UNIT = 100.0  # time enters the features in units of 100 steps


def time_features(obs: Tensor) -> Tensor:
    """Features [o, o^2, tau, tau^2, tau^3, 1] of `obs` `[T, ..., O]` -> `[T, ..., 2 O + 4]`."""
    o = obs.double().clamp(-OBS_CLIP, OBS_CLIP)
    tau = torch.arange(len(obs), dtype=o.dtype, device=o.device) / STEPS_PER_UNIT
    powers = tau.unsqueeze(-1) ** torch.tensor([1.0, 2.0, 3.0, 0.0], dtype=o.dtype, device=o.device)
    shape = (len(obs), *[1] * (obs.dim() - 2), 4)
    return torch.cat([o, o.square(), powers.view(shape).expand(*obs.shape[:-1], 4)], dim=-1)


def fit_predict(features: Tensor, target: Tensor, mask: Tensor, ridge: float = 1e-5) -> Tensor:
    """Fit targets by masked ridge regression per task and return the fitted values.

    Args:
        features: `[N, M, F]`.
        target: `[N, M]`.
        mask: `[N, M]`, 0 for samples to leave out.
        ridge: regularisation; ten times more while the system is not positive definite.

    Returns:
        Predictions `[N, M]` in the type of `target`.
    """
    weighted = features * mask.unsqueeze(-1)
    gram = weighted.transpose(1, 2) @ features  # [N, F, F]
    moment = weighted.transpose(1, 2) @ target.to(features.dtype).unsqueeze(-1)
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    for _ in range(6):
        factor, failed = torch.linalg.cholesky_ex(gram + ridge * eye)
        if not failed.any():
            break
        ridge *= 10
    coefficients = torch.cholesky_solve(moment, factor)
    return (features @ coefficients).squeeze(-1).to(target.dtype)


def baseline_advantage(
    obs: Tensor,
    reward: Tensor,
    active: Tensor,
    *,
    num_tasks: int,
    discount: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Advantages of one episode under a baseline fitted to each task's returns of that episode.

    The features hold the time, so the value after the last step is 0, not a bootstrap.

    Args:
        obs: `[T, B, O]` float features.
        reward: `[T, B]`, 0 where not active.
        active: `[T, B]`, 0 after the end of the episode.
        num_tasks: N; rows are grouped by task.
        discount: gamma.
        gae_lambda: lambda of the advantage estimate.

    Returns:
        advantage, fitted value and return to go, `[T, B]` each.
    """
    discounts = discount * active
    returns = discounted_return(reward, discounts)
    shape = (num_tasks, -1)

    def by_task(x: Tensor) -> Tensor:  # [T, B, ...] -> [N, E * T, ...]
        return x.transpose(0, 1).unflatten(0, shape).flatten(1, 2)

    fitted = fit_predict(by_task(time_features(obs)), by_task(returns), by_task(active))
    value = fitted.unflatten(1, (-1, len(obs))).flatten(0, 1).transpose(0, 1) * active  # [T, B]
    next_value = torch.cat([value[1:], torch.zeros_like(value[:1])])
    trace = last_step_trace(active, gae_lambda)
    return gae(reward, discounts, value, next_value, trace) * active, value, returns
