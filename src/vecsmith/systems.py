"""The visible table of systems: slug -> title, year, public name, when to use it.

A new system is one row here, one method file, one claim file, one test, one docs page.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """One published system.

    Attributes:
        title: Title of the paper.
        year: Year of the paper.
        name: Public name, "module:object".
        does: What it does, in one sentence.
        use: When to reach for it.
    """

    title: str
    year: int
    name: str
    does: str
    use: str

    @property
    def import_line(self) -> str:
        """The line that imports it."""
        module, _, attribute = self.name.partition(":")
        return f"from {module} import {attribute}"


SYSTEMS: dict[str, System] = {
    "aspect-embeddings": System(
        title="Specialized Document Embeddings for Aspect-based Similarity of Research Papers",
        year=2022,
        name="vecsmith.train:AspectEncoder",
        does="Gives a document one vector an aspect, so that one can ask: similar in what?",
        use="A single similarity mixes reasons that matter differently, and documents carry labels "
        "by aspect.",
    ),
    "convirt": System(
        title="Contrastive Learning of Medical Visual Representations from Paired Images and Text",
        year=2020,
        name="vecsmith.train:PairedPretrainer",
        does="Pretrains an image encoder on pictures with their words, so that later classifiers "
        "need about a tenth of the labels.",
        use="Pictures come with text (reports, captions, tags), but hardly any have labels.",
    ),
    "gistembed": System(
        title="GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding "
        "Fine-tuning",
        year=2024,
        name="vecsmith.train:GuidedContrastiveLoss",
        does="Contrastive loss in which a frozen, stronger guide strikes out in-batch negatives "
        "that are in fact relevant.",
        use="Pairs are mined or duplicated, so false negatives hurt, and a model that is better "
        "on this very data is at hand.",
    ),
    "relevance-filtering": System(
        title="Relevance Filtering for Embedding-based Retrieval",
        year=2024,
        name="vecsmith.store:CosineAdapter",
        does="Turns raw cosines into comparable probabilities with a tiny query-dependent "
        "increasing function, so that one threshold cuts every list.",
        use="Search or retrieval-augmented generation where always returning k results hurts.",
    ),
    "self-positioning": System(
        title="Improving General Text Embedding Model: Tackling Task Conflict and Data Imbalance "
        "through Model Merging",
        year=2024,
        name="vecsmith.reshape:SelfPositioning",
        does="Finds by gradient descent on a small probe set where between several fine-tuned "
        "models the merged one should lie.",
        use="Several experts of one base are to become one model, and the balance between tasks "
        "matters.",
    ),
}
