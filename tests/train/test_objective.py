"""What all objectives share: caching and processes change neither loss nor gradients."""

import pytest
import torch
from torch.nn import functional as F

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.train import ContrastiveLoss, Objective, ProgressiveWeights
from vecsmith.train.contrastive import gathered_batch


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def texts(model, rows, columns):
    words = ["heart", "attack", "high", "blood", "pressure", "stroke", "bone", "fracture", "liver"]
    return [
        model.preprocess(
            [f"{words[(i * 3 + k) % 9]} {words[(i + k) % 9]} {k}" for i in range(rows)]
        )
        for k in range(columns)
    ]


class Views(Objective):
    """Embeds each text in two ways and has a trained transform over the whole batch."""

    def __init__(self, model, **options):
        super().__init__(model, **options)
        torch.manual_seed(3)
        self.mix = torch.nn.Linear(32, 32, dtype=torch.float32)

    def embed(self, features):
        out = self.model(features)
        mean = out["token_embeddings"].mean(dim=1)
        return torch.stack([out["sentence_embedding"], mean], dim=1)

    def transform(self, columns):
        # statistics of the whole batch: chunks must not see their own
        return tuple(self.mix(c - c.mean(dim=0)) for c in columns)

    def row_losses(self, batch):
        first = batch.map(lambda v: v[:, 0])
        second = batch.map(lambda v: v[:, 1, :8])
        base = ContrastiveLoss(None, temperature=0.1)
        return base.row_losses(first) + 0.5 * base.row_losses(second)


def run(loss, features, labels=None, seed=11):
    loss.zero_grad()
    torch.manual_seed(seed)
    value = loss([dict(f) for f in features], labels)
    (3.0 * value).backward()
    return value.item(), gradients(loss)


