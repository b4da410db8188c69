from metarl_cli.reports.thin import thin


def rows(num, tested=()):
    return [
        {"env_steps": i, "train/return_0": float(i)}
        | ({"eval/online_0": 1.0} if i in tested else {})
        for i in range(num)
    ]


def test_a_short_record_is_kept_as_it_is():
    assert thin(rows(3), 5) == rows(3)


def test_kept_rows_carry_the_mean_of_those_they_stand_for():
    kept = thin(rows(6), 3)
    assert [row["env_steps"] for row in kept] == [1, 3, 5]
    assert [row["train/return_0"] for row in kept] == [0.5, 2.5, 4.5]


def test_rows_with_an_evaluation_and_the_last_row_are_kept():
    kept = thin(rows(1000, tested=(0, 7, 500)), 50)
    steps = [row["env_steps"] for row in kept]
    assert len(kept) <= 50
    assert {0, 7, 500, 999} <= set(steps)
    assert sum("eval/online_0" in row for row in kept) == 3


def test_never_more_rows_than_asked_for_even_if_all_have_an_evaluation():
    assert len(thin(rows(30, tested=range(30)), 10)) == 10
