"""The vision encoder: shapes, pixels, saving, the shipped weights."""

import numpy as np
import pytest
import torch
from PIL import Image

from vecsmith.core import ConfigError, DataError, ModelError
from vecsmith.data.samples import load_emoji
from vecsmith.encode import VisionEncoder
from vecsmith.encode.images import _vision
from vecsmith.encode.images._vision import pooled


def pictures(count, side=64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(("kind", "places", "dims"), [("resnet", 16, 192), ("vit", 65, 128)])
def test_shapes_and_saving(kind, places, dims, tmp_path):
    model = VisionEncoder.tiny(kind).eval()
    images = pictures(5)
    with torch.no_grad():
        h, tokens = model(model.pixels(images))
    assert h.shape == (5, dims) and tokens.shape == (5, places, dims) and model.dims == dims
    vectors = model.encode(images)
    assert np.allclose(vectors, h.numpy(), atol=1e-6)
    assert np.allclose(model.encode(images, batch_size=2), vectors, atol=1e-5)
    model.save_pretrained(tmp_path / "m")
    assert np.array_equal(VisionEncoder.from_pretrained(tmp_path / "m").encode(images), vectors)
    again = VisionEncoder.tiny(kind)
    assert np.allclose(again.encode(images), vectors) and again.training
    assert not np.allclose(VisionEncoder.tiny(kind, seed=1).encode(images), vectors)


def test_resnet_h_is_the_mean_of_its_tokens():
    model = VisionEncoder.tiny().eval()
    with torch.no_grad():
        h, tokens = model(model.pixels(pictures(3)))
    assert torch.allclose(h, tokens.mean(1), atol=1e-5)


def test_pools():
    tokens, pooler = torch.arange(12.0).view(1, 3, 4), torch.ones(1, 4)
    assert torch.equal(pooled(tokens, pooler, "pooler"), pooler)
    assert pooled(tokens, pooler, "first").tolist() == [[0, 1, 2, 3]]
    assert pooled(tokens, None, "mean").tolist() == [[4, 5, 6, 7]]
    with pytest.raises(ModelError, match="no pooled output"):
        pooled(tokens, None, "pooler")


def test_pool_is_saved(tmp_path):
    tiny = VisionEncoder.tiny("vit").eval()
    model = VisionEncoder(tiny.model, tiny.processor, pool="first")
    model.save_pretrained(tmp_path / "m")
    loaded = VisionEncoder.from_pretrained(tmp_path / "m")
    assert loaded.pool == "first"
    assert np.array_equal(loaded.encode(pictures(2)), model.encode(pictures(2)))


@pytest.mark.parametrize("kind", ["ViT", "DeiT"])
def test_a_pooler_that_was_never_trained_is_not_taken(kind, tmp_path):
    """Classifiers read the first token; their files have no pooler, and one would be drawn."""
    import transformers

    sides = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = getattr(transformers, f"{kind}Config")(**sides, intermediate_size=32, image_size=64)
    getattr(transformers, f"{kind}ForImageClassification")(config).save_pretrained(tmp_path)
    VisionEncoder.tiny("vit").processor.save_pretrained(tmp_path)
    model = VisionEncoder.from_pretrained(tmp_path)
    assert model.pool == "first"
    vectors = model.encode(pictures(2))
    assert np.array_equal(VisionEncoder.from_pretrained(tmp_path).encode(pictures(2)), vectors)
    assert VisionEncoder.from_pretrained(tmp_path, pool="mean").pool == "mean"
    with pytest.raises(ModelError, match="'first' or 'mean'"):
        VisionEncoder.from_pretrained(tmp_path, pool="pooler")


def test_files_that_lack_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    VisionEncoder.tiny("vit").save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state.pop(next(name for name in state if "layernorm" in name))
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="layernorm"):
        VisionEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("pool", ["pooler", "first", "mean"])
def test_what_trains_has_a_gradient(pool):
    """Else training on several devices waits for one that never comes."""
    tiny = VisionEncoder.tiny("vit")
    model = VisionEncoder(tiny.model, tiny.processor, pool=pool)
    model(model.pixels(pictures(2))).h.sum().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_sixteen_bits_of_grey_are_not_white(tmp_path):
    model = VisionEncoder.tiny()
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "x.png")
    wanted = torch.from_numpy(ramp / 65535).float().expand(1, 3, 64, 64)
    assert torch.allclose(model.pixels([tmp_path / "x.png"]), wanted, atol=1 / 255)


def test_same_pixels_from_path_picture_and_array(tmp_path):
    model = VisionEncoder.tiny()
    image = pictures(1)[0]
    Image.fromarray(image).save(tmp_path / "x.png")
    ways = [np.stack([image]), [image], [Image.fromarray(image)], [tmp_path / "x.png"]]
    made = [model.pixels(way) for way in ways]
    assert made[0].shape == (1, 3, 64, 64) and made[0].min() >= 0.0 and made[0].max() <= 1.0
    for other in made[1:]:
        assert torch.allclose(other, made[0], atol=1e-6)
    assert model.pixels([pictures(1, 100)[0]]).shape == (1, 3, 64, 64)


def test_normalised_as_the_processor_says():
    model = VisionEncoder.tiny()
    images = pictures(2)
    whole = model.processor(images=list(images), return_tensors="pt")["pixel_values"]
    assert torch.allclose((model.pixels(images) - model.image_mean) / model.image_std, whole)


def test_bad_input(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'resnet'"):
        VisionEncoder.tiny("resnets")
    with pytest.raises(ConfigError, match="multiple of 8"):
        VisionEncoder.tiny("vit", image_size=60)
    with pytest.raises(DataError, match="uint8"):
        VisionEncoder.tiny().pixels([np.zeros((4, 4))])
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(DataError, match="should be a picture"):
        VisionEncoder.tiny().pixels([tmp_path / "x.png"])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not load as a vision model"):
        VisionEncoder.from_pretrained(tmp_path)


def test_vision_tower_of_a_pair_is_taken(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    sides = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config={**sides, "image_size": 64, "patch_size": 16},
        text_config={**sides, "vocab_size": 50},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(tmp_path)
    VisionEncoder.tiny().processor.save_pretrained(tmp_path)
    assert VisionEncoder.from_pretrained(tmp_path).encode(pictures(2)).shape == (2, 16)


def test_shipped_weights_know_emoji():
    """Hands and people that it never saw: a picture of the same concept lies nearest."""
    rows = load_emoji()[:]
    held = [i for i, part in enumerate(rows["part"]) if part == "test"]
    toned = [i for i in held if rows["code"][i] != rows["concept"][i]][:120]
    concepts = np.array([rows["concept"][i] for i in toned])
    hits = {}
    for name, model in (("shipped", VisionEncoder.shipped()), ("random", VisionEncoder.tiny())):
        vectors = model.encode([rows["image"][i] for i in toned])
        vectors = vectors - vectors.mean(0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = vectors @ vectors.T
        np.fill_diagonal(scores, -np.inf)
        hits[name] = (concepts[scores.argmax(1)] == concepts).mean()
    assert hits["shipped"] > 0.7 and hits["shipped"] > hits["random"] + 0.1, hits


def test_shipped_weights_that_were_changed_are_refused(tmp_path, monkeypatch):
    import shutil

    shutil.copytree(_vision.SHIPPED, tmp_path / "copy")
    monkeypatch.setattr(_vision, "SHIPPED", tmp_path / "copy")
    VisionEncoder.shipped()
    with (tmp_path / "copy" / "weights" / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ModelError, match="should have the hash"):
        VisionEncoder.shipped()
