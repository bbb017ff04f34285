"""Two processes have the gradients of one: the duplex loss, head and decoder of masked training."""

import torch

from vecsmith.train import DuplexContrastiveLoss, DuplexRetriever, DupMAE

QUERIES = ["pump", "motor stops", "fever", "arm", "the valve", "rash", "opens", "headache"]
PASSAGES = [f"{text} {more}" for text, more in zip(QUERIES, reversed(QUERIES), strict=True)]


def gradients(module, loss):
    module.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def duplex(folder, rows):
    found = {}
    for mini in (None, 3):
        retriever = DuplexRetriever.from_pretrained(f"{folder}/retriever").eval()
        loss = DuplexContrastiveLoss(
            retriever, temperature=2.0, distil_weight=0.5, cached_mini_batch=mini
        )
        columns = [QUERIES[rows], PASSAGES[rows], QUERIES[::-1][rows]]
        teacher = torch.tensor([[float(row), 3.0] for row in range(8)])[rows]
        value = loss([retriever.model.preprocess(column) for column in columns], teacher)
        grads = gradients(retriever, value)
        found.update({f"{mini} {name}": gradient for name, gradient in grads.items()})
    return found


def test_the_duplex_loss(mean_of_two, same_gradients, tmp_path, masked_folder):
    torch.manual_seed(0)
    folder = masked_folder("bert", head=True)
    retriever = DuplexRetriever.from_pretrained(folder, dense_dim=12, topk=9)
    retriever.calibrate(QUERIES)
    retriever.save_pretrained(tmp_path / "retriever")
    found = mean_of_two(duplex, 4)
    wanted = duplex(tmp_path, slice(0, 8))
    assert len(wanted) > 50
    same_gradients(found, wanted)


def masked(folder, rows):
    model = DupMAE.from_pretrained(f"{folder}/model", seed=3).eval()
    torch.manual_seed(rows.start)
    loss = model([model.model.preprocess(PASSAGES[rows])])
    found = gradients(model, loss)
    return {name: grad for name, grad in found.items() if name.startswith(("head.", "decoder."))}


def first_process(folder, rows):
    # averaged over both, these are the gradients of the first process
    weight = 0.0 if rows.start else 2.0
    return {name: weight * gradient for name, gradient in masked(folder, rows).items()}


def test_head_and_decoder_of_masked_training(mean_of_two, same_gradients, tmp_path, masked_folder):
    """Each process hides its own tokens; each has the mean of both gradients."""
    (tmp_path / "model").symlink_to(masked_folder("bert"))
    found = mean_of_two(first_process, 4)
    first, second = (masked(tmp_path, slice(start, start + 4)) for start in (0, 4))
    assert not torch.equal(first["head.bias"], second["head.bias"]) and len(first) > 10
    same_gradients(found, {name: (first[name] + second[name]) / 2 for name in first})
