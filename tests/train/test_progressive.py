"""PEG's loss: history, curricular negatives, and a resumed schedule."""

import numpy as np
import pytest
import torch

from vecsmith.core import ConfigError, DataError
from vecsmith.train import (
    ContrastiveLoss,
    MinedNegatives,
    NegativeFilter,
    ProgressiveContrastiveLoss,
    mine_hard_negatives,
)
from vecsmith.train.contrastive._progressive import curricular_blocks


def test_without_weights_it_is_the_plain_loss(plain):
    q, p, n = (plain.draw(6, 8, seed=s) for s in range(3))
    ours = ProgressiveContrastiveLoss(None, temperature=0.2, weighting=None)
    assert ours.score([q, p, n]).item() == pytest.approx(
        ContrastiveLoss(None, temperature=0.2).score([q, p, n]).item(), rel=1e-12
    )


def test_history_follows_the_progress(plain):
    q, p, n = (plain.draw(40, 8, seed=s) for s in range(3))
    loss = ProgressiveContrastiveLoss(None, temperature=0.2)
    for step in (0, 5, 10):
        loss.set_progress(step, 10)
        loss.score([q, p, n])
    start, middle, end = loss.history()
    assert middle["entropy"] == pytest.approx(1.0) and middle["heaviest"] == pytest.approx(1.0)
    assert start["entropy"] < 1.0 > end["entropy"]
    assert [row["step"] for row in loss.history()] == [0, 5, 10]
    cosine = torch.nn.functional.cosine_similarity
    scores = torch.stack([cosine(q[i][None], torch.cat([p, n])) for i in range(40)])
    own = scores[torch.arange(40), torch.arange(40)]
    scores[torch.arange(40), torch.arange(40)] = -2
    hardness = scores.max(dim=1).values - own
    assert start["solved"] == pytest.approx((hardness <= 0).double().mean().item())
    assert start["difficulty_50"] == pytest.approx(hardness.quantile(0.5).item(), rel=1e-5)


def test_curricular_negatives_by_hand():
    blocks = {
        "qp": torch.tensor([[0.5, 0.6], [0.1, 0.9]], dtype=torch.float64),
        "qn": torch.tensor([[0.7, 0.2], [0.95, -0.4]], dtype=torch.float64),
    }
    got = curricular_blocks(blocks, torch.tensor(0.3, dtype=torch.float64))
    want = {
        "qp": [[0.5, 0.6 * 0.9], [0.1, 0.9]],
        "qn": [[0.7 * 1.0, 0.2], [0.95 * 1.25, -0.4]],
    }
    for name, rows in want.items():
        torch.testing.assert_close(got[name], torch.tensor(rows, dtype=torch.float64))


def test_running_mean_of_positives(plain):
    loss = ProgressiveContrastiveLoss(None, temperature=0.2, curricular=True, weighting=None)
    q, p = plain.draw(6, 8), plain.draw(6, 8, seed=1)
    mean = torch.nn.functional.cosine_similarity(q.float(), p.float()).mean().item()
    loss.score([q, p])
    loss.score([q, p])
    assert loss.mean_positive.item() == pytest.approx(0.01 * mean * (1 + 0.99), rel=1e-5)
    loss.eval()
    loss.score([q, p])
    assert loss.mean_positive.item() == pytest.approx(0.01 * mean * (1 + 0.99), rel=1e-5)


def naive_mining(q, p, c, rule, window, number):
    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    q, p, c = unit(q), unit(p), unit(c)
    out = []
    for i in range(len(q)):
        limit = rule.limits(q[i] @ p[i])
        ranked = [j for j in np.argsort(-(c @ q[i])) if c[j] @ q[i] <= limit]
        row = ranked[window[0] : window[1]][:number]
        out.append(row + [-1] * (number - len(row)))
    return np.array(out)


def test_mining_matches_a_plain_loop(plain):
    q, p, c = (plain.draw(n, 5, seed=s).numpy() for s, n in enumerate((9, 9, 30)))
    rule = NegativeFilter(0.1)
    got = mine_hard_negatives(q, p, c, number=3, rank_range=(1, 6), rule=rule)
    np.testing.assert_array_equal(got, naive_mining(q, p, c, rule, (1, 6), 3))
    assert (got == -1).any()  # some windows hold too few


