"""Encode with OpenVINO: no torch, short start, bf16 or int8 where the processor has it.

The folder that `export_encoder` writes holds ``model.xml``/``model.bin`` (network with pooling and
normalisation), ``tokenizer.json`` and ``encoder.json`` (stamp, precision, pad token).
"""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecsmith.core import ConfigError, ModelError, Stamp, read_json

from ._batches import DOCUMENT, TOKEN_BUDGET, encode_in_batches, prompt_of, without_surrogates

PRECISIONS = ("f32", "bf16", "int8")
SETTINGS = "encoder.json"


@cache
def openvino_core() -> Any:
    """Return the one OpenVINO core of this process, made at the first call.

    The processor plugin of each core sets an alternate signal stack and puts back the one before
    when the core goes. Two cores that end in another order than they began leave the thread with a
    freed stack, and the next signal (Ctrl-C, the end of a child) kills the process.
    """
    import openvino

    return openvino.Core()


class OpenVinoEncoder:
    """A sentence encoder exported by `export_encoder`.

    Args:
        folder: The exported folder.
        precision: "f32", "bf16" or "int8"; None takes what the folder records.
        dims: Leading dimensions to keep; None takes what the folder records.
        threads: Processor threads; None takes all that the process may use.

    Raises:
        ModelError: The folder is not an exported encoder.
        ConfigError: `precision` or `dims` out of range.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        precision: str | None = None,
        dims: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / SETTINGS).exists():
            raise ModelError(
                f"{str(folder)!r} should be an exported encoder with {SETTINGS}, but has none; "
                "export one with vecsmith.encode.export_encoder"
            )
        settings = read_json(self.folder / SETTINGS)
        self.precision = precision or settings["precision"]
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {PRECISIONS}; got {self.precision!r}")
        self.stamp = cut_stamp(Stamp.from_dict(settings["stamp"]), dims)
        self._pad_id = int(settings["pad_id"])
        self._threads = threads

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.stamp.max_tokens)
        return tokenizer

    @cached_property
    def _counter(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @property
    def vocabulary(self) -> int:
        """Number of tokens that the tokenizer knows; ids lie below it."""
        return int(self._tokenizer.get_vocab_size())

    @cached_property
    def _request(self) -> Any:
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": self.precision}
        network = openvino_core().read_model(str(self.folder / "model.xml"))
        if self.precision == "int8":
            from ._int8 import GROUP, quantise_network

            quantise_network(network)
            # What is no matrix product stays in float32.
            config = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP}
        if self._threads:
            config["INFERENCE_NUM_THREADS"] = self._threads
        return openvino_core().compile_model(network, "CPU", config).create_infer_request()

    def _forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        results = self._request.infer({0: ids, 1: mask})
        return np.asarray(next(iter(results.values())), dtype=np.float32)

    def encode(
        self, texts: Sequence[str], *, kind: str = DOCUMENT, token_budget: int = TOKEN_BUDGET
    ) -> NDArray[np.float32]:
        """Encode texts to unit vectors.

        Args:
            texts: The texts.
            kind: "query" or "document": which prompt is put before them.
            token_budget: Padded tokens a batch.

        Returns:
            Shape (len(texts), dims), float32.
        """
        return self.encode_tokens(self.tokens(texts, kind=kind), token_budget=token_budget)

    def tokens(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[list[int]]:
        """Return the token ids of texts as they are encoded.

        Args:
            texts: The texts; a lone surrogate is replaced.
            kind: "query" or "document": which prompt is put before them.

        Returns:
            Ids of each text, with prompt and special tokens, cut at the model's length.
        """
        prompt = prompt_of(self.stamp, kind)
        clean = without_surrogates([prompt + text for text in texts] if prompt else texts)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(clean)]

    def full_lengths(self, texts: Sequence[str], *, kind: str = DOCUMENT) -> list[int]:
        """Return how many tokens each text would have if none were cut.

        Args:
            texts: The texts; a lone surrogate is replaced.
            kind: "query" or "document": which prompt is put before them.

        Returns:
            One number a text, with prompt and special tokens.
        """
        prompt = prompt_of(self.stamp, kind)
        clean = without_surrogates([prompt + text for text in texts])
        return [len(encoding.ids) for encoding in self._counter.encode_batch_fast(clean)]

    def load(self) -> None:
        """Read now what is otherwise read when it is first needed."""
        _ = self._tokenizer, self._counter, self._request

    def encode_tokens(
        self, rows: Sequence[Sequence[int]], *, token_budget: int = TOKEN_BUDGET
    ) -> NDArray[np.float32]:
        """Encode rows of token ids, as `tokens` gives them, to unit vectors.

        Args:
            rows: Token ids of each text.
            token_budget: Padded tokens a batch.

        Returns:
            Shape (len(rows), dims), float32; each row is the same, bit for bit, in any company.
        """
        return encode_in_batches(
            rows,
            self._forward,
            dims=self.stamp.dims,
            pad_id=self._pad_id,
            most=self.stamp.max_tokens,
            token_budget=token_budget,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count the model's tokens in each text.

        Args:
            texts: The texts.

        Returns:
            One number a text, special tokens left out.
        """
        clean = without_surrogates(texts)
        encodings = self._counter.encode_batch_fast(clean, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]


def cut_stamp(stamp: Stamp, dims: int | None) -> Stamp:
    """Return the stamp of vectors cut to their leading dimensions.

    Args:
        stamp: Stamp of the whole vectors.
        dims: Dimensions to keep; None keeps all.

    Returns:
        The stamp, with the step recorded if it cuts any.

    Raises:
        ConfigError: `dims` is out of range.
    """
    import dataclasses

    if dims is None or dims == stamp.dims:
        return stamp
    if not 1 <= dims < stamp.dims:
        raise ConfigError(f"dims must lie between 1 and the model's {stamp.dims}; got {dims}")
    return dataclasses.replace(stamp, dims=dims, reshape=(*stamp.reshape, f"truncate:{dims}"))


def load_encoder(folder: str | Path, *, dims: int | None = None) -> Any:
    """Load what `export_encoder` wrote: OpenVINO where that worked, torch otherwise.

    Args:
        folder: The exported folder.
        dims: Leading dimensions to keep.

    Returns:
        An `Encoder`.
    """
    settings = read_json(Path(folder) / SETTINGS)
    if settings["backend"] == "torch":
        from ._torch import TorchEncoder

        stamp = Stamp.from_dict(settings["stamp"])
        return TorchEncoder(Path(folder) / settings["model"], dims=dims, stamp=stamp)
    return OpenVinoEncoder(folder, dims=dims)
