"""Fine-tuning of readers: targets, windows, best spans, all three tasks, both families."""

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecsmith.core import ConfigError, DataError, ModelError, numpy_generator
from vecsmith.data.questions import ReadingQuestion
from vecsmith.encode import quiet_hosts
from vecsmith.encode.knowledge import DictionaryLinker, EntityFuser
from vecsmith.train.reading import (
    Reader,
    ReadingOptions,
    best_span,
    reading_features,
    span_in_window,
)
from vecsmith.train.reading._reader import TASKS

NAMES = {"m": "marfan syndrome", "h": "large head"}
VECTORS = {"m": np.full(16, 0.5, np.float32), "h": np.full(16, -0.5, np.float32)}


def fuser_of(folder, layout="dekcor"):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return EntityFuser(tokenizer, linker=DictionaryLinker(NAMES), vectors=VECTORS, layout=layout)


def reader_of(folder, task, layout="dekcor", labels=(), **how):
    fuser = fuser_of(folder, layout)
    torch.manual_seed(0)
    more = {"num_labels": len(labels)} if labels else {}
    with quiet_hosts():
        model = getattr(transformers, TASKS[task]).from_pretrained(folder, **more)
    options = ReadingOptions(**{"batch_size": 8, "lr": 1e-2, "warmup": 0.0, "cpu": True, **how})
    return Reader(fuser.extend(model), fuser, task=task, labels=labels, options=options)


def slow_best_span(starts, ends, offsets, most):
    found = (-np.inf, None, None)
    for i, first in enumerate(offsets):
        for j in range(i, min(i + most, len(offsets))):
            inside = first is not None and offsets[j] is not None
            if inside and starts[i] + ends[j] > found[0]:
                found = (starts[i] + ends[j], first[0], offsets[j][1])
    return found


@given(st.integers(0, 500), st.integers(2, 12), st.integers(1, 5))
def test_best_span_is_that_of_a_plain_loop(seed, size, most):
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(size=(2, size))
    offsets = [None] + [(3 * i, 3 * i + 2) for i in range(size - 2)] + [None]
    assert tuple(best_span(starts, ends, offsets, max_tokens=most)) == slow_best_span(
        starts, ends, offsets, most
    )


def test_no_answer_may_win():
    offsets = [None, (0, 2)]
    assert best_span(np.array([3.0, 1]), np.array([0.0, 1]), offsets, no_answer=True).start is None
    assert best_span(np.array([2.0, 1]), np.array([0.0, 1]), offsets, no_answer=True).start is None
    assert best_span(np.array([3.0, 1]), np.array([0.0, 1]), offsets).start == 0


def test_a_window_holds_an_answer_whole_or_not():
    offsets = [None, (0, 3), (4, 6), (6, 9), None]
    assert span_in_window(offsets, (4, 9)) == (2, 3)
    assert span_in_window(offsets, (5, 7)) == (2, 3)
    assert span_in_window(offsets, (6, 12)) is None
    assert span_in_window(offsets, None) is None
    assert span_in_window(offsets, (20, 22)) is None
    assert span_in_window([None, (4, 6), None], (0, 6)) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text("pain fever発热é ", min_size=3, max_size=60), st.data())
def test_windows_cover_the_answer_and_map_it_back(bert, context, data):
    words = [w for w in context.split(" ") if w]
    if not words:
        return
    answer = data.draw(st.sampled_from(words))
    fuser = fuser_of(bert)
    item = ReadingQuestion("why marfan syndrome", context, (answer,))
    width = len(fuser.encode(item.question, "")[0].input_ids)
    room = len(answer) + 4
    made = reading_features([item], fuser, task="span", max_length=width + room, stride=4)
    holding = [f for f in made if f.target != (0, 0)]
    assert holding
    for feature in holding:
        first, last = feature.target
        offsets = feature.windows[0].offsets
        found = context[offsets[first][0] : offsets[last][1]]
        # a word of several pieces may start before the answer, never after it
        assert answer in found
        starts = np.zeros(len(offsets))
        ends = np.zeros(len(offsets))
        starts[first], ends[last] = 5, 5
        span = best_span(starts, ends, offsets, max_tokens=80)
        assert context[span.start : span.end] == found


def test_few_windows_without_the_answer_are_kept(bert):
    fuser = fuser_of(bert)
    context = "pain " * 30 + "fever " + "pain " * 30
    item = ReadingQuestion("why", context, ("fever",))
    how = {"task": "span", "max_length": 16, "stride": 6}
    every = reading_features([item], fuser, **how)
    holding = [f for f in every if f.target != (0, 0)]
    some = reading_features([item], fuser, negative_windows=1, rng=numpy_generator(0), **how)
    assert [f for f in some if f.target != (0, 0)] == holding
    assert len(some) == 2 * len(holding) < len(every)
    # a question that the context does not answer keeps some windows too
    none = ReadingQuestion("why", context)
    kept = reading_features([none], fuser, negative_windows=3, rng=numpy_generator(0), **how)
    assert [f.target for f in kept] == [(0, 0)] * 3
    with pytest.raises(ConfigError, match="rng"):
        reading_features([item], fuser, negative_windows=1, **how)