@pytest.mark.parametrize("columns", [2, 3, 5])
@pytest.mark.parametrize("mini", [1, 4, 5, 64])
def test_caching_changes_nothing(tiny_model, tmp_path, columns, mini):
    student = tiny_model(0, tmp_path)
    features = texts(student, 10, columns)
    want = run(ContrastiveLoss(student, temperature=0.1), features)
    got = run(ContrastiveLoss(student, temperature=0.1, cached_mini_batch=mini), features)
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    for name, gradient in want[1].items():
        torch.testing.assert_close(got[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_caching_with_views_transform_and_weights(tiny_model, tmp_path):
    student = tiny_model(0, tmp_path)
    features = texts(student, 9, 3)
    results = [run(Views(student, cached_mini_batch=mini), features) for mini in (None, 4)]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    assert "mix.weight" in results[0][1]
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient, rtol=1e-4, atol=1e-5)
    weighted = []
    for mini in (None, 4):
        loss = ContrastiveLoss(student, weighting=ProgressiveWeights(), cached_mini_batch=mini)
        loss.set_progress(9, 10)
        weighted.append(run(loss, features))
    assert weighted[0][0] == pytest.approx(weighted[1][0], rel=1e-5)
    for name, gradient in weighted[0][1].items():
        torch.testing.assert_close(weighted[1][1][name], gradient, rtol=1e-4, atol=1e-5)


def test_dropout_is_the_same_in_both_passes(tiny_model, tmp_path):
    # one mini-batch: the random numbers are drawn in the order of the plain loss
    student = tiny_model(0, tmp_path)
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    student.train()
    features = texts(student, 6, 2)
    want = run(ContrastiveLoss(student, temperature=0.1), features)
    got = run(ContrastiveLoss(student, temperature=0.1, cached_mini_batch=6), features)
    other = run(ContrastiveLoss(student, temperature=0.1), features, seed=12)
    assert other[0] != pytest.approx(want[0], rel=1e-4)
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    for name, gradient in want[1].items():
        torch.testing.assert_close(got[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_only_own_negatives(plain):
    q, p, n, m = (plain.draw(5, 6, seed=s).requires_grad_() for s in range(4))
    loss = ContrastiveLoss(None, temperature=0.2, in_batch=False, blocks=("qp", "qn", "qq", "pp"))
    value = loss.score([q, p, n, m])
    total = 0.0
    for i in range(5):
        own = [plain.cosine(q[i].detach().numpy(), c[i].detach().numpy()) for c in (p, n, m)]
        total += (
            F.cross_entropy(
                torch.tensor([own], dtype=torch.float64) / 0.2, torch.tensor([0])
            ).item()
            / 5
        )
    assert value.item() == pytest.approx(total, rel=1e-9)
    (gradient,) = torch.autograd.grad(value, n)
    assert gradient.abs().sum() > 0
    with pytest.raises(DataError, match="in_batch"):
        loss.score([q, p])


def test_equal_texts_are_no_negatives(plain):
    from vecsmith.train import NegativeFilter

    q, p, n = (plain.draw(4, 6, seed=s) for s in range(3))
    # row 0 and row 2 share the positive; negative of row 1 is the positive of row 3
    keys = torch.tensor([[1, 10, 20], [2, 11, 13], [3, 10, 22], [4, 13, 23]])
    loss = ContrastiveLoss(None, temperature=0.2, rule=NegativeFilter(duplicates=True))
    got = loss.score([q, p, n], keys).item()
    same = {("qp", 0, 2), ("qp", 2, 0), ("qn", 3, 1)}

    def dropped(name, i, j):
        return name in {"qq", "pp"} or (name, i, j) in same

    assert got == pytest.approx(plain.naive_loss(q, p, [n], 0.2, dropped), rel=1e-9)
    with pytest.raises(DataError, match="with_text_keys"):
        loss.score([q, p, n])


def test_text_keys_are_labels():
    from datasets import Dataset

    from vecsmith.train import with_text_keys

    data = with_text_keys(Dataset.from_dict({"a": ["x", "y"], "b": ["y", "z"]}))
    labels = data["label"][:]
    assert labels[0][1] == labels[1][0] and labels[0][0] != labels[0][1]
    with pytest.raises(DataError, match="label"):
        with_text_keys(data)


def test_the_plain_loss_is_that_of_sentence_transformers(tiny_model, tmp_path):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    student = tiny_model(0, tmp_path)
    features = texts(student, 8, 3)
    want = run(MultipleNegativesRankingLoss(student, scale=20.0), features)
    got = run(ContrastiveLoss(student, temperature=0.05), features)
    assert got[0] == pytest.approx(want[0], rel=1e-5)
    for name, gradient in want[1].items():
        torch.testing.assert_close(got[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_mean_over_processes_needs_no_processes(plain):
    batch = gathered_batch([plain.draw(3, 4), plain.draw(3, 4, seed=1)])
    assert batch.pool is batch.columns and batch.start == 0
    cut = batch.map(lambda v: v[:, :2])
    assert cut.pool is cut.columns and cut.columns[0].shape == (3, 2)


def test_errors(tiny_model, tmp_path):
    student = tiny_model(0, tmp_path)
    with pytest.raises(ConfigError, match="at least 1"):
        ContrastiveLoss(student, cached_mini_batch=0)
    with pytest.raises(ConfigError, match="temperature"):
        ContrastiveLoss(student, temperature=0.0)
    with pytest.raises(DataError, match="2 text columns"):
        ContrastiveLoss(student)(texts(student, 3, 1))
    with pytest.raises(ConfigError, match="progress_callback"):
        ContrastiveLoss(student, weighting=ProgressiveWeights())(texts(student, 3, 2))


def test_progress_reaches_what_is_inside(tiny_model, tmp_path):
    student = tiny_model(0, tmp_path)
    outer = Objective(student)
    outer.base = ContrastiveLoss(student)
    outer.set_progress(3, 12)
    assert outer.base.progress == 0.25 and outer.progress == 0.25


SCRIPT = """
import os, sys
import torch, torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel
from vecsmith.train import ContrastiveLoss, ProgressiveWeights

folder, rank = sys.argv[1], int(os.environ["RANK"])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
data = load_file(f"{folder}/data.safetensors")

class Model(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Identity())
        self.weight = torch.nn.Parameter(data["weight"].clone())
    def forward(self, features):
        return {"sentence_embedding": features["x"] @ self.weight}

found = {}
class Headed(ContrastiveLoss):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.head = torch.nn.Parameter(torch.eye(5, dtype=torch.float64))
    def transform(self, columns):
        return tuple(column @ self.head for column in columns)

for mini in (None, 3, 2):
    model = Model()
    loss = Headed(
        model, temperature=0.3, weighting=ProgressiveWeights(guard=1.0), cached_mini_batch=mini
    )
    loss.set_progress(8, 10)
    loss.model = DistributedDataParallel(model)
    value = loss([{"x": data[n][4 * rank : 4 * rank + 4]} for n in "qpn"], None)
    value.backward()
    found[f"grad-{mini}"] = model.weight.grad
    found[f"head-{mini}"] = loss.head.grad
    total = value.detach()[None].double()
    dist.all_reduce(total)
    found[f"loss-{mini}"] = total / 2
if rank == 0:
    save_file(found, f"{folder}/found.safetensors")
"""


def test_two_processes_with_and_without_caching(run_two, tmp_path, plain):
    from safetensors.torch import load_file, save_file

    data = {n: plain.draw(8, 6, seed=s) for s, n in enumerate("qpn")}
    data["weight"] = plain.draw(6, 5, seed=9)
    save_file(data, tmp_path / "data.safetensors")
    run_two(SCRIPT)
    found = load_file(tmp_path / "found.safetensors")
    weight = data["weight"].clone().requires_grad_()
    loss = ContrastiveLoss(None, temperature=0.3, weighting=ProgressiveWeights(guard=1.0))
    loss.set_progress(8, 10)
    head = torch.eye(5, dtype=torch.float64, requires_grad=True)
    value = loss.score([data[n] @ weight @ head for n in "qpn"])
    value.backward()
    for mini in (None, 3, 2):
        assert found[f"loss-{mini}"].item() == pytest.approx(value.item(), rel=1e-6)
        torch.testing.assert_close(found[f"grad-{mini}"], weight.grad, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(found[f"head-{mini}"], head.grad, rtol=1e-5, atol=1e-7)


def test_the_state_of_each_loss_is_kept_apart_and_must_be_there(tiny_model, tmp_path):
    from types import SimpleNamespace

    args = SimpleNamespace(output_dir=str(tmp_path))
    state = SimpleNamespace(global_step=3, max_steps=6, is_world_process_zero=True)
    model = tiny_model(0, tmp_path)
    losses = {name: Views(model) for name in ("", "one", "two")}
    for place, (name, loss) in enumerate(losses.items()):
        torch.nn.init.constant_(loss.mix.weight, place)
        (tmp_path / "checkpoint-3").mkdir(exist_ok=True)
        loss.progress_callback(name).on_save(args, state, None)
    names = sorted(path.name for path in (tmp_path / "checkpoint-3").iterdir())
    assert names == [f"objective{end}.safetensors" for end in ("-one", "-two", "")]
    again = Views(model)
    again.progress_callback("one").on_train_begin(args, state, None)
    assert (again.mix.weight == 1).all()
    with pytest.raises(ModelError, match=r"objective-three\.safetensors.*is missing"):
        again.progress_callback("three").on_train_begin(args, state, None)
    again.more = torch.nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"lacks more\.bias"):
        again.progress_callback("one").on_train_begin(args, state, None)
    # a loss without anything of its own asks for nothing
    ContrastiveLoss(model).progress_callback("three").on_train_begin(args, state, None)
