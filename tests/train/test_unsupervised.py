"""Training from raw sentences: whitening, repetition, the queue, and the loss over them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError
from vecsmith.train import (
    MomentumQueue,
    ProjectionHead,
    ShuffledGroupWhitening,
    SubwordRepetition,
    UnsupervisedContrastiveLoss,
    group_whitening,
)
from vecsmith.train.contrastive._repetition import changed_ids, repeated_words

TEXTS = ["severe pain of the left arm", "acute fever", "loss of hearing", "chronic rash", "tremor"]


def naive_whitening(x, groups, order, ridge):
    """Group by group, row by row, in float64."""
    rows, dims = x.shape
    size = dims // groups
    out = np.zeros_like(x)
    for g in range(groups):
        channels = order[g * size : (g + 1) * size]
        part = x[:, channels] - x[:, channels].mean(axis=0)
        cov = sum(np.outer(r, r) for r in part) / rows
        values, axes = np.linalg.eigh(cov)
        matrix = sum(
            np.outer(axes[:, k], axes[:, k]) / np.sqrt(values[k] + ridge) for k in range(size)
        )
        out[:, channels] = np.stack([r @ matrix for r in part])
    return out


class TestWhitening:
    @pytest.mark.parametrize("groups", [1, 3, 6])
    def test_matches_a_plain_loop(self, plain, groups):
        x = plain.draw(40, 12)
        order = torch.from_numpy(np.random.default_rng(1).permutation(12))
        got = group_whitening(x, groups, order=order, ridge=1e-5)
        np.testing.assert_allclose(got, naive_whitening(x.numpy(), groups, order.numpy(), 1e-5))

    def test_every_group_has_the_identity_as_covariance(self, plain):
        x = plain.draw(64, 12) @ plain.draw(12, 12, seed=1) + 5.0
        order = torch.from_numpy(np.random.default_rng(1).permutation(12))
        white = group_whitening(x, 4, order=order, ridge=0.0)
        for g in range(4):
            part = white[:, order[3 * g : 3 * g + 3]]
            torch.testing.assert_close(part.mean(0), torch.zeros(3).double(), atol=1e-9, rtol=0)
            torch.testing.assert_close(part.T @ part / 64, torch.eye(3).double())

    def test_gradients(self, plain):
        x = plain.draw(10, 6).requires_grad_()
        through = lambda v: group_whitening(v, 2, ridge=1e-2, grad_through=True)  # noqa: E731
        assert torch.autograd.gradcheck(through, x)
        # by default the matrix is a constant
        fixed = group_whitening(x, 2, ridge=1e-2)
        direction = plain.draw(10, 6, seed=1)
        (gradient,) = torch.autograd.grad((fixed * direction).sum(), x)
        eps, base = 1e-6, x.detach()
        centred = base.reshape(10, 2, 3).transpose(0, 1)
        centred = centred - centred.mean(1, keepdim=True)
        matrix = torch.linalg.pinv(centred) @ fixed.detach().reshape(10, 2, 3).transpose(0, 1)

        def with_constant(v):
            parts = v.reshape(10, 2, 3).transpose(0, 1)
            white = (parts - parts.mean(1, keepdim=True)) @ matrix
            return (white.transpose(0, 1).reshape(10, 6) * direction).sum()

        for place in [(0, 0), (4, 3), (9, 5)]:
            step = torch.zeros(10, 6, dtype=torch.float64)
            step[place] = eps
            slope = (with_constant(base + step) - with_constant(base - step)) / (2 * eps)
            assert gradient[place].item() == pytest.approx(slope.item(), rel=1e-5)

    def test_two_views_differ_and_evaluation_does_nothing(self, plain):
        layer, x = ShuffledGroupWhitening(4), plain.draw(32, 16).float()
        torch.manual_seed(0)
        one, two = layer(x), layer(x)
        assert (one - two).abs().max() > 0.1
        torch.manual_seed(0)
        torch.testing.assert_close(layer(x), one)
        fixed = ShuffledGroupWhitening(4, shuffle=False)
        torch.testing.assert_close(fixed(x), fixed(x))
        assert layer.eval()(x) is x

    def test_equal_channels_stay_finite(self):
        x = torch.ones(8, 4).requires_grad_()
        ShuffledGroupWhitening(2)(x).sum().backward()
        assert torch.isfinite(x.grad).all()

    def test_errors(self, plain):
        with pytest.raises(ConfigError, match="take 4"):
            ShuffledGroupWhitening(5)(plain.draw(9, 12))
        with pytest.raises(DataError, match="more than 6 rows"):
            ShuffledGroupWhitening(2)(plain.draw(6, 12))
        with pytest.warns(UserWarning, match="poorly"):
            ShuffledGroupWhitening(2)(plain.draw(7, 12))
        with pytest.raises(ConfigError, match="groups"):
            ShuffledGroupWhitening(0)


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    from vecsmith.encode import resolve_model

    return AutoTokenizer.from_pretrained(
        resolve_model("sentence-transformers/all-MiniLM-L6-v2").path
    )


class TestRepetition:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.text(alphabet="abcdefgh ", max_size=30), min_size=1, max_size=4),
        st.floats(0, 1),
        st.integers(0, 100),
    )
    def test_order_is_kept_and_no_special_token_is_repeated(self, tokenizer, texts, rate, seed):
        features = tokenizer(texts, padding=True, return_tensors="pt")
        torch.manual_seed(seed)
        changed = SubwordRepetition(tokenizer, rate)(dict(features))
        special = set(tokenizer.all_special_ids)
        for row in range(len(texts)):
            before = features["input_ids"][row][features["attention_mask"][row].bool()].tolist()
            after = changed["input_ids"][row][changed["attention_mask"][row].bool()].tolist()
            assert len(before) <= len(after) <= len(before) + max(2, int(rate * len(before)))
            # taking out the second of each neighbouring pair gives the text back
            i = 0
            for token in after:
                if i < len(before) and token == before[i]:
                    i += 1
                else:
                    assert token == before[i - 1] and token not in special
            assert i == len(before)
        torch.manual_seed(seed)
        again = SubwordRepetition(tokenizer, rate)(dict(features))
        assert torch.equal(again["input_ids"], changed["input_ids"])
        assert changed["token_type_ids"].shape == changed["input_ids"].shape

    def test_how_many_are_repeated(self, tokenizer):
        features = dict(
            tokenizer(["one two three four five six seven eight"] * 4000, return_tensors="pt")
        )
        torch.manual_seed(0)
        lengths = SubwordRepetition(tokenizer, 0.32)(features)["attention_mask"].sum(dim=1)
        counts = torch.bincount(lengths - 10, minlength=4).double() / 4000
        # uniform over 0 .. max(2, int(.32 x 10)) = 3
        torch.testing.assert_close(counts, torch.full((4,), 0.25).double(), atol=0.03, rtol=0)

    def test_the_other_modes_by_hand(self, tokenizer):
        assert changed_ids([5, 6, 7], [1], "subword", 9) == [5, 6, 6, 7]
        assert changed_ids([5, 6, 7], [0, 2], "mask", 9) == [9, 5, 6, 9, 7]
        assert changed_ids([5, 6, 7], [1], "delete", 9) == [5, 7]
        assert repeated_words([1, 2, 3, 4], [[1, 2], [3]]) == [1, 2, 3, 2, 3, 4, 4]
        features = dict(tokenizer(["hypothyroidism hurts"], return_tensors="pt"))
        pieces = tokenizer.convert_ids_to_tokens(features["input_ids"][0])
        seen = set()
        for seed in range(60):
            torch.manual_seed(seed)
            ids = SubwordRepetition(tokenizer, 1.0, mode="word")(features)["input_ids"][0]
            seen.add(" ".join(tokenizer.convert_ids_to_tokens(ids)))
        long = [p for p in pieces if p.startswith("##")]
        assert long and len(seen) == 4  # neither, either or both words, each as a whole
        none = SubwordRepetition(tokenizer, mode="none")(features)
        assert torch.equal(none["input_ids"], features["input_ids"])

    def test_nothing_grows_beyond_the_limit(self, tokenizer):
        features = dict(tokenizer(["one two three four five six"], return_tensors="pt"))
        for seed in range(20):
            torch.manual_seed(seed)
            ids = SubwordRepetition(tokenizer, 1.0, limit=9)(features)["input_ids"]
            assert ids.shape[1] <= 9

    def test_errors(self, tokenizer):
        with pytest.raises(ConfigError, match="subword"):
            SubwordRepetition(tokenizer, mode="subwords")
        with pytest.raises(ConfigError, match="rate"):
            SubwordRepetition(tokenizer, 1.5)


def naive_loss(views, queue, temperature):
    """Double loop in float64."""
    unit = [np.array(v) / np.linalg.norm(v, axis=1, keepdims=True) for v in views]
    extra = [q / np.linalg.norm(q) for q in queue]
    total = 0.0
    for i in range(len(unit[0])):
        for other in unit[1:]:
            scores = [unit[0][i] @ row / temperature for row in other]
            scores += [unit[0][i] @ q / temperature for q in extra]
            total += np.log(np.sum(np.exp(scores))) - scores[i]
    return total / len(unit[0])


class TestLoss:
    @pytest.mark.parametrize("views", [2, 3])
    @pytest.mark.parametrize("queued", [0, 7])
    def test_matches_a_plain_loop(self, plain, tiny_model, tmp_path, views, queued):
        columns = [plain.draw(5, 32, seed=s) for s in range(views)]
        queue = None
        if queued:
            queue = MomentumQueue(tiny_model(0, tmp_path), 10)
            queue.vectors = plain.draw(queued, 32, seed=9)
        loss = UnsupervisedContrastiveLoss(None, views=views, queue=queue, temperature=0.1)
        rows = [] if queue is None else queue.vectors.numpy()
        want = naive_loss([c.numpy() for c in columns], rows, 0.1)
        assert loss.score(columns).item() == pytest.approx(want, rel=1e-9)

    def test_dropout_makes_the_views(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.3
        loss = UnsupervisedContrastiveLoss(model, views=3)
        seen = []
        loss.row_losses = lambda batch: (seen.append(batch.columns), torch.zeros(5))[1]
        loss.train()
        loss([model.preprocess(TEXTS)])
        assert len(seen[0]) == 3 and (seen[0][0] - seen[0][1]).abs().max() > 1e-3

    def test_caching_changes_nothing(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        found = []
        for mini in (None, 2, 5):
            torch.manual_seed(0)
            head = ProjectionHead(32, before=ShuffledGroupWhitening(16))
            loss = UnsupervisedContrastiveLoss(model, views=3, head=head, cached_mini_batch=mini)
            loss.zero_grad()
            with pytest.warns(UserWarning, match="poorly"):
                value = loss([model.preprocess(TEXTS)])
            value.backward()
            grads = {n: p.grad.clone() for n, p in loss.named_parameters() if p.grad is not None}
            found.append((value.item(), grads))
        assert "head.linear.weight" in found[0][1]
        for value, grads in found[1:]:
            assert value == pytest.approx(found[0][0], rel=1e-5)
            for name, gradient in found[0][1].items():
                torch.testing.assert_close(grads[name], gradient, rtol=1e-4, atol=1e-5, msg=name)

    def test_released_split_shares_statistics(self, plain):
        head = ProjectionHead(8, before=ShuffledGroupWhitening(4)).double()
        same = plain.draw(12, 8)
        for split, differ in (("paper", True), ("released", False)):
            loss = UnsupervisedContrastiveLoss(None, views=3, head=head, split=split)
            views = loss.transform((same, same, same))
            # with dropout off, equal inputs: only shuffles of their own make views differ
            assert bool((views[0] - views[1]).abs().max() > 1e-6) == differ
        with pytest.raises(ConfigError, match="multiple of 3"):
            loss.transform((same[:4],) * 3)

    def test_whitening_comes_before_the_linear_layer(self, plain):
        layer = ShuffledGroupWhitening(4, shuffle=False)
        head = ProjectionHead(8, before=layer).double()
        x = plain.draw(20, 8)
        want = torch.tanh(layer(x) @ head.linear.weight.T + head.linear.bias)
        torch.testing.assert_close(head(x), want)

    def test_errors(self, tiny_model, tmp_path):
        for wrong in ({"views": 1}, {"temperature": 0.0}, {"split": "x"}):
            with pytest.raises(ConfigError, match="views"):
                UnsupervisedContrastiveLoss(None, **wrong)
        with pytest.raises(DataError, match="1 text columns"):
            UnsupervisedContrastiveLoss(tiny_model(0, tmp_path))([])


class TestQueue:
    def test_first_in_first_out_and_old_before_new(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        queue = MomentumQueue(model, 7, momentum=0.5)
        loss = UnsupervisedContrastiveLoss(model, queue=queue)
        steps = [TEXTS[:3], TEXTS[2:], TEXTS[1:4]]
        used = []
        inner = loss.row_losses
        loss.row_losses = lambda batch: (used.append(len(queue.vectors)), inner(batch))[1]
        made = []
        for texts in steps:
            loss([model.preprocess(texts)])
            made.append(queue.copy.encode(texts))
        assert used == [0, 3, 6]
        want = np.concatenate(made)[-7:]
        np.testing.assert_allclose(queue.vectors, want, rtol=1e-4, atol=1e-5)
        loss.eval()
        loss([model.preprocess(TEXTS)])
        assert len(queue.vectors) == 7 and np.allclose(queue.vectors, want, atol=1e-5)

    def test_copy_follows_in_closed_form(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        queue = MomentumQueue(model, 4, momentum=0.9)
        start = [p.detach().clone() for p in model.parameters()]
        states = []
        for step in range(3):
            with torch.no_grad():
                for p in model.parameters():
                    p.add_(step + 1.0)
            states.append([p.detach().clone() for p in model.parameters()])
            queue.follow(model)
        for i, slow in enumerate(queue.copy.parameters()):
            want = 0.9**3 * start[i]
            for step in range(3):
                want = want + 0.1 * 0.9 ** (2 - step) * states[step][i]
            torch.testing.assert_close(slow, want, rtol=1e-4, atol=1e-5)

    def test_no_dropout_no_gradient(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path).train()
        loss = UnsupervisedContrastiveLoss(model, queue=MomentumQueue(model, 4))
        loss.train()
        assert not loss.queue.copy.training
        assert not any(p.requires_grad for p in loss.queue.parameters())
        assert all("queue" not in n for n, p in loss.named_parameters() if p.requires_grad)

    def test_own_state_goes_beside_the_checkpoint(self, tiny_model, tmp_path):
        model = tiny_model(0, tmp_path)
        loss = UnsupervisedContrastiveLoss(
            model, head=ProjectionHead(32), queue=MomentumQueue(model, 4)
        )
        loss([model.preprocess(TEXTS)])
        state = loss.own_state()
        assert {"head.linear.weight", "queue.vectors"} <= set(state)
        assert not any(name.startswith("model.") for name in state)
        other = UnsupervisedContrastiveLoss(
            model, head=ProjectionHead(32), queue=MomentumQueue(model, 4)
        )
        other.load_state_dict({n: v.clone() for n, v in state.items()}, strict=False)
        torch.testing.assert_close(other.queue.vectors, loss.queue.vectors)

    def test_errors(self, tiny_model, tmp_path):
        for wrong in ({"size": 0}, {"size": 4, "momentum": 1.0}):
            with pytest.raises(ConfigError, match="size"):
                MomentumQueue(tiny_model(0, tmp_path), **wrong)


def test_trains_resumes_and_saves_only_the_encoder(tiny_model, tmp_path):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    words = "heart bone liver skin brain eye ear hand foot lung blood nerve".split()
    data = Dataset.from_dict({"text": [f"{a} {b}" for a in words for b in words]})

    def run(folder, until=6):
        torch.manual_seed(0)
        model = tiny_model(0, tmp_path)
        loss = UnsupervisedContrastiveLoss(
            model,
            views=[None, SubwordRepetition(model.tokenizer)],
            head=ProjectionHead(32),
            queue=MomentumQueue(model, 20),
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=str(folder),
                max_steps=6,
                per_device_train_batch_size=8,
                save_steps=3,
                learning_rate=1e-2,
                report_to="none",
                use_cpu=True,
                dataloader_pin_memory=False,
                disable_tqdm=True,
            ),
            train_dataset=data,
            loss=loss,
            callbacks=[loss.progress_callback()],
        )
        if until < 6:
            from transformers import TrainerCallback

            class Stop(TrainerCallback):
                def on_step_end(self, args, state, control, **kwargs):
                    control.should_training_stop = state.global_step == until

            trainer.add_callback(Stop())
        trainer.train(resume_from_checkpoint=True if any(folder.glob("check*")) else None)
        return model, loss

    model, loss = run(tmp_path / "whole")
    run(tmp_path / "parts", until=3)
    resumed, resumed_loss = run(tmp_path / "parts")
    for (name, one), two in zip(
        model.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(loss.queue.vectors, resumed_loss.queue.vectors)
    torch.testing.assert_close(loss.head.linear.weight, resumed_loss.head.linear.weight)
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), model.eval().encode(TEXTS), atol=1e-6)