def test_choices_are_read_with_the_context_and_within_the_length(bert):
    fuser = fuser_of(bert)
    item = ReadingQuestion("why", "pain of head", choices=("fever", "large"), label=1)
    (made,) = reading_features([item], fuser, task="choice", max_length=64)
    texts = [fuser.tokenizer.decode(w.input_ids) for w in made.windows]
    assert made.target == (1,)
    assert all(
        f"pain of head {choice}" in text for text, choice in zip(texts, item.choices, strict=True)
    )
    long = ReadingQuestion("why", "pain " * 90, choices=("fever", "large"), label=0)
    (cut,) = reading_features([long], fuser, task="choice", max_length=24)
    assert [len(w.input_ids) for w in cut.windows] == [24, 24]
    told = ReadingQuestion("why", "pain " * 90, label="no")
    (cut,) = reading_features([told], fuser, task="label", labels=("no",), max_length=24)
    assert [len(w.input_ids) for w in cut.windows] == [24]


@pytest.fixture(params=["bert", "roberta"])
def folder(request):
    return request.getfixturevalue(request.param)


SPANS = [
    ReadingQuestion("why pain", " ".join(["of"] * i + ["fever"] + ["of"] * (5 - i)), ("fever",))
    for i in range(6)
]
LABELS = [
    ReadingQuestion(f"is {name} seen", "pain", label=label)
    for name, label in (("large head", "yes"), ("marfan syndrome", "no"))
] * 6
CHOICES = [
    ReadingQuestion(
        "why pain", "head", choices=("fever", "of") if i % 2 else ("of", "fever"), label=1 - i % 2
    )
    for i in range(12)
]


@pytest.mark.parametrize("task", sorted(TASKS))
def test_learns_and_comes_back(folder, task, tmp_path):
    items = {"span": SPANS, "label": LABELS, "choice": CHOICES}[task]
    labels = ("no", "yes") if task == "label" else ()
    reader = reader_of(folder, task, labels=labels, epochs=25).fit(items)
    found = reader.predict(items)
    right = [q.answers[0] if task == "span" else q.label for q in items]
    assert np.mean([a == b for a, b in zip(found, right, strict=True)]) > 0.9
    reader.save_pretrained(tmp_path / "reader")
    again = Reader.from_pretrained(tmp_path / "reader", task=task, options=reader.options)
    assert again.predict(items) == found
    assert again.labels == labels
    # what was saved is an ordinary model of transformers
    with quiet_hosts():
        plain = getattr(transformers, TASKS[task]).from_pretrained(tmp_path / "reader")
    table = plain.get_input_embeddings().weight
    assert torch.equal(table, reader.model.get_input_embeddings().weight)
    # entities that were read have moved
    moved = not torch.equal(table[reader.fuser.token_ids["h"]], torch.from_numpy(VECTORS["h"]))
    assert moved == (task == "label")


def test_repeats_by_seed(bert):
    first, again = (
        reader_of(bert, "label", labels=("no", "yes"), epochs=2).fit(LABELS) for _ in range(2)
    )
    assert np.array_equal(first.scores(LABELS), again.scores(LABELS))


def test_batch_size_does_not_change_answers(bert):
    reader = reader_of(bert, "span", max_length=24, stride=6)
    items = [ReadingQuestion("why", "of the pain " * n, ("pain",)) for n in (1, 4, 9)]
    many = reader.spans(items)
    reader.options = ReadingOptions(batch_size=1, max_length=24, stride=6)
    one = reader.spans(items)
    assert [s[1:] for s in many] == [s[1:] for s in one]


def test_trains_with_the_trainer_of_transformers(bert, tmp_path):
    reader = reader_of(bert, "label", labels=("no", "yes"))
    with quiet_hosts():
        trainer = transformers.Trainer(
            model=reader.model,
            args=transformers.TrainingArguments(
                output_dir=str(tmp_path),
                num_train_epochs=30,
                learning_rate=1e-2,
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                save_strategy="no",
                logging_strategy="no",
                remove_unused_columns=False,
                dataloader_pin_memory=False,
            ),
            train_dataset=reader.dataset(LABELS),
            data_collator=reader.collate,
        )
        trainer.train()
    assert reader.predict(LABELS) == [q.label for q in LABELS]


def test_bad_input_is_refused(bert):
    with pytest.raises(ConfigError, match="task"):
        Reader(None, None, task="spans")
    with pytest.raises(ConfigError, match="labels must name"):
        reader = reader_of(bert, "label", labels=("no", "yes"))
        Reader(reader.model, reader.fuser, task="label", labels=("yes",))
    fuser = fuser_of(bert)
    with quiet_hosts():
        model = transformers.AutoModelForQuestionAnswering.from_pretrained(bert)
    model.resize_token_embeddings(20, mean_resizing=False)
    with pytest.raises(ModelError, match="extend"):
        Reader(model, fuser, task="span")
    reader = reader_of(bert, "span")
    with pytest.raises(DataError, match="at least one"):
        reader.fit([])
    with pytest.raises(DataError, match="no context"):
        reader.predict([ReadingQuestion("why")])
    with pytest.raises(ConfigError, match="use spans"):
        reader.scores(SPANS)
    labelled = reader_of(bert, "label", labels=("no", "yes"))
    with pytest.raises(DataError, match="'perhaps'"):
        labelled.fit([ReadingQuestion("why", label="perhaps")])
    chooser = reader_of(bert, "choice")
    with pytest.raises(DataError, match="two or more"):
        chooser.predict([ReadingQuestion("why", choices=("a",))])
    with pytest.raises(DataError, match="must number"):
        chooser.fit([ReadingQuestion("why", choices=("a", "b"), label=2)])
    for wrong in ({"batch_size": 0}, {"stride": 0}, {"lr": 0.0}, {"entity_lr": -1.0}):
        with pytest.raises(ConfigError):
            ReadingOptions(**wrong)
