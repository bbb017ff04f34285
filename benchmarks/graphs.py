"""DeepWalk and node2vec against the packages node2vec and karateclub, paired in one run.

WordNet's graph of 1,962 words, given to all as the same edges; 5 walks of 40 nodes from each node,
window 5, 128 dimensions, one pass, two threads; node2vec with p = 1 and q = 0.5; other settings are
each package's own (karateclub trains by hierarchical softmax, both packages by plain SGD). Each run
is a process of its own. Seconds are those of walks (with the tables of probabilities that a package
makes first) and of training, where they can be told apart; memory is what a process held at most
beyond its start. Quality is mAP at 1 hop and the lift at 2 (ring), by cosine. Ours has compiled its
loops before; walks of the packages run in Python.

The peers live in a Python of their own, which VECSMITH_GRAPH_PEERS names:

    python -m venv E; E/bin/pip install node2vec scikit-learn pygsp python-louvain six decorator
    pandas python-Levenshtein; E/bin/pip install --no-deps karateclub  (it asks for old versions)

    python benchmarks/graphs.py [--graph words|hpo] [--walks 5] [--repeats 3] [--threads 2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OURS = ("vecsmith deepwalk", "vecsmith node2vec")
PEERS = ("karateclub deepwalk", "karateclub node2vec", "node2vec node2vec")
Q = 0.5


def held() -> float:
    """Return the most that this process held so far, in MB."""
    # ru_maxrss would be that of the process that started this one
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def run_ours(edges: Any, arm: str, options: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Walk and train; walks are made while training, and once alone for their speed."""
    from vecsmith.data.graphs import GraphData
    from vecsmith.train.graphs import DeepWalk, Node2Vec, WalkTraining

    settings: dict[str, Any] = {
        "walks_per_node": options["walks"],
        "walk_length": options["length"],
        "window": options["window"],
        "options": WalkTraining(workers=options["threads"]),
        "random_state": options["seed"],
    }
    kind = DeepWalk(options["dim"], **settings)
    if "node2vec" in arm:
        kind = Node2Vec(options["dim"], q=Q, **settings)
    small = GraphData.from_edges([(0, 1), (1, 2), (2, 0)])
    type(kind)(4, walks_per_node=1, walk_length=5, window=2).fit(small)
    start = held()
    graph = GraphData.from_edges(edges, nodes=range(int(edges.max()) + 1))
    started = time.perf_counter()
    steps = sum(int((block >= 0).sum()) for block in kind.walks(graph).blocks())
    walked = time.perf_counter() - started
    started = time.perf_counter()
    kind.fit(graph)
    whole = time.perf_counter() - started
    return kind.vectors, {
        "seconds": whole,
        "walk_seconds": walked,
        "steps_per_second": steps / walked,
        "memory_mb": held() - start,
    }


def run_peer(edges: Any, arm: str, options: dict[str, Any]) -> tuple[Any, dict[str, float]]:
    """Walk and train with a package."""
    import networkx as nx
    import numpy as np

    package, method = arm.split()
    start = held()
    graph = nx.Graph()
    graph.add_nodes_from(range(int(edges.max()) + 1))
    graph.add_edges_from(edges.tolist())
    steps = len(graph) * options["walks"] * options["length"]
    started = time.perf_counter()
    if package == "node2vec":
        from node2vec import Node2Vec

        host = Node2Vec(
            graph,
            dimensions=options["dim"],
            walk_length=options["length"],
            num_walks=options["walks"],
            p=1,
            q=Q,
            workers=options["threads"],
            seed=options["seed"],
            quiet=True,
        )
        walked = time.perf_counter() - started
        model = host.fit(window=options["window"], min_count=1, epochs=1, negative=5)
        vectors = np.stack([model.wv[str(node)] for node in range(len(graph))])
    else:
        import karateclub

        kind = karateclub.DeepWalk if method == "deepwalk" else karateclub.Node2Vec
        extra = {} if method == "deepwalk" else {"p": 1.0, "q": Q}
        made = kind(
            walk_number=options["walks"],
            walk_length=options["length"],
            dimensions=options["dim"],
            workers=options["threads"],
            window_size=options["window"],
            epochs=1,
            seed=options["seed"],
            **extra,
        )
        made.fit(graph)
        walked = float("nan")
        vectors = made.get_embedding()
    whole = time.perf_counter() - started
    return vectors, {
        "seconds": whole,
        "walk_seconds": walked,
        "steps_per_second": steps / walked,
        "memory_mb": held() - start,
    }


