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
    "hiprbert": System(
        title="Hierarchical Pretraining for Biomedical Term Embeddings",
        year=2023,
        name="vecsmith.train:HierarchicalMultiSimilarityLoss",
        does="Multi-similarity loss with one threshold for each distance in a taxonomy, so that "
        "cosine follows distance instead of saying only synonym or not.",
        use="Search or features must know that a cousin term is nearer than a stranger, and a "
        "taxonomy with names is at hand.",
    ),
    "peg": System(
        title="Towards Robust Text Retrieval with Progressive Learning",
        year=2023,
        name="vecsmith.train:ProgressiveContrastiveLoss",
        does="Contrastive loss over a huge pool of negatives in which rows are weighed from easy "
        "to hard while training goes on.",
        use="Many, mixed and noisy pairs with mined negatives, and batches of thousands by "
        "gradient caching.",
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
