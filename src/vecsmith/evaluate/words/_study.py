"""A study of word embeddings: models, dimensions, corpora and seeds, trained and judged alike.

Paper: How to Generate a Good Word Embedding? (S. Lai, K. Liu, S. He and J. Zhao, 2016). Every model
is trained on every corpus with the same vocabulary, windows, noise words and optimizer; its vectors
are kept after each pass, since the loss is no good guide to when to stop; tasks judge them on the
words that all runs share, by the performance gain ratio.

Use to choose model, corpus, dimensions and passes for texts of your own. Avoid where one task is
all that counts and one model is trained anyway: evaluate that. Cost: the product of all choices; a
study that is started again goes on where it was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vecsmith.core import ConfigError, DataError, StoreError, did_you_mean, read_json, write_json
from vecsmith.encode.words import WordVectors
from vecsmith.train.words import Pass, WordCorpus, WordEmbeddingTrainer, WordTraining
from vecsmith.train.words.models import MODELS

from ._protocol import WordTask, random_vectors, share_vocabulary
from ._study_table import StudyScore, StudyTable

Corpus = str | Path | WordCorpus | Iterable[Any]
Tasks = Mapping[str, WordTask | Callable[[WordVectors], float]] | Sequence[WordTask]

STUDY, RUN, STATE = "study.json", "run.json", "state"


@dataclass(frozen=True)
class StudyRun:
    """Vectors of one run after one of its passes.

    Attributes:
        corpus: Name of the corpus.
        model: Name of the model.
        dim: Dimensions.
        seed: Seed.
        epoch: Passes so far.
        loss: Held-out loss then; None without.
        path: Where the vectors lie.
    """

    corpus: str
    model: str
    dim: int
    seed: int
    epoch: int
    loss: float | None
    path: Path

    def vectors(self) -> WordVectors:
        """Load the vectors.

        Returns:
            The word vectors.

        Raises:
            StoreError: They are damaged.
        """
        return WordVectors.load(self.path)


class EmbeddingStudy:
    """Train and judge many word embeddings.

    Args:
        folder: Where runs are kept; a study that lies there goes on.
        corpora: Name -> texts: a file with one text a line, a `WordCorpus`, or anything to iterate.
        models: Names of models.
        dims: Dimensions.
        seeds: How many seeds, or which.
        window: k.
        training: Further settings; its epochs and seed are set by the study.

    Raises:
        ConfigError: A choice is unknown or empty, or the folder holds a study of other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        corpora: Mapping[str, Corpus],
        *,
        models: Sequence[str] = MODELS,
        dims: Sequence[int] = (50,),
        seeds: int | Sequence[int] = 3,
        window: int = 5,
        training: WordTraining | None = None,
    ) -> None:
        for model in models:
            if model not in MODELS:
                raise ConfigError(f"model {model!r} is unknown; {did_you_mean(model, MODELS)}")
        self.seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
        for name, given in (
            ("corpora", corpora),
            ("models", models),
            ("dims", dims),
            ("seeds", self.seeds),
        ):
            if not given or isinstance(given, str):
                raise ConfigError(f"{name} must hold at least one; got {given!r}")
        odd = next((n for n in corpora if not n or n.startswith(".") or "/" in n), None)
        if odd is not None:
            raise ConfigError(f"names of corpora become folders; {odd!r} cannot")
        self.folder, self.corpora = Path(folder), dict(corpora)
        self.models, self.dims, self.window = list(models), list(dims), window
        self.training = WordTraining() if training is None else training
        self._table: StudyTable | None = None
        self._claim_folder()

    def _claim_folder(self) -> None:
        options = asdict(self.training)
        # these change how fast a run is, or are set by the study
        for name in ("epochs", "seed", "workers", "engine", "device"):
            del options[name]
        mine = {"format": 1, "window": self.window, "training": options}
        path = self.folder / STUDY
        if not path.exists():
            write_json(path, mine)
        elif read_json(path) != mine:
            raise ConfigError(
                f"{str(self.folder)!r} holds a study of other settings ({STUDY} there says which); "
                "give another folder, or those settings"
            )

    def train(self, epochs: int = 10, *, checkpoint_every: int = 1) -> list[StudyRun]:
        """Train what is not trained yet.

        Args:
            epochs: Passes of each run; more than before go on from there.
            checkpoint_every: After how many passes vectors are kept; after the last one always.

        Returns:
            All vectors that are kept, by corpus, model, dimensions, seed and pass.

        Raises:
            ConfigError: A number is below 1, or a corpus is not the one a run was begun with.
            DataError: A corpus cannot be read.
            StoreError: The folder is damaged or cannot be written.
        """
        if epochs < 1 or checkpoint_every < 1:
            raise ConfigError(
                f"epochs and checkpoint_every must be at least 1; got {epochs}, {checkpoint_every}"
            )
        for name, texts in self.corpora.items():
            corpus: WordCorpus | None = None
            for model, dim, seed in self._choices():
                place = self._place(name, model, dim, seed)
                if _passes(place) >= epochs:
                    continue
                if corpus is None:
                    corpus = read_corpus(texts)
                self._run(corpus, place, (name, model, dim, seed), (epochs, checkpoint_every))
        return self.runs()

    def _choices(self) -> Iterator[tuple[str, int, int]]:
        for model in self.models:
            for dim in self.dims:
                for seed in self.seeds:
                    yield model, dim, seed

    def _place(self, name: str, model: str, dim: int, seed: int) -> Path:
        return self.folder / name / f"{model}-{dim}-{seed}"

    def _run(
        self,
        corpus: WordCorpus,
        place: Path,
        choice: tuple[str, str, int, int],
        passes: tuple[int, int],
    ) -> None:
        name, model, dim, seed = choice
        epochs, every = passes
        options = replace(self.training, epochs=epochs, seed=seed)

        def keep(trainer: WordEmbeddingTrainer, row: Pass) -> None:
            if row.epoch % every == 0 or row.epoch == epochs:
                trainer.vectors().save(place / f"pass-{row.epoch}")
            about = {"corpus": name, "model": model, "dim": dim, "seed": seed}
            done = [asdict(each) for each in trainer.passes]
            settings = {"window": self.window, "training": asdict(options)}
            write_json(place / RUN, {"format": 1, **about, **settings, "passes": done})

        trainer = WordEmbeddingTrainer(model, dim, window=self.window, options=options)
        trainer.fit(corpus, callback=keep, checkpoint=place / STATE)

    def runs(self) -> list[StudyRun]:
        """List the vectors that are kept, of the choices of this study.

        Returns:
            By corpus, model, dimensions, seed and pass.

        Raises:
            StoreError: A run is damaged.
        """
        found = []
        for name in self.corpora:
            for model, dim, seed in self._choices():
                place = self._place(name, model, dim, seed)
                if not (place / RUN).exists():
                    continue
                for row in _read_passes(place):
                    path = place / f"pass-{row.epoch}"
                    if path.exists():
                        found.append(StudyRun(name, model, dim, seed, row.epoch, row.loss, path))
        return found

    def evaluate(
        self, tasks: Tasks | str = "all", *, passes: str = "last", seed: int = 0
    ) -> StudyTable:
        """Judge what is trained, on the words that all runs share.

        Args:
            tasks: "all" for `study_tasks()`, tasks, or name -> task or function of word vectors
                that returns a number, higher being better.
            passes: "last", or "all" to judge each pass that was kept, which shows when to stop.
            seed: Seed of the random vectors that gain ratios are measured from.

        Returns:
            Scores and gain ratios.

        Raises:
            ConfigError: There are no tasks, or `passes` is unknown.
            DataError: Nothing is trained, or the runs share no word.
        """
        named = _named_tasks(tasks)
        if passes not in {"last", "all"}:
            raise ConfigError(f"passes must be 'last' or 'all'; got {passes!r}")
        runs = self.runs()
        if passes == "last":
            runs = list({(r.corpus, r.model, r.dim, r.seed): r for r in runs}.values())
        if not runs:
            raise DataError("there is nothing to judge yet; call train first")
        words = self._shared_words(runs)
        scores: list[StudyScore] = []
        random: dict[tuple[str, int], float] = {}
        for run in runs:
            table = run.vectors().subset(words)
            for name, task in named.items():
                if (name, run.dim) not in random:
                    random[name, run.dim] = _judge(task, random_vectors(table, seed))
                about = (run.corpus, run.model, run.dim, run.seed, run.epoch, run.loss)
                scores.append(StudyScore(*about, name, _judge(task, table), random[name, run.dim]))
        self._table = StudyTable.from_scores(scores, len(words))
        return self._table

    @staticmethod
    def _shared_words(runs: list[StudyRun]) -> list[str]:
        # runs on one corpus have one vocabulary
        firsts = {run.corpus: run for run in reversed(runs)}
        return share_vocabulary([run.vectors() for run in firsts.values()])[0].words

    def guidelines(self) -> str:
        """Say which set-up to take, from what `evaluate` found last.

        Returns:
            Lines of Markdown.

        Raises:
            ConfigError: Nothing was evaluated.
        """
        if self._table is None:
            raise ConfigError("there are no scores to go by yet; call evaluate first")
        return self._table.guidelines()


