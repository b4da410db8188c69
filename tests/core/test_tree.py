from dataclasses import dataclass

import pytest
import torch

from metarl_cli.core import tree


@dataclass(frozen=True)
class Pair:
    left: torch.Tensor
    right: dict[str, torch.Tensor]


def pair(value):
    return Pair(torch.tensor([value, value + 1.0]), {"x": torch.tensor([10.0 * value, 0.0])})


def test_map_reaches_the_leaves_of_dataclasses_dicts_lists_and_tuples():
    nested = {"a": [torch.tensor(1.0), (torch.tensor(2.0),)], "b": pair(3.0)}
    doubled = tree.tree_map(lambda x: 2 * x, nested)
    assert doubled["a"][0] == 2 and doubled["a"][1][0] == 4
    assert isinstance(doubled["a"][1], tuple) and isinstance(doubled["b"], Pair)
    assert doubled["b"].left.tolist() == [6, 8] and doubled["b"].right["x"].tolist() == [60, 0]
    assert nested["b"].left.tolist() == [3, 4]


def test_map_combines_corresponding_leaves():
    total = tree.tree_map(lambda x, y: x + y, pair(1.0), pair(2.0))
    assert total.left.tolist() == [3, 5] and total.right["x"].tolist() == [30, 0]


def test_map_refuses_sequences_of_other_lengths():
    with pytest.raises(ValueError, match="shorter"):
        tree.tree_map(lambda x, y: x + y, [1, 2], [1])


def test_stack_makes_a_new_dimension_and_concatenate_extends_one():
    assert tree.stack([pair(1.0), pair(2.0)]).left.tolist() == [[1, 2], [2, 3]]
    assert tree.stack([pair(1.0), pair(2.0)], dim=1).left.tolist() == [[1, 2], [2, 3]]
    assert tree.concatenate([pair(1.0), pair(5.0)]).right["x"].tolist() == [10, 0, 50, 0]


def test_concatenating_one_tree_gives_that_tree():
    only = pair(1.0)
    assert tree.concatenate([only]) is only


def test_index_selects_in_every_leaf():
    picked = tree.index(pair(1.0), 0)
    assert picked.left == 1 and picked.right["x"] == 10


def test_clone_shares_no_memory_and_keeps_other_leaves():
    original = {"x": torch.zeros(2), "name": "kept", "none": None, "numbers": [1, 2.5]}
    copy = tree.clone(original)
    original["x"] += 1
    assert copy["x"].tolist() == [0, 0]
    assert (copy["name"], copy["none"], copy["numbers"]) == ("kept", None, [1, 2.5])


def test_leaves_are_listed_in_order():
    nested = {"b": [torch.tensor(1), (torch.tensor(2),)], "a": pair(3.0)}
    assert [x.tolist() for x in tree.leaves(nested)] == [1, 2, [3, 4], [30, 0]]
    assert tree.leaves(5) == [5] and tree.leaves({}) == []


def test_plain_data_has_dicts_in_place_of_dataclasses_and_shares_the_leaves():
    nested = {"pair": pair(1.0), "number": 5}
    plain = tree.plain(nested)
    assert type(plain["pair"]) is dict and plain["pair"].keys() == {"left", "right"}
    assert plain["pair"]["left"] is nested["pair"].left and plain["number"] == 5
    assert plain["pair"]["right"]["x"] is nested["pair"].right["x"]


def test_plain_data_gets_its_structure_back_from_an_example():
    nested = {"pair": pair(1.0), "number": 5}
    back = tree.structured(tree.plain(nested), {"pair": pair(7.0), "number": 6})
    assert isinstance(back["pair"], Pair) and back["number"] == 5
    assert back["pair"].left is nested["pair"].left
    assert back["pair"].right["x"].tolist() == [10, 0]


def test_plain_data_that_lacks_a_field_of_the_example_is_refused():
    with pytest.raises(KeyError, match="right"):
        tree.structured({"left": torch.zeros(2)}, pair(1.0))


def test_steps_are_regrouped_by_task_time_first():
    steps = torch.tensor([[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [7.0], [8.0]]])  # [2, 4, 1]
    grouped = tree.by_task({"x": steps}, num_tasks=2)["x"]  # two environments of each task
    assert grouped.shape == (2, 4, 1)
    assert grouped.squeeze(-1).tolist() == [[1, 2, 5, 6], [3, 4, 7, 8]]
