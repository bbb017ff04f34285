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
    "bit-cipher": System(
        title="Bit Cipher -- A Simple yet Powerful Word Representation System that Integrates "
        "Efficiently with Language Models",
        year=2023,
        name="vecsmith.train:CipherVectors",
        does="Word vectors by counting alone, in seconds: each word gets a short code by the rank "
        "of its frequency, and its contexts are added up in these codes.",
        use="Vectors are wanted at once or must follow a growing text, or a language model starts "
        "from scratch.",
    ),
    "class-incremental": System(
        title="Revisiting Class-Incremental Learning with Pre-Trained Models: Generalizability and "
        "Adaptivity are All You Need",
        year=2023,
        name="vecsmith.reshape:IncrementalClassifier",
        does="A classifier over a frozen encoder that is taught new classes at any time, without "
        "old data and without forgetting.",
        use="Labels keep arriving, and neither retraining nor keeping old examples is wanted.",
    ),
    "convirt": System(
        title="Contrastive Learning of Medical Visual Representations from Paired Images and Text",
        year=2020,
        name="vecsmith.train:PairedPretrainer",
        does="Pretrains an image encoder on pictures with their words, so that later classifiers "
        "need about a tenth of the labels.",
        use="Pictures come with text (reports, captions, tags), but hardly any have labels.",
    ),
    "debiasing": System(
        title="Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word Embeddings",
        year=2016,
        name="vecsmith.reshape:HardDebias",
        does="Measures a social direction in word vectors, token tables or sentence encoders and "
        "takes it out of what should be neutral, with the price in quality beside it.",
        use="Vectors feed a decision about people, or search must not rank by gender or origin.",
    ),
    "distill-vq": System(
        title="Distill-VQ: Learning Retrieval Oriented Vector Quantization By Distilling Knowledge "
        "from Dense Embeddings",
        year=2022,
        name="vecsmith.store:DistillVQ",
        does="Trains centroids and codebooks of a faiss index so that the compressed index ranks "
        "as the uncompressed vectors do, without labels.",
        use="Memory leaves a document 4 to 64 bytes, and there are queries or texts like them.",
    ),
    "dupmae": System(
        title="RetroMAE v2: Duplex Masked Auto-Encoder For Pre-Training Retrieval-Oriented "
        "Language Models",
        year=2022,
        name="vecsmith.train:DupMAE",
        does="Masked pre-training in which the sentence vector rebuilds the text and the tokens "
        "its bag of words; a dense and a lexical half are then served together.",
        use="A domain with much text and few labels, before a retriever is fine-tuned.",
    ),
    "embedding-compression": System(
        title="Experimental Analysis of Large-scale Learnable Vector Storage Compression",
        year=2024,
        name="vecsmith.encode:CompressedEmbedding",
        does="Makes tables of vectors smaller in 14 ways, trained or finished, under one budget of "
        "bytes, compares them on your data, and recommends one.",
        use="A table of vectors is most of a model or corpus: recommenders, click models, token "
        "tables of small encoders.",
    ),
    "esimcse": System(
        title="ESimCSE: Enhanced Sample Building Method for Contrastive Learning of Unsupervised "
        "Sentence Embedding",
        year=2022,
        name="vecsmith.train:SubwordRepetition",
        does="Training from raw sentences whose positives have some sub-words repeated, with "
        "negatives from a momentum queue.",
        use="There is text but no pairs, and texts of many lengths are to be compared.",
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
    "hiprbert": System(
        title="Hierarchical Pretraining for Biomedical Term Embeddings",
        year=2023,
        name="vecsmith.train:HierarchicalMultiSimilarityLoss",
        does="Multi-similarity loss with one threshold for each distance in a taxonomy, so that "
        "cosine follows distance instead of saying only synonym or not.",
        use="Search or features must know that a cousin term is nearer than a stranger, and a "
        "taxonomy with names is at hand.",
    ),
    "kg-qa": System(
        title="Towards Efficient Methods in Medical Question Answering using Knowledge Graph "
        "Embeddings",
        year=2024,
        name="vecsmith.encode.knowledge:EntityFuser",
        does="Finds the entities of a question and gives each a token with its graph vector, "
        "moved into the reader's input space; fine-tunes on spans, labels and choices.",
        use="A good graph exists, domain pre-training is too dear, and the answer rests on links.",
    ),
    "moe-contrastive": System(
        title="Contrastive Learning and Mixture of Experts Enables Precise Vector Embeddings",
        year=2024,
        name="vecsmith.encode:MoEExtension",
        does="Copies an encoder's MLPs into one expert a domain and routes each text to its own.",
        use="A collection mixes narrow domains that disagree about what is near, and the domain of "
        "a text is known.",
    ),
    "nv-embed": System(
        title="NV-Embed: Improved Techniques for Training LLMs as Generalist Embedding Models",
        year=2024,
        name="vecsmith.train:LLMEmbedder",
        does="Turns a decoder-only language model into a text embedder: no causal mask, latent "
        "attention pooling, adapters, instructions, two stages of contrastive training.",
        use="A small encoder is not good enough, and there is a GPU.",
    ),
    "optembed": System(
        title="OptEmbed: Learning Optimal Embedding Table for Click-through Rate Prediction",
        year=2022,
        name="vecsmith.train:OptEmbedSearch",
        does="Finds which values of a click model deserve a vector, and how many dimensions each "
        "field needs; returns dense tables.",
        use="Large, redundant vocabularies, and hardware that likes dense tables.",
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
    "restore": System(
        title="RESTORE: Graph Embedding Assessment Through Reconstruction",
        year=2023,
        name="vecsmith.evaluate.graphs:restore",
        does="Rebuilds a graph from node vectors at 1, 2 and 3 hops and holds them against "
        "people's judgement of words, each with its random floor; brings seven embedders along.",
        use="Before vectors of a graph go into a search or a model, or to choose an embedder.",
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
    "snip": System(
        title="SNIP: Bridging Mathematical Symbolic and Numeric Realms with Unified Pre-training",
        year=2024,
        name="vecsmith.encode:Snip",
        does="One encoder for formulas and one for data points, trained into one space; finds "
        "formulas for data by search in it.",
        use="Equations and tables must meet: properties of a curve from its formula, formulas "
        "from data, symbolic regression with few inputs.",
    ),
    "starbucks": System(
        title="Starbucks: Improved Training for 2D Matryoshka Embeddings",
        year=2024,
        name="vecsmith.train:StarbucksLoss",
        does="Trains a short fixed menu of sizes (layers, dimensions) together, every size in "
        "every step, with the whole model as teacher.",
        use="One encoder is to be served at a few sizes that are known beforehand, each as good as "
        "a model trained for it alone.",
    ),
    "text2node": System(
        title="Text2Node: a Cross-Domain System for Mapping Arbitrary Phrases to a Taxonomy",
        year=2019,
        name="vecsmith.train.taxonomy:Text2Node",
        does="Maps any phrase to the nearest concepts of a taxonomy, also to concepts for which no "
        "phrase was ever seen.",
        use="Records follow different code systems, or free text is to be coded, and many concepts "
        "have few phrases or none.",
    ),
    "twin-merging": System(
        title="Twin-Merging: Dynamic Integration of Modular Expertise in Model Merging",
        year=2024,
        name="vecsmith.reshape:TwinModel",
        does="Keeps experts as one shared model plus a few directions each, and mixes them input "
        "by input with a small router.",
        use="A static merge loses too much of the experts, and serving each costs too much.",
    ),
    "two-d-matryoshka": System(
        title="2D Matryoshka Sentence Embeddings",
        year=2024,
        name="vecsmith.train:TwoDMatryoshkaLoss",
        does="Trains one encoder so that it can be cut at any layer and at any leading dimension.",
        use="The same model must serve small and large machines, at sizes not yet known.",
    ),
    "unified-embedding": System(
        title="Unified Embedding: Battle-Tested Feature Representations for Web-Scale ML Systems",
        year=2023,
        name="vecsmith.encode:UnifiedEmbedding",
        does="Holds the vectors of all categorical features in one hashed table, so that "
        "collisions fall between features, where the network can undo them.",
        use="A click or recommender model has many id-like features, a fixed memory budget, and "
        "values that come and go.",
    ),
    "whitened-cse": System(
        title="WhitenedCSE: Whitening-based Contrastive Learning of Sentence Embeddings",
        year=2023,
        name="vecsmith.train:ShuffledGroupWhitening",
        does="Training from raw sentences whose views are whitened in shuffled groups, which "
        "spreads the space and makes positives differ.",
        use="There is text but no pairs, and the encoder is not yet a sentence encoder.",
    ),
    "word-embeddings-study": System(
        title="Word and Document Embeddings based on Neural Network Approaches",
        year=2016,
        name="vecsmith.train:WordEmbeddingTrainer",
        does="Trains seven word embedding models under one roof, judges them by eight tasks with "
        "one comparable score, and classifies documents by RCNN.",
        use="You need word vectors of your own text, and must choose model, corpus, dimensions and "
        "when to stop.",
    ),
    "word-to-multimodal": System(
        title="From Word Vectors to Multimodal Embeddings: Techniques, Applications, and Future "
        "Directions For Large Language Models",
        year=2024,
        name="vecsmith.techniques:TECHNIQUES",
        does="A survey as a contract: each technique that it names has a row that runs, and a tour "
        "walks through them on real data.",
        use="You know what the field calls it, and look for the part; or you learn the field.",
    ),
}