def child(folder: str, arm: str, options: dict[str, Any]) -> None:
    """Run one arm, and leave its vectors and figures in the folder."""
    import numpy as np

    place = Path(folder)
    run = run_ours if arm in OURS else run_peer
    vectors, figures = run(np.load(place / "edges.npy"), arm, options)
    np.save(place / "vectors.npy", np.asarray(vectors, np.float32))
    (place / "figures.json").write_text(json.dumps(figures), encoding="utf-8")


def judge(graph: Any, folder: Path) -> dict[str, float]:
    """Rebuild the graph from the vectors of a run."""
    import numpy as np

    from vecsmith.evaluate.graphs import reconstruction

    vectors = np.load(folder / "vectors.npy")
    one, two = reconstruction(graph, {"arm": vectors}, hops=(1, 2), sample=2000)["arm"]
    return {"map_1": one.mean_ap, "lift_2": two.lift}


def measure(graph: Any, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Run all arms in turn, several times."""
    import numpy as np

    peer = os.environ.get("VECSMITH_GRAPH_PEERS", "")
    arms = OURS + (PEERS if peer else ())
    rows: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first, second, _ = graph.edges()
        np.save(folder / "edges.npy", np.stack([first, second], 1))
        for seed in range(options.repeats):
            settings = {**vars(options), "json": None, "seed": seed}
            for arm in arms:
                python = sys.executable if arm in OURS else peer
                given = [python, __file__, "--child", str(folder), arm, json.dumps(settings)]
                subprocess.run(given, check=True, stdout=subprocess.DEVNULL)
                figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
                rows[arm].append({**figures, **judge(graph, folder)})
                print(seed, arm, rows[arm][-1], flush=True)
    return rows


def main() -> None:
    """Measure and store."""
    if "--child" in sys.argv:
        folder, arm, settings = sys.argv[sys.argv.index("--child") + 1 :][:3]
        child(folder, arm, json.loads(settings))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", choices=("words", "hpo"), default="words")
    parser.add_argument("--walks", type=int, default=5)
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("docs/benchmarks/graphs.json"))
    options = parser.parse_args()
    from vecsmith.core import hardware, write_json
    from vecsmith.data.samples import load_hpo_graph, load_word_graph

    graph = load_word_graph() if options.graph == "words" else load_hpo_graph().undirected()
    rows = measure(graph, options)
    medians = {
        # a package may not tell its walks from its training
        arm: {
            key: value
            for key in found[0]
            if (value := statistics.median(row[key] for row in found)) == value
        }
        for arm, found in rows.items()
    }
    ratios = {
        f"{mine} against {arm}": [
            b["seconds"] / a["seconds"] for a, b in zip(rows[mine], found, strict=True)
        ]
        for mine in OURS
        for arm, found in rows.items()
        if arm not in OURS and arm.split()[1] == mine.split()[1]
    }
    about = {key: value for key, value in vars(options).items() if key != "json"}
    about |= {"nodes": len(graph), "edges": graph.n_edges}
    write_json(
        options.json, {**about, "median": medians, "times_faster": ratios, "hardware": hardware()}
    )
    for arm, row in medians.items():
        print(arm, row)
    print({key: statistics.median(found) for key, found in ratios.items()})


if __name__ == "__main__":
    main()
