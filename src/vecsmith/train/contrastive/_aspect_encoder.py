"""One text, several vectors, one an aspect: "similar in what?".

Paper: Specialized Document Embeddings for Aspect-based Similarity of Research Papers (M.
Ostendorff, T. Blume, T. Ruas, B. Gipp, G. Rehm, 2022). For each aspect a space of its own, in which
neighbours are documents that share a label of that aspect.

Four ways, from dear to cheap: "separate" fine-tunes a copy of the encoder an aspect (the paper's
best, "Siamese"); "lora" an adapter an aspect on one shared encoder; "heads" a small residual net an
aspect on finished vectors, with the same loss; "retrofit" the same net by explicit retrofitting.

Use when a single similarity mixes reasons that matter differently, and documents carry labels by
aspect. Avoid when texts do not tell the aspect. Cost: k encodings a text with "separate" and "lora"
for k aspects, one with the others.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor
from transformers import PrinterCallback

from vecsmith.core import (
    Budget,
    ConfigError,
    FitOptions,
    ModelError,
    atomic_path,
    did_you_mean,
    fit,
    numpy_generator,
    read_json,
    require,
    write_json,
)
from vecsmith.data import AspectDataset
from vecsmith.encode import load_sentence_transformer, quiet_hosts

from ._aspect_losses import (
    AspectHead,
    AspectRankingLoss,
    aspect_ranking,
    explicit_retrofit,
    shared_labels,
)

MODES = ("separate", "lora", "heads", "retrofit")
SETTINGS, WEIGHTS = "aspects.json", "aspects.safetensors"
LORA_RANK = 16


class AspectEncoder:
    """Encoders of several aspects behind one `encode`.

    Args:
        base: A `SentenceTransformer`, or hub id or folder of one; it is not changed.
        aspects: Their names.
        mode: "separate", "lora", "heads" or "retrofit".
        device: Torch device, for a base given by name.

    Raises:
        ConfigError: An unknown mode, or no aspects.
    """

    def __init__(
        self,
        base: SentenceTransformer | str | Path,
        aspects: Sequence[str],
        *,
        mode: str = "separate",
        device: str = "cpu",
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"mode cannot be {mode!r}; {did_you_mean(mode, MODES)}")
        if not aspects or len(set(aspects)) != len(aspects):
            raise ConfigError(f"aspects must be distinct names, at least one; got {list(aspects)}")
        if not isinstance(base, SentenceTransformer):
            base = load_sentence_transformer(base, device=device)
        self.aspects, self.mode = tuple(aspects), mode
        self.models: dict[str, SentenceTransformer] = {}
        self.heads: dict[str, AspectHead] = {}
        self.base = base
        dims = int(base.get_embedding_dimension() or 0)
        if mode == "separate":
            self.models = {name: copy.deepcopy(base) for name in self.aspects}
        elif mode == "lora":
            self.adapted = _with_adapters(copy.deepcopy(base), self.aspects)
        else:
            self.heads = {name: AspectHead(dims) for name in self.aspects}

    def fit(
        self,
        data: AspectDataset,
        *,
        pairs: int | None = None,
        epochs: float = 1.0,
        batch_size: int = 32,
        lr: float | None = None,
        mask_shared: bool = True,
        seed: int = 0,
        vectors: NDArray[np.float32] | None = None,
    ) -> "AspectEncoder":
        """Train every aspect on pairs that share a label.

        Args:
            data: Documents for training.
            pairs: Positive pairs an aspect; None takes all.
            epochs: Passes over the pairs.
            batch_size: Pairs a step.
            lr: Learning rate; by default 5e-5 ("separate"), 5e-4 ("lora") or 1e-3.
            mask_shared: Leave out in-batch negatives that share a label; the authors do not.
            seed: Seed of pairs, order and dropout.
            vectors: The base's unit vectors of the documents, if they are at hand; for "heads" and
                "retrofit", which encode the documents otherwise.

        Returns:
            Itself.

        Raises:
            ConfigError: `data` lacks an aspect.
            DataError: An aspect has no pairs.
        """
        missing = set(self.aspects) - set(data.aspects)
        if missing:
            raise ConfigError(f"data has no labels for {sorted(missing)}; got {data.aspects}")
        run = {"epochs": epochs, "batch": batch_size, "lr": lr, "mask": mask_shared, "seed": seed}
        cached = vectors
        if cached is None and self.heads:
            cached = self._generic(data.texts)
        for aspect in self.aspects:
            drawn = data.positives(aspect, pairs, seed=seed)
            if self.heads and cached is not None:
                self._fit_head(aspect, data, drawn, torch.from_numpy(cached), run)
            else:
                self._fit_model(aspect, data, drawn, run)
        return self

    def _fit_model(
        self, aspect: str, data: AspectDataset, pairs: NDArray[np.int64], run: dict[str, Any]
    ) -> None:
        datasets = require("datasets", "train")
        model = self._model(aspect)
        columns = {
            "anchor": [data.texts[row] for row in pairs[:, 0]],
            "positive": [data.texts[row] for row in pairs[:, 1]],
            "label": pairs.tolist(),
        }
        rate = run["lr"] or (5e-5 if self.mode == "separate" else 5e-4)
        with tempfile.TemporaryDirectory() as scratch, quiet_hosts():
            arguments = SentenceTransformerTrainingArguments(
                scratch,
                num_train_epochs=run["epochs"],
                per_device_train_batch_size=run["batch"],
                learning_rate=rate,
                warmup_steps=0.1,
                seed=run["seed"],
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_strategy="no",
                use_cpu=model.device.type == "cpu",
                dataloader_pin_memory=False,
            )
            trainer = SentenceTransformerTrainer(
                model=model,
                args=arguments,
                train_dataset=datasets.Dataset.from_dict(columns),
                loss=AspectRankingLoss(model, data.matrix(aspect) if run["mask"] else None),
            )
            # it prints a line when it is done
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        model.eval()

    def _fit_head(
        self,
        aspect: str,
        data: AspectDataset,
        pairs: NDArray[np.int64],
        vectors: Tensor,
        run: dict[str, Any],
    ) -> None:
        labels = data.matrix(aspect) if run["mask"] else None
        size = min(run["batch"], len(pairs))

        def batches(epoch: int) -> list[NDArray[np.int64]]:
            order = numpy_generator(run["seed"], "heads", aspect, str(epoch)).permutation(pairs)
            return [order[at : at + size] for at in range(0, len(order) - size + 1, size)]

        def step(head: Callable[[Tensor], Tensor], rows: NDArray[np.int64]) -> Tensor:
            a, b = vectors[rows[:, 0]], vectors[rows[:, 1]]
            if self.mode == "retrofit":
                return explicit_retrofit(a, b, head(a), head(b))
            shared = None if labels is None else shared_labels(labels, rows)
            return aspect_ranking(head(a), head(b), shared)

        options = FitOptions(
            lr=run["lr"] or 1e-3, seed=run["seed"], cpu=True, description=f"aspect {aspect}"
        )
        budget = Budget(epochs=run["epochs"])
        fit(self.heads[aspect], step, batches, budget=budget, options=options)

    def encode(
        self, texts: Sequence[str], *, aspect: str | None = None, batch_size: int = 64
    ) -> Any:
        """Encode texts to unit vectors.

        Args:
            texts: The texts.
            aspect: One aspect, or None for all.
            batch_size: Texts a step.

        Returns:
            Shape (texts, dims), or a dictionary aspect -> such an array.

        Raises:
            ConfigError: No such aspect.
        """
        if aspect is not None and aspect not in self.aspects:
            raise ConfigError(
                f"no aspect is called {aspect!r}; {did_you_mean(aspect, self.aspects)}"
            )
        wanted = self.aspects if aspect is None else (aspect,)
        if self.heads:
            found = self.project(self._generic(texts, batch_size), wanted)
        else:
            found = {name: _encode(self._model(name), texts, batch_size) for name in wanted}
        return found if aspect is None else found[aspect]

    def project(
        self, vectors: NDArray[np.float32], aspects: Sequence[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Map finished vectors of the base ("heads" and "retrofit" alone).

        Args:
            vectors: Unit vectors of the base, shape (texts, dims).
            aspects: Which; None takes all.

        Returns:
            Aspect -> unit vectors, shape (texts, dims).

        Raises:
            ConfigError: The mode has no heads.
        """
        if not self.heads:
            raise ConfigError(f"mode {self.mode!r} has no heads; give the texts to encode")
        given = torch.from_numpy(np.asarray(vectors, np.float32))
        with torch.no_grad():
            return {
                name: torch.nn.functional.normalize(self.heads[name](given), dim=1).numpy()
                for name in aspects or self.aspects
            }

    def _generic(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        return _encode(self.base, texts, batch_size)

    def _model(self, aspect: str) -> SentenceTransformer:
        if self.mode == "separate":
            return self.models[aspect]
        self.adapted.set_adapter(aspect)
        return self.adapted

    def _weights(self, aspect: str) -> dict[str, Tensor]:
        """Weights of an aspect beside those of the base; none with "separate"."""
        if self.mode == "lora":
            return dict(self.adapted.get_adapter_state_dict(aspect))
        return dict(self.heads[aspect].state_dict()) if self.heads else {}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``aspects.json`` and the encoders, or the base and what was trained beside it.

        Args:
            folder: Where to; it is made.
        """
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        with quiet_hosts():
            for name, model in self.models.items():
                model.save_pretrained(str(root / name), create_model_card=False)
            if self.mode != "separate":
                self.base.save_pretrained(str(root / "base"), create_model_card=False)
        tensors = {
            f"{aspect}/{name}": value.detach().cpu().contiguous()
            for aspect in self.aspects
            for name, value in self._weights(aspect).items()
        }
        if tensors:
            with atomic_path(root / WEIGHTS) as temporary:
                save_file(tensors, temporary)
        write_json(root / SETTINGS, {"aspects": list(self.aspects), "mode": self.mode})

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "cpu") -> "AspectEncoder":
        """Load what `save_pretrained` wrote.

        Args:
            folder: That folder.
            device: Torch device.

        Returns:
            The encoder.

        Raises:
            ModelError: The folder does not hold such an encoder.
        """
        root = Path(folder)
        if not (root / SETTINGS).exists():
            raise ModelError(
                f"{str(root)!r} should hold {SETTINGS} but does not; give a folder that "
                "AspectEncoder.save_pretrained wrote"
            )
        settings = read_json(root / SETTINGS)
        aspects, mode = settings["aspects"], settings["mode"]
        if mode == "separate":
            models = {n: load_sentence_transformer(root / n, device=device) for n in aspects}
            return cls.from_models(models)
        loaded = cls(load_sentence_transformer(root / "base", device=device), aspects, mode=mode)
        tensors = load_file(root / WEIGHTS)
        for aspect in aspects:
            prefix = f"{aspect}/"
            part = {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}
            if mode == "lora":
                peft = require("peft", "train")
                peft.set_peft_model_state_dict(loaded.adapted[0].auto_model, part, aspect)
            else:
                loaded.heads[aspect].load_state_dict(part)
        return loaded

    @classmethod
    def from_models(cls, models: dict[str, SentenceTransformer]) -> "AspectEncoder":
        """Put finished encoders together, such as published ones.

        Args:
            models: Aspect -> encoder.

        Returns:
            An encoder of mode "separate".
        """
        made = object.__new__(cls)
        made.aspects, made.mode = tuple(models), "separate"
        made.models, made.heads = dict(models), {}
        made.base = next(iter(models.values()))
        return made


def _with_adapters(model: SentenceTransformer, aspects: Sequence[str]) -> SentenceTransformer:
    peft = require("peft", "train")
    for name in aspects:
        config = peft.LoraConfig(
            task_type="FEATURE_EXTRACTION",
            r=LORA_RANK,
            lora_alpha=2 * LORA_RANK,
            target_modules="all-linear",
        )
        with warnings.catch_warnings():
            # peft wonders at a second adapter; several are what is wanted here
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            model.add_adapter(config, adapter_name=name)
    return model


def _encode(
    model: SentenceTransformer, texts: Sequence[str], batch_size: int
) -> NDArray[np.float32]:
    if not texts:
        return np.zeros((0, int(model.get_embedding_dimension() or 0)), np.float32)
    vectors = model.encode(
        list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(vectors, np.float32)