def read_corpus(texts: Corpus) -> WordCorpus:
    """Tokenise a corpus.

    Args:
        texts: A file with one text a line, a `WordCorpus`, or texts.

    Returns:
        The corpus.

    Raises:
        DataError: The file cannot be read, or there is no word.
    """
    if isinstance(texts, WordCorpus):
        return texts
    if not isinstance(texts, str | Path):
        return WordCorpus(texts)
    try:
        with Path(texts).open(encoding="utf-8") as lines:
            return WordCorpus(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"corpus {str(texts)!r} should be a file of UTF-8 with one text a line but cannot be "
            f"read ({error}); check the path"
        ) from error


def _named_tasks(tasks: Tasks | str) -> dict[str, Any]:
    if isinstance(tasks, str):
        if tasks != "all":
            raise ConfigError(f"tasks must be 'all' or tasks; got {tasks!r}")
        from ._study_tasks import study_tasks

        tasks = study_tasks()
    named = dict(tasks) if isinstance(tasks, Mapping) else {task.name: task for task in tasks}
    if not named:
        raise ConfigError("tasks must hold at least one; got none")
    return named


def _judge(task: Any, vectors: WordVectors) -> float:
    return float(task.run(vectors) if hasattr(task, "run") else task(vectors))


def _passes(place: Path) -> int:
    return len(_read_passes(place)) if (place / RUN).exists() else 0


def _read_passes(place: Path) -> list[Pass]:
    try:
        about = read_json(place / RUN)
        return [Pass(**row) for row in about["passes"]]
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"{str(place / RUN)!r} should tell the passes of a run but is damaged ({error!r}); "
            f"delete {str(place)!r} to train it again"
        ) from error
