import functools
from dataclasses import replace

import numpy as np
import torch
from helpers import tiny_sampler

from metarl_cli.algorithms.dream.task_embedding import TaskEmbedding, TaskValues
from metarl_cli.networks.memory import GRU
from metarl_cli.networks.recipe import Recipe

NETWORK = Recipe(functools.partial(GRU, 5, 8))
SPEC = tiny_sampler().spec  # one parameter in [-1, 1]


def test_parameters_of_finitely_many_tasks_are_one_hot_each():
    spec = replace(SPEC, all_tasks=np.array([[0.1, 5.0], [0.2, 5.0], [0.3, 7.0]]))
    features = TaskValues(spec, NETWORK)(torch.tensor([[0.2, 7.0], [0.1, 5.0]]))
    assert features[:, :3].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert features[:, 3:5].tolist() == [[0, 1], [1, 0]]
    assert features.shape == (2, 6) and features[:, 5].sum() == 0


def test_other_parameters_are_scaled_to_the_bounds_of_their_space():
    assert TaskValues(SPEC, NETWORK)(torch.tensor([[0.5]])).tolist() == [[0.5]]


def test_embedding_has_the_shape_of_its_tasks():
    assert TaskEmbedding(SPEC, NETWORK, 4, [8])(torch.zeros(3, 2, 1)).shape == (3, 2, 4)
