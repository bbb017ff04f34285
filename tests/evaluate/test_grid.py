"""Sizes of an elastic encoder: what is judged, what is timed, which one is picked."""

import pytest

from vecsmith.core import ConfigError, DataError
from vecsmith.encode import cut
from vecsmith.encode.text._layers import backbone_of
from vecsmith.evaluate import Grid, SizeResult, evaluate_grid, evaluate_menu, layer_times

TEXTS = ["open the valve", "red sensor cable", "close door and write file"] * 3


def area(model) -> float:
    """Blocks times dimensions, read off the model that came."""
    vectors = model.encode(["pump"])
    return backbone_of(model).depth * vectors.shape[1] / 1000


def test_every_size_is_judged_on_a_cut_model(layered_model) -> None:
    grid = evaluate_grid(layered_model(), area, layers=[1, 4], dims=[8, 32], texts=TEXTS)
    found = {(row.layers, row.dim): row for row in grid.rows}
    assert set(found) == {(1, 8), (1, 32), (4, 8), (4, 32)}
    for (layers, dim), row in found.items():
        assert row.quality == pytest.approx(layers * dim / 1000)
        assert row.bytes_per_vector == 4 * dim and row.ms_per_text > 0
    assert "| model | 4 | 32 | 0.1280 |" in grid.table()


def test_menu_against_others(layered_model) -> None:
    model, menu = layered_model(), [(1, 8), (4, 32)]
    apart = [cut(model, 1), model]
    grid = evaluate_menu(
        model, area, menu, texts=TEXTS, against={"other": layered_model(seed=1), "apart": apart}
    )
    assert [row.model for row in grid.rows] == ["model"] * 2 + ["other"] * 2 + ["apart"] * 2
    assert [row.quality for row in grid.rows] == pytest.approx([0.008, 0.128] * 3)


def test_time_grows_with_the_blocks(layered_model) -> None:
    model = layered_model(num_hidden_layers=16)
    taken = layer_times(model, TEXTS, [1, 16])
    assert set(taken) == {1, 16} and 0 < taken[1] < taken[16]


ROWS = (
    SizeResult("a", 1, 8, 0.5, 1.0, 32),
    SizeResult("a", 2, 8, 0.6, 2.0, 32),
    SizeResult("a", 2, 32, 0.8, 2.0, 128),
    SizeResult("b", 1, 32, 0.8, 1.5, 128),
)


def test_pick() -> None:
    grid = Grid(ROWS)
    assert grid.pick() == ROWS[3]
    assert grid.pick(model="a") == ROWS[2]
    assert grid.pick(max_bytes=64) == ROWS[1]
    assert grid.pick(max_ms=1.5) == ROWS[3]
    assert grid.pick(max_ms=1.9, max_bytes=32) == ROWS[0]
    assert Grid(ROWS, greater_is_better=False).pick() == ROWS[0]
    with pytest.raises(ConfigError, match=r"the cheapest costs 1\.00 ms and 32 bytes"):
        grid.pick(max_ms=0.5)


class Several:
    """An evaluator of many figures, as sentence-transformers has them."""

    primary_metric = None

    def __call__(self, model):
        return {"cosine": 0.3, "dot": 0.4}


def test_the_figure_that_counts_is_taken(layered_model) -> None:
    evaluator = Several()
    with pytest.raises(DataError, match="primary_metric"):
        evaluate_menu(layered_model(), evaluator, [(1, 8)], texts=TEXTS)
    evaluator.primary_metric = "dot"
    grid = evaluate_menu(layered_model(), evaluator, [(1, 8)], texts=TEXTS)
    assert grid.rows[0].quality == 0.4


def test_bad_input_is_named(layered_model) -> None:
    with pytest.raises(DataError, match="texts must hold"):
        evaluate_menu(layered_model(), area, [(1, 8)], texts=[])
    with pytest.raises(DataError, match="one model a size, 2"):
        evaluate_menu(
            layered_model(), area, [(1, 8), (4, 32)], texts=TEXTS, against={"x": [layered_model()]}
        )
    with pytest.raises(ConfigError, match="from 1 to 32"):
        evaluate_grid(layered_model(), area, layers=[1], dims=[64], texts=TEXTS)
