"""Techniques across languages, people, pictures, scenes and numbers, in the survey's order."""

from ._technique import rows_of

ENCODE, TRAIN, RESHAPE = "vecsmith.encode", "vecsmith.train", "vecsmith.reshape"
EVALUATE, STORE = "vecsmith.evaluate", "vecsmith.store"
SKL, ST = "scikit-learn", "sentence-transformers"

BEYOND = [
    *rows_of(
        "cross-lingual",
        (
            "procrustes",
            "orthogonal map, self-learning",
            f"{RESHAPE}.adapt:align_spaces",
            "reshape/adapt/test_alignment.py",
            "C. Xing and others 2015; M. Artetxe and others 2017",
        ),
        (
            "csls",
            "CSLS retrieval",
            f"{RESHAPE}.adapt:translate",
            "reshape/adapt/test_alignment.py",
            "A. Conneau and others 2018",
        ),
        (
            "linear-map",
            "ridge map of spaces",
            f"{RESHAPE}:SpaceMap",
            "reshape/adapt/test_space_map.py",
            "T. Mikolov and others 2013",
        ),
        (
            "multilingual",
            "joint encoders: LaBSE, XLM-R",
            f"{ENCODE}.text:load_sentence_transformer",
            "encode",
            "F. Feng and others 2022",
            ST,
        ),
    ),
    *rows_of(
        "personalised",
        (
            "user-table",
            "vectors of users",
            f"{ENCODE}:UserTable",
            "encode/tables/test_user_table.py",
            "",
        ),
        (
            "retrofit",
            "retrofitting to a graph",
            f"{RESHAPE}:retrofit",
            "reshape/adapt/test_retrofit.py",
            "M. Faruqui and others 2015",
        ),
        (
            "unified-embedding",
            "one table for all features",
            f"{ENCODE}:UnifiedEmbedding",
            "encode/tables",
            "B. Coleman and others 2023",
        ),
    ),
    *rows_of(
        "multimodal",
        (
            "paired",
            "two towers of images and texts",
            f"{TRAIN}:PairedPretrainer",
            "train",
            "Y. Zhang and others 2020",
        ),
        ("vision", "vision encoders", f"{ENCODE}:VisionEncoder", "encode", "", "transformers"),
        ("clip-image-retrieval", "image retrieval with CLIP", "", "", "card clip-image-retrieval"),
        ("vlm2vec", "vision-language models as embedders", "", "", "card vlm2vec"),
        ("audio-captions", "audio and captions", "", "", "cards conette, audio-captioning-beats"),
        (
            "grounding",
            "goals in scenes by similarity",
            f"{EVALUATE}.grounding:goal_accuracy",
            "evaluate/grounding",
            "J. Rocamonde and others 2023",
        ),
    ),
    *rows_of(
        "cognitive science",
        (
            "rsa",
            "representational similarity",
            f"{EVALUATE}:rsa",
            "evaluate/cognition",
            "N. Kriegeskorte and others 2008",
        ),
        (
            "encoding-model",
            "responses of brains from vectors",
            f"{EVALUATE}:encode_ridge",
            "evaluate/cognition",
            "T. Mitchell and others 2008",
        ),
    ),
    *rows_of(
        "compression",
        (
            "table-compression",
            "14 compressed tables",
            f"{ENCODE}:CompressedEmbedding",
            "encode/tables",
            "H. Zhang and others 2024",
        ),
        (
            "codecs",
            "int8, product codes, low rank, pruning of a finished table",
            f"{RESHAPE}:compress_table",
            "reshape/compress",
            "",
        ),
        (
            "distill-vq",
            "learned product quantisation",
            f"{STORE}:DistillVQ",
            "store",
            "S. Xiao and others 2022",
        ),
        (
            "optembed",
            "rows and widths searched",
            f"{TRAIN}:OptEmbedSearch",
            "train/tables",
            "F. Lyu and others 2022",
        ),
        (
            "matryoshka",
            "leading dimensions and layers",
            f"{TRAIN}:TwoDMatryoshkaLoss",
            "train",
            "X. Li and others 2024",
        ),
    ),
    *rows_of(
        "interpretability",
        (
            "probe",
            "probes with control tasks",
            f"{EVALUATE}:probe",
            "evaluate/probing",
            "J. Hewitt, P. Liang 2019",
        ),
        ("neighbours", "nearest neighbours", f"{ENCODE}:WordVectors", "encode/words", ""),
        (
            "sparse-codes",
            "sparse codes by dictionary learning",
            f"{EVALUATE}:sparse_codes",
            "evaluate/probing",
            "S. Arora and others 2018",
            SKL,
        ),
        (
            "geometry",
            "anisotropy, isotropy, intrinsic dimension",
            f"{EVALUATE}:geometry",
            "evaluate/probing",
            "K. Ethayarajh 2019; E. Facco and others 2017",
        ),
        (
            "axis",
            "projection on an axis",
            f"{RESHAPE}:BiasSubspace",
            "reshape/debias",
            "T. Bolukbasi and others 2016",
        ),
    ),
    *rows_of(
        "numeracy",
        *[
            (
                f"number-{scheme}",
                f"numbers: {what}",
                f"{ENCODE}:NumericEncoder",
                "encode/numbers",
                cite,
                {"scheme": scheme},
            )
            for scheme, what, cite in (
                ("digits", "mean of characters", ""),
                ("log", "scientific notation", ""),
                ("dice", "angles", "D. Sundararaman and others 2020"),
                ("fourier", "phases of digits", "T. Zhou and others 2025"),
                ("value", "a direction times the value", "S. Golkar and others 2023"),
            )
        ],
        (
            "numeracy",
            "probe of sizes",
            f"{EVALUATE}:numeracy",
            "evaluate/probing",
            "E. Wallace and others 2019",
        ),
        (
            "snip",
            "formulas and numbers",
            "vecsmith.encode.formulas:Snip",
            "encode/formulas/test_snip.py",
            "K. Meidani and others 2024",
        ),
    ),
    *rows_of(
        "bias",
        (
            "association",
            "WEAT and SEAT",
            f"{EVALUATE}:association_test",
            "evaluate/bias",
            "A. Caliskan and others 2017; C. May and others 2019",
        ),
        (
            "direct-bias",
            "direct and indirect bias",
            f"{EVALUATE}:bias_report",
            "evaluate/bias",
            "T. Bolukbasi and others 2016",
        ),
        (
            "hard-debias",
            "hard debiasing",
            f"{RESHAPE}:HardDebias",
            "reshape/debias",
            "T. Bolukbasi and others 2016",
        ),
        (
            "soft-debias",
            "soft debiasing",
            f"{RESHAPE}:SoftDebias",
            "reshape/debias",
            "T. Bolukbasi and others 2016",
        ),
        (
            "inlp",
            "null-space projection",
            f"{RESHAPE}:NullspaceProjection",
            "reshape/debias",
            "S. Ravfogel and others 2020",
        ),
    ),
    *rows_of(
        "further topics",
        (
            "model-merging",
            "merging after adaptation",
            f"{RESHAPE}:SelfPositioning",
            "reshape",
            "card self-positioning",
        ),
        ("dataset-decomposition", "training by lengths", "", "", "card dataset-decomposition"),
        (
            "class-incremental",
            "continual learning",
            "vecsmith.reshape:IncrementalClassifier",
            "reshape/incremental/test_classifier.py",
            "D.-W. Zhou and others 2024",
        ),
        (
            "twin-merging",
            "merging of experts",
            "vecsmith.reshape:TwinModel",
            "reshape/test_twin.py",
            "Z. Lu and others 2024",
        ),
    ),
]