def test_mining_draws_from_the_window(plain):
    q, p, c = (plain.draw(n, 5, seed=s).numpy() for s, n in enumerate((9, 9, 60)))
    free = NegativeFilter(-2.0)
    whole = naive_mining(q, p, c, free, (2, 12), 10)
    options = {"number": 4, "rank_range": (2, 12), "rule": free}
    one, same, other = (mine_hard_negatives(q, p, c, seed=seed, **options) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    for row, window in zip(one, whole, strict=True):
        assert len(set(row)) == 4 and set(row) <= set(window)
        # nearest first
        assert [list(window).index(j) for j in row] == sorted(list(window).index(j) for j in row)


def test_mining_asks_what_is_allowed(plain):
    q, p, c = (plain.draw(n, 5, seed=s).numpy() for s, n in enumerate((6, 6, 20)))
    odd = mine_hard_negatives(
        q,
        p,
        c,
        number=3,
        rank_range=(0, 5),
        rule=NegativeFilter(-2.0),
        allowed=lambda part, rows: rows % 2 == 1,
    )
    assert ((odd % 2 == 1) | (odd == -1)).all()


class Encoder:
    """A model that reads digits: the vector of "7" points to seven o'clock."""

    training = True

    def __init__(self, turn=0.0):
        self.turn = turn

    def eval(self):
        return self

    def train(self, mode=True):
        return self

    def encode(self, texts, **_):
        angles = np.array([int(t.split()[-1]) for t in texts]) / 12 * 2 * np.pi + self.turn
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def pairs():
    from datasets import Dataset

    return Dataset.from_dict(
        {"q": [f"query {i}" for i in range(12)], "p": [f"text {i}" for i in range(12)]}
    )


def test_mined_negatives_follow_the_model(pairs, tmp_path):
    mined = MinedNegatives(pairs, number=2, rank_range=(0, 2), rule=NegativeFilter(0.0))
    with pytest.raises(DataError, match="mine"):
        mined.dataset()
    assert mined.mine(Encoder()) == 0.0
    data = mined.dataset()
    assert data.column_names == ["q", "p", "negative_1", "negative_2"]
    row = data[3]
    assert row["p"] == "text 3" and {row["negative_1"], row["negative_2"]} == {"text 2", "text 4"}
    # a new round shows in the same data set, also in batches
    mined.rows[:] = 7
    assert data[3]["negative_1"] == "text 7" and data[[0, 1]]["negative_2"] == ["text 7"] * 2
    mined.save(tmp_path)
    again = MinedNegatives(pairs, number=2)
    assert again.load(tmp_path) and again.round == 1 and (again.rows == 7).all()
    assert not again.load(tmp_path / "none")
    with pytest.raises(DataError, match="other pairs"):
        MinedNegatives(pairs, number=3).load(tmp_path)


def test_too_few_in_the_window_are_filled_at_random(pairs):
    mined = MinedNegatives(
        pairs, ["text 0", "text 1", "text 2"], number=2, rank_range=(0, 2), rule=NegativeFilter(1.0)
    )
    assert mined.mine(Encoder()) > 0
    for row in mined.dataset():
        assert row["p"] not in (row["negative_1"], row["negative_2"])
        assert row["negative_1"] != row["negative_2"]


def test_trains_mines_again_and_resumes(tiny_model, tmp_path, pairs):
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    def run(folder, stop_after=None):
        student = tiny_model(5, tmp_path)
        mined = MinedNegatives(pairs, number=2, rank_range=(0, 4))
        mined.mine(student)
        loss = ProgressiveContrastiveLoss(student, temperature=0.1)
        args = SentenceTransformerTrainingArguments(
            output_dir=str(folder),
            max_steps=6,
            per_device_train_batch_size=4,
            save_steps=3,
            learning_rate=1e-2,
            report_to="none",
            seed=1,
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=student,
            args=args,
            train_dataset=mined.dataset(),
            loss=loss,
            callbacks=[loss.progress_callback(), mined.callback(every=0.5)],
        )
        if stop_after:
            trainer.add_callback(stopper(stop_after))
        trainer.train(resume_from_checkpoint=True if any(folder.glob("check*")) else None)
        return student, loss, mined

    def stopper(step):
        from transformers import TrainerCallback

        class Stop(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if state.global_step == step:
                    control.should_training_stop = True

        return Stop()

    whole, loss, mined = run(tmp_path / "whole")
    assert mined.round == 2 and loss.step == 5
    assert [row["step"] for row in loss.history()] == list(range(6))
    run(tmp_path / "parts", stop_after=3)
    resumed, loss, mined = run(tmp_path / "parts")
    assert [row["step"] for row in loss.history()] == [3, 4, 5] and mined.round == 2
    for (name, one), two in zip(
        whole.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6, msg=name)


def test_errors(pairs, plain):
    q = plain.draw(4, 5)
    with pytest.raises(ConfigError, match="rank_range"):
        mine_hard_negatives(q, q, q, number=5, rank_range=(0, 3))
    with pytest.raises(DataError, match="one shape"):
        mine_hard_negatives(q, q[:2], q, number=1)
    with pytest.raises(DataError, match="positive column"):
        MinedNegatives(pairs.select_columns(["q"]))
    with pytest.raises(DataError, match="distinct texts"):
        MinedNegatives(pairs, ["a", "b"], number=2)
    with pytest.raises(ConfigError, match="every"):
        MinedNegatives(pairs).callback(every=1.0)
    assert "wu2023peg" in ProgressiveContrastiveLoss(None).weighting.citation
