"""ConVIRT: the loss against plain loops, views, batches, the text tower, the whole pretrainer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from vecsmith.core import Budget, ConfigError, DataError, FitOptions, ModelError
from vecsmith.encode import VisionEncoder
from vecsmith.train import (
    BidirectionalContrastiveLoss,
    ImageViews,
    PairedDataset,
    PairedPretrainer,
    TextTower,
    bidirectional_contrastive,
)
from vecsmith.train.contrastive._image_views import affine_matrices, blurred
from vecsmith.train.contrastive._text_tower import pool_tokens

PLAIN = ImageViews(
    crop=(1, 1),
    flip=0,
    degrees=0,
    translate=0,
    scale=(1, 1),
    brightness=(1, 1),
    contrast=(1, 1),
    blur=(0, 0),
)


def naive(plain, v, u, tau, lam, same=None):
    """Double loop in float64."""
    v, u = v.detach().numpy(), u.detach().numpy()
    total = 0.0
    for i in range(len(v)):
        forth = back = 0.0
        for k in range(len(v)):
            if same is not None and same[i, k] and i != k:
                continue
            forth += np.exp(plain.cosine(v[i], u[k]) / tau)
            back += np.exp(plain.cosine(u[i], v[k]) / tau)
        own = np.exp(plain.cosine(v[i], u[i]) / tau)
        total += -lam * np.log(own / forth) - (1 - lam) * np.log(own / back)
    return total / len(v)


class TestLoss:
    @settings(max_examples=20, deadline=None)
    @given(
        size=st.integers(2, 6),
        seed=st.integers(0, 99),
        tau=st.floats(0.05, 1.0),
        lam=st.floats(0.0, 1.0),
    )
    def test_matches_a_plain_loop(self, plain, size, seed, tau, lam):
        v, u = plain.draw(size, 5, seed=seed), plain.draw(size, 5, seed=seed + 1000)
        same = torch.rand(size, size, generator=torch.Generator().manual_seed(seed)) < 0.3
        for mask in (None, same):
            got = bidirectional_contrastive(v, u, tau, lam, same=mask)
            assert float(got) == pytest.approx(naive(plain, v, u, tau, lam, mask), rel=1e-9)

    def test_hand_made_case_and_which_way_lambda_weighs(self):
        v = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        u = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        # picture 0 finds its text at odds e^1 : e^0, picture 1 at e^0 : e^1; texts toss a coin
        forth = (np.log(1 + np.exp(-1.0)) + np.log(1 + np.exp(1.0))) / 2
        for lam in (0.0, 0.75, 1.0):
            got = float(bidirectional_contrastive(v, u, 1.0, lam))
            assert got == pytest.approx(lam * forth + (1 - lam) * np.log(2.0), rel=1e-6)

    def test_gradients(self, plain):
        v, u = plain.draw(4, 3).requires_grad_(), plain.draw(4, 3, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda a, b: bidirectional_contrastive(a, b, 0.3, 0.75), (v, u)
        )

    def test_rows_of_a_process_are_parts_of_the_whole(self, plain):
        v, u = plain.draw(6, 4), plain.draw(6, 4, seed=1)
        whole = bidirectional_contrastive(v, u)
        parts = [
            bidirectional_contrastive(v[at : at + 3], u[at : at + 3], pool=(v, u), offset=at)
            for at in (0, 3)
        ]
        assert float(sum(parts) / 2) == pytest.approx(float(whole), rel=1e-12)

    def test_groups_are_not_each_others_negatives(self, plain):
        loss = BidirectionalContrastiveLoss()
        v, u = plain.draw(4, 3), plain.draw(4, 3, seed=1)
        groups = torch.tensor([0, 1, 0, 2])
        same = groups[:, None] == groups[None, :]
        assert float(loss(v, u, groups)) == pytest.approx(naive(plain, v, u, 0.1, 0.75, same))
        assert float(loss(v, u, torch.zeros(4))) == 0.0
        kinds = torch.stack([groups, torch.tensor([0, 1, 2, 1])], 1)
        same[1, 3] = same[3, 1] = True
        assert float(loss(v, u, kinds)) == pytest.approx(naive(plain, v, u, 0.1, 0.75, same))

    def test_half_precision_is_computed_wide(self, plain):
        v, u = plain.draw(8, 16).half(), plain.draw(8, 16, seed=1).half()
        wide = bidirectional_contrastive(v.double(), u.double())
        with torch.autocast("cpu", torch.bfloat16):
            assert float(bidirectional_contrastive(v, u)) == pytest.approx(float(wide), rel=1e-5)

    def test_bad_settings_and_shapes(self):
        with pytest.raises(ConfigError, match="tau must be above 0"):
            BidirectionalContrastiveLoss(tau=0.0)
        with pytest.raises(ConfigError, match="lam from 0 to 1"):
            BidirectionalContrastiveLoss(lam=1.5)
        with pytest.raises(DataError, match="a row of each a pair"):
            BidirectionalContrastiveLoss()(torch.ones(3, 2), torch.ones(2, 2))


class TestViews:
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def test_nothing_drawn_changes_nothing(self):
        assert torch.allclose(PLAIN(self.images), self.images, atol=1e-5)

    def test_flip_only_where_allowed(self):
        views = ImageViews(**{**PLAIN.__dict__, "flip": 1.0})
        allowed = torch.tensor([True, False] * 3)
        made = views(self.images, allowed)
        assert torch.allclose(made[0], self.images[0].flip(-1), atol=1e-5)
        assert torch.allclose(made[1], self.images[1], atol=1e-5)

    def test_range_shape_and_seed(self):
        torch.manual_seed(0)
        first = ImageViews()(self.images)
        torch.manual_seed(0)
        assert torch.equal(ImageViews()(self.images), first)
        assert first.shape == self.images.shape and first.min() >= 0 and first.max() <= 1
        assert not torch.allclose(ImageViews()(self.images), first)

    def test_hue_stays(self):
        grey = self.images[:, :1].expand(-1, 3, -1, -1)
        made = ImageViews()(grey)
        assert torch.allclose(made[:, 0], made[:, 2], atol=1e-5)

    def test_crop_keeps_inside_the_picture(self):
        torch.manual_seed(0)
        views = ImageViews(**{**PLAIN.__dict__, "crop": (0.25, 0.25)})
        ramp = torch.linspace(0, 1, 32).expand(64, 3, 32, 32)
        made = views(ramp.contiguous())
        width = made[:, 0, 0, -1] - made[:, 0, 0, 0]
        # half the side; a border that was padded would be flat
        assert torch.allclose(width, torch.full((64,), 0.5), atol=0.02)

    def test_crops_come_from_all_over_the_picture(self):
        torch.manual_seed(0)
        views = ImageViews(**{**PLAIN.__dict__, "crop": (0.25, 0.25)})
        ramp = torch.linspace(0, 1, 32).expand(200, 3, 32, 32)
        for pictures in (ramp.contiguous(), ramp.transpose(2, 3).contiguous()):
            centre = views(pictures).mean((1, 2, 3))
            # a window of half the side has its centre anywhere from 1/4 to 3/4
            assert 0.24 < centre.min() < 0.3 and 0.7 < centre.max() < 0.76

    def test_translation_is_a_part_of_the_side(self):
        torch.manual_seed(0)
        views = ImageViews(**{**PLAIN.__dict__, "translate": 0.1})
        ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64)
        for pictures in (ramp.contiguous(), ramp.transpose(2, 3).contiguous()):
            moved = views(pictures)[:, 0, 32, 32] - pictures[:, 0, 32, 32]
            assert -0.11 < moved.min() < -0.08 and 0.08 < moved.max() < 0.11

    def test_blur_is_as_wide_for_any_side(self):
        """An edge is as soft, in parts of the side, whether the picture is small or large."""
        soft = {}
        for side in (56, 224):
            views = ImageViews(**{**PLAIN.__dict__, "blur": (8.0, 8.0)})
            edge = (torch.arange(side) >= side // 2).float().expand(1, 3, side, side)
            row = views(edge.contiguous())[0, 0, 0]
            soft[side] = float((row * (1 - row)).sum()) / side
        assert soft[56] == pytest.approx(soft[224], rel=0.05)

    def test_quarter_turn(self):
        one = torch.ones(1)
        maps = affine_matrices(one, one * np.pi / 2, torch.zeros(1, 2), torch.zeros(1).bool())
        grid = nn.functional.affine_grid(maps, [1, 3, 16, 16], align_corners=False)
        turned = nn.functional.grid_sample(self.images[:1], grid, align_corners=False)
        assert torch.allclose(turned, self.images[:1].rot90(1, (2, 3)), atol=1e-4)

    def test_blur_is_a_gaussian_that_keeps_the_mean(self):
        dot = torch.zeros(2, 1, 31, 31)
        dot[:, :, 15, 15] = 1.0
        made = blurred(dot, torch.tensor([1.0, 2.0]))
        assert made.sum((1, 2, 3)).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
        for row, width in enumerate((1.0, 2.0)):
            assert float(made[row, 0, 15, 17] / made[row, 0, 15, 15]) == pytest.approx(
                np.exp(-2.0 / width**2), rel=1e-3
            )

    def test_bad_settings(self):
        with pytest.raises(ConfigError, match="crop must lie above 0"):
            ImageViews(crop=(0.0, 1.0))


class TestData:
    def test_a_sentence_is_drawn_each_time(self):
        data = PairedDataset(list("ab"), [["one", "two", "three"], "single"])
        rng = np.random.default_rng(0)
        seen = {
            (int(r), int(s))
            for _ in range(40)
            for b in data.batches(2, rng)
            for r, s in zip(*b, strict=True)
        }
        assert seen == {(0, 0), (0, 1), (0, 2), (1, 0)}

    def test_no_group_twice_in_a_batch_and_all_as_often(self):
        groups = ["a"] * 50 + ["b", "c", "d"]
        data = PairedDataset(list(range(53)), ["x"] * 53, groups=groups)
        count = dict.fromkeys("abcd", 0)
        for epoch in range(20):
            for rows, _ in data.batches(2, np.random.default_rng(epoch)):
                drawn = [groups[row] for row in rows]
                assert len(set(drawn)) == 2
                for group in drawn:
                    count[group] += 1
        assert max(count.values()) < 1.3 * min(count.values())

    def test_without_groups_an_epoch_is_a_permutation(self):
        data = PairedDataset(list(range(7)), ["x"] * 7)
        rows = np.concatenate([b.rows for b in data.batches(3, np.random.default_rng(0))])
        assert len(rows) == 6 == len(set(rows.tolist()))

    def test_blank_sentences_are_never_drawn(self):
        data = PairedDataset(list("ab"), [["one", " ", ""], ["\n", "two"]])
        assert data.texts == [["one"], ["two"]]

    @pytest.mark.parametrize(
        "groups",
        [[("p", 1), ("p", 2), ("p", 1), ("q", 1)], ["b", "c", "b", "a"], [3, "x", 3, None]],
    )
    def test_groups_are_anything_that_can_be_hashed(self, groups):
        found = PairedDataset(list("abcd"), ["x"] * 4, groups=groups).groups
        assert found.shape == (4,) and set(found.tolist()) == {0, 1, 2}
        assert [[a == b for a in found] for b in found] == [
            [a == b for a in groups] for b in groups
        ]

    def test_bad_input(self):
        with pytest.raises(DataError, match="every picture needs its row"):
            PairedDataset([1, 2], ["one"])
        with pytest.raises(DataError, match="pair 1 has no sentence"):
            PairedDataset([1, 2], ["one", [" "]])
        with pytest.raises(DataError, match="a batch of 3 needs"):
            next(PairedDataset([1, 2, 3], ["x"] * 3, groups=[0, 0, 1]).batches(3, None))


class TestTower:
    def test_pools_leave_padding_out(self):
        tokens = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [99.0, 99.0]]])
        mask = torch.tensor([[1, 1, 0]])
        assert pool_tokens(tokens, mask, "max").tolist() == [[3.0, -5.0]]
        assert pool_tokens(tokens, mask, "mean").tolist() == [[2.0, -6.0]]
        assert pool_tokens(tokens, mask, "first").tolist() == [[1.0, -5.0]]

    def test_half_freezes_embeddings_and_lower_layers(self, tower):
        trained = {n for n, p in tower("half").model.named_parameters() if p.requires_grad}
        assert trained and all(name.startswith("encoder.layer.1.") for name in trained)
        assert not any(p.requires_grad for p in tower("all").model.parameters())
        free = {n for n, p in tower("none").model.named_parameters() if p.requires_grad}
        assert any(n.startswith("embeddings") for n in free) and not any(
            "pooler" in n for n in free
        )

    def test_frozen_tower_remembers_and_others_do_not(self, tower):
        texts = ["open the valve", "a red door", "open the valve"]
        for freeze in ("all", "half"):
            one = tower(freeze)
            first = one.encode(texts)
            assert torch.equal(first[0], first[2])
            single = torch.cat([one.encode([text]) for text in texts])
            assert torch.allclose(single, first, atol=1e-5)
            assert len(one.known) == (2 if freeze == "all" else 0)
        assert one.encode([]).shape == (0, 32)

    def test_frozen_tower_stays_without_dropout(self, tower):
        assert not tower("all").train().model.training and tower("half").train().model.training

    def test_bad_settings(self, tower):
        with pytest.raises(ConfigError, match="text_pool cannot be 'maximum'"):
            tower("half", pool="maximum")
        with pytest.raises(ConfigError, match="freeze_text cannot be 'halves'"):
            tower("halves")
        with pytest.raises(ModelError, match="no list of layers"):
            TextTower(nn.Linear(2, 2), None, freeze="half")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Folder of a random two-layer BERT of 32 dimensions with MiniLM's tokenizer."""
    from transformers import BertConfig, BertModel

    from vecsmith.encode import resolve_model

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    source = resolve_model("sentence-transformers/all-MiniLM-L6-v2").path
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).write_bytes((source / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def tower(bert):
    def build(freeze, **more):
        return TextTower.from_pretrained(bert, freeze=freeze, **more)

    return build


def toy_pairs(count=96, side=32):
    """Squares of a colour at a place, and what they are called."""
    rng = np.random.default_rng(0)
    names = ("red", "green", "blue", "white")
    images = np.zeros((count, side, side, 3), np.uint8)
    texts, kinds = [], rng.integers(0, 8, count)
    for row, kind in enumerate(kinds):
        half = slice(0, side // 2) if kind % 2 else slice(side // 2, side)
        colour = 255 if kind // 2 == 3 else np.eye(3, dtype=np.uint8)[kind // 2] * 255
        images[row, half] = colour
        where = "above" if kind % 2 else "below"
        texts.append([f"{names[kind // 2]} {where}", f"a {names[kind // 2]} bar {where}"])
    images = np.clip(images + rng.integers(0, 40, images.shape), 0, 255).astype(np.uint8)
    return images, texts, kinds


class TestPretrainer:
    def build(self, bert, freeze="half", seed=0):
        image = VisionEncoder.tiny("resnet", image_size=32, seed=seed)
        return PairedPretrainer(image, bert, proj_dim=16, freeze_text=freeze, seed=seed)

    def train(self, model, steps=12, **more):
        images, texts, kinds = toy_pairs()
        data = PairedDataset(images, texts, groups=kinds, **more)
        options = FitOptions(lr=2e-3, log_every=1, cpu=True)
        return model.fit(
            data, budget=Budget(steps=steps), batch_size=8, views=PLAIN, options=options
        )

    def test_learns_to_pair(self, bert):
        model = self.build(bert, "all")
        result = self.train(model, steps=60)
        losses = [row["loss"] for row in result.records]
        assert np.mean(losses[-5:]) < np.log(8) - 0.5 < np.mean(losses[:3])

    def test_gradient_reaches_both_towers(self, bert):
        model = self.build(bert)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        self.train(model, steps=2)
        moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        for name in (
            "text_projection.0.weight",
            "text_projection.2.weight",
            "text_tower.model.encoder.layer.1.output.dense.weight",
            "image_projection.0.weight",
        ):
            assert name in moved
        assert any(n.startswith("image_encoder") for n in moved)
        assert not any("encoder.layer.0" in n for n in moved)

    def test_rows_of_one_group_or_sentence_are_masked(self, bert):
        """The loss is handed who shows the same, and who drew the same sentence."""
        model, seen = self.build(bert, "all"), []

        class Spy(BidirectionalContrastiveLoss):
            def forward(self, image, text, groups=None):
                seen.append(groups[:, None] == groups[None])
                return super().forward(image, text, groups)

        images, texts, _ = toy_pairs(6)
        texts = ["one", "one", "two", "three", ["four"], "two"]
        data = PairedDataset(images, texts, groups=range(6))
        options = FitOptions(cpu=True)
        model.fit(data, budget=Budget(steps=1), batch_size=6, loss=Spy(), options=options)
        alike = seen[0].any(-1)
        # each with itself, and two pairs of equal sentences both ways
        assert int(alike.sum()) == 6 + 4
        own = seen[0].all(-1)
        assert torch.equal(own, torch.eye(6, dtype=torch.bool))

    def test_same_seed_same_weights(self, bert):
        models = [self.build(bert, "all") for _ in range(2)]
        for model in models:
            self.train(model, steps=3)
        first, second = (model.state_dict() for model in models)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_saved_and_loaded_is_equal_and_transformers_loads_it(self, bert, tmp_path):
        from transformers import VisionTextDualEncoderModel

        model = self.build(bert)
        self.train(model, steps=2)
        model.loss = BidirectionalContrastiveLoss(0.2, 0.6)
        model.save_pretrained(tmp_path / "m")
        loaded = PairedPretrainer.from_pretrained(tmp_path / "m")
        model.eval()
        images, texts, _ = toy_pairs(4)
        words = [sentences[0] for sentences in texts]
        for space in "hv":
            one, two = (m.encode_images(images, space=space) for m in (model, loaded))
            assert np.array_equal(one, two)
        for space in "hu":
            one, two = (m.encode_texts(words, space=space) for m in (model, loaded))
            assert np.array_equal(one, two)
        assert (loaded.loss.tau, loaded.loss.lam) == (0.2, 0.6)
        assert (loaded.text_tower.pool, loaded.text_tower.freeze) == ("max", "half")
        dual = VisionTextDualEncoderModel.from_pretrained(tmp_path / "m")
        pixels = model.image_encoder.processor(images=list(images), return_tensors="pt")
        with torch.no_grad():
            h = dual.eval().vision_model(**pixels).pooler_output.flatten(1)
        assert np.allclose(h.numpy(), model.encode_images(images), atol=1e-5)

    def test_spaces(self, bert):
        model = self.build(bert)
        images, _, _ = toy_pairs(3)
        assert model.encode_images(images).shape == (3, 192)
        assert model.encode_images(images, space="v").shape == (3, 16)
        assert model.encode_texts(["red"]).shape == (1, 16)
        with pytest.raises(ConfigError, match="space must be one of 'h', 'v'"):
            model.encode_images(images, space="u")

    def test_pictures_in_files_and_flips(self, bert, tmp_path):
        from PIL import Image

        images, texts, _ = toy_pairs(8)
        paths = []
        for row, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{row}.png")
            paths.append(tmp_path / f"{row}.png")
        states = []
        for source in (paths, images):
            model = self.build(bert, "all")
            data = PairedDataset(source, texts, may_flip=[True] * 8)
            model.fit(data, budget=Budget(steps=2), batch_size=4, options=FitOptions(cpu=True))
            states.append(model.state_dict())
        assert all(torch.allclose(states[0][n], states[1][n], atol=1e-6) for n in states[0])

    def test_folder_of_something_else(self, tmp_path):
        with pytest.raises(ModelError, match=r"should hold paired\.json"):
            PairedPretrainer.from_pretrained(tmp_path)


def paired(folder, rows):
    data = load_file(f"{folder}/data.safetensors")
    head = torch.nn.Linear(6, 5, bias=False, dtype=torch.float64)
    torch.nn.init.eye_(head.weight)
    image, text = head(data["image"][rows]), data["text"][rows]
    found = {}
    for name, groups in (("all", None), ("groups", data["groups"][rows])):
        loss = BidirectionalContrastiveLoss(tau=0.3, lam=0.6)(image, text, groups)
        found[name] = torch.autograd.grad(loss, head.weight, retain_graph=True)[0]
    return found


def test_two_processes_have_the_gradients_of_one(mean_of_two, same_gradients, tmp_path, plain):
    data = {"image": plain.draw(8, 6, seed=1), "text": plain.draw(8, 5, seed=2)}
    # things and sentences that rows of both processes show
    data["groups"] = torch.tensor([[0, 9], [1, 8], [2, 7], [3, 6], [0, 5], [4, 7], [5, 4], [6, 3]])
    save_file(data, tmp_path / "data.safetensors")
    found = mean_of_two(paired, 4)
    wanted = paired(tmp_path, slice(0, 8))
    assert not torch.allclose(wanted["all"], wanted["groups"], rtol=1e-2)
    same_gradients(found, wanted)
