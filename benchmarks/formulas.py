"""Symbolic regression: search in SNIP's latent space against gplearn, same problems and seconds.

Problems: the one-input Nguyen laws and eight laws of physics and statistics, 60 points to fit on,
200 others of the same range to judge on; once exact, once with noise of 5% of a deviation. Both
sides get the same seconds a problem, one thread and the same operators, and stop early at an R2 of
0.9999 on their training points. SNIP is trained before, once, on generated formulas alone; the
seconds of that are told and not counted. gplearn (genetic programming) starts each problem anew,
in generations of 500 until the time is over; its best program by training R2 counts. A third arm
is the control of our own: random perturbation of the data's vector in place of the search.

gplearn runs in a Python of its own: VECSMITH_GPLEARN names it (python -m venv E; E/bin/pip install
gplearn). PySR was tried: it installs from PyPI, and then downloads Julia, which an offline machine
cannot; VECSMITH_PYSR names a Python where it works, and adds an arm.

    VECSMITH_GPLEARN=E/bin/python python benchmarks/formulas.py [--seconds 10] [--repeats 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vecsmith.core import hardware, numpy_generator, write_json
from vecsmith.data.formulas import Expression, ExpressionGenerator, ExpressionOptions, PointOptions
from vecsmith.decode.equations import (
    DecoderTraining,
    EquationDecoder,
    LatentRegressor,
    SearchOptions,
    train_decoder,
)
from vecsmith.encode.formulas import Snip
from vecsmith.train.formulas import SnipTrainer, SnipTraining

STOP = 0.9999
FIT, JUDGE = 60, 200
NOISE = (0.0, 0.05)
# law, range of x
PROBLEMS: dict[str, tuple[str, float, float]] = {
    "nguyen 1": ("x**3 + x**2 + x", -1, 1),
    "nguyen 2": ("x**4 + x**3 + x**2 + x", -1, 1),
    "nguyen 3": ("x**5 + x**4 + x**3 + x**2 + x", -1, 1),
    "nguyen 4": ("x**6 + x**5 + x**4 + x**3 + x**2 + x", -1, 1),
    "nguyen 5": ("sin(x**2)*cos(x) - 1", -1, 1),
    "nguyen 6": ("sin(x) + sin(x + x**2)", -1, 1),
    "nguyen 7": ("log(x + 1) + log(x**2 + 1)", 0, 2),
    "nguyen 8": ("sqrt(x)", 0, 4),
    "gaussian": ("exp(-(x**2)/2)/sqrt(2*pi)", -3, 3),
    "logistic": ("1/(1 + exp(-x))", -5, 5),
    "pendulum": ("2*pi*sqrt(x/9.81)", 0.1, 5),
    "damped": ("exp(-x/3)*cos(2*x)", 0, 6),
    "lorentz": ("1/sqrt(1 - x**2)", 0, 0.9),
    "planck": ("x**3/(exp(x) - 1)", 0.2, 8),
    "langmuir": ("2*x/(1 + 0.5*x)", 0, 20),
    "arrhenius": ("5*exp(-3/x)", 0.5, 10),
}

GPLEARN = """
import json, sys, time, warnings
import numpy as np
from gplearn.functions import make_function
from gplearn.genetic import SymbolicRegressor
warnings.simplefilter("ignore")
def protected_exp(x):
    with np.errstate(all="ignore"):
        return np.where(x < 50, np.exp(np.minimum(x, 50)), 0.0)
exp = make_function(function=protected_exp, name="exp", arity=1)
job = json.load(sys.stdin)
X, y = (np.array(job[n]) for n in ("X", "y"))
def r2(p):
    return float(1 - ((p - y) ** 2).mean() / y.var())
started = time.perf_counter()
best, found, generations = -np.inf, None, 0
model = SymbolicRegressor(
    population_size=500, generations=1, warm_start=True, random_state=job["seed"], metric="mse",
    function_set=(*"add sub mul div sqrt log abs inv sin cos tan".split(), exp),
    parsimony_coefficient=1e-4, stopping_criteria=0.0, n_jobs=1,
)
while time.perf_counter() - started < job["seconds"] and best < job["stop"]:
    generations += 1
    model.set_params(generations=generations)
    model.fit(X, y)
    score = r2(model.predict(X))
    if score > best:
        best, found = score, (str(model._program), model._program.length_)
        kept = model.predict(np.array(job["judge"])).tolist()
took = time.perf_counter() - started
print(json.dumps({"seconds": took, "r2_fit": best, "formula": found[0], "length": found[1],
                  "predicted": kept, "generations": generations}))
"""

PYSR = """
import json, sys, time
import numpy as np
from pysr import PySRRegressor
job = json.load(sys.stdin)
X, y = (np.array(job[n]) for n in ("X", "y"))
options = dict(
    binary_operators=["+", "-", "*", "/"],
    unary_operators=["sqrt", "log", "abs", "sin", "cos", "tan", "exp"],
    parallelism="serial", deterministic=True, random_state=job["seed"], progress=False,
    verbosity=0, temp_equation_file=True,
)
PySRRegressor(niterations=1, **options).fit(X, y)  # compiled before the clock starts
started = time.perf_counter()
stop = f"stop_if(loss, complexity) = loss < {(1 - job['stop']) * float(y.var())}"
model = PySRRegressor(
    niterations=10**6, timeout_in_seconds=job["seconds"], early_stop_condition=stop,
    model_selection="accuracy", **options,
).fit(X, y)
took = time.perf_counter() - started
best = model.get_best()
score = float(1 - ((model.predict(X) - y) ** 2).mean() / y.var())
print(json.dumps({"seconds": took, "r2_fit": score, "formula": str(best["equation"]),
                  "length": int(best["complexity"]),
                  "predicted": model.predict(np.array(job["judge"])).tolist()}))
"""
PEERS = {"gplearn": ("VECSMITH_GPLEARN", GPLEARN), "pysr": ("VECSMITH_PYSR", PYSR)}


def data(name: str, noise: float, seed: int) -> tuple[Any, Any, Any, Any]:
    """Points of a problem: to fit on, and to judge on without noise."""
    text, low, high = PROBLEMS[name]
    law, rng = Expression.parse(text), numpy_generator(seed, "benchmark formulas", name)
    X = rng.uniform(low, high, (FIT, 1))
    judge = rng.uniform(low, high, (JUDGE, 1))
    y = law.evaluate(X)
    y = y + noise * y.std() * rng.normal(size=FIT)
    return X, y, judge, law.evaluate(judge)


def explained(predicted: Any, y: Any) -> float:
    """R2 where the formula is defined everywhere, else 0; not below 0, so that means are of use."""
    values = np.asarray(predicted, np.float64)
    if not np.isfinite(values).all():
        return 0.0
    return max(0.0, float(1.0 - np.mean((values - y) ** 2) / y.var()))


def models(steps: int, seed: int) -> tuple[Snip, EquationDecoder, dict[str, float]]:
    """Train encoders and decoder on generated formulas."""
    options = ExpressionOptions(
        max_binary=3,
        max_unary=2,
        prefactors=0.3,
        constants=(-3, -2, -1, -0.5, 0.5, 1, 2, 3),
        max_value=1e3,
        max_symbols=20,
    )
    points = PointOptions(number=64, clusters=2, kinds=("uniform",))
    number = min(60_000, 128 * steps)
    samples = ExpressionGenerator(1, options=options, points=points, seed=seed).batch(number, "b")
    snip = Snip.from_config(
        "tiny", digits=2, number_dims=64, scale_y="minmax", max_tokens=48, seed=seed
    )
    started = time.perf_counter()
    how = SnipTraining(lr=2e-3, seed=seed)
    SnipTrainer(snip, samples, batch=128, steps=steps, options=how).train()
    encoders = time.perf_counter() - started
    decoder = EquationDecoder.for_snip(snip, seed=seed)
    train_decoder(snip, decoder, samples, options=DecoderTraining(steps=steps, lr=2e-3, seed=seed))
    whole = time.perf_counter() - started
    return snip, decoder, {"encoders": encoders, "decoder": whole - encoders}


def run_ours(
    parts: tuple[Snip, EquationDecoder],
    optimizer: str,
    job: tuple[Any, ...],
    options: dict[str, Any],
) -> dict[str, Any]:
    """Search for so many seconds."""
    X, y, judge, wanted = job
    search = SearchOptions(
        beams=2, temperature=0.7, stop_r2=STOP, seconds=options["seconds"], refit_iterations=50
    )
    started = time.perf_counter()
    found = LatentRegressor(
        *parts, optimizer=optimizer, pop=50, iters=10_000, options=search, seed=options["seed"]
    ).fit(X, y)
    took = time.perf_counter() - started
    with np.errstate(all="ignore"):
        predicted = found.formula_.evaluate(judge)
    return {
        "seconds": took,
        "r2_fit": found.r2_,
        "r2": explained(predicted, wanted),
        "formula": str(found.formula_),
        "length": len(found.formula_),
        "skeletons": found.trace_[-1]["skeletons"],
    }


def run_peer(name: str, job: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Run another library in its own Python."""
    variable, script = PEERS[name]
    X, y, judge, wanted = job
    given = {"X": X.tolist(), "y": y.tolist(), "judge": judge.tolist(), "stop": STOP, **options}
    made = subprocess.run(
        [os.environ[variable], "-c", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"{name} failed:\n{made.stderr}")
    row = json.loads(made.stdout.splitlines()[-1])
    row["r2"] = explained(row.pop("predicted"), wanted)
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians and shares of an arm."""
    r2 = [row["r2"] for row in rows]
    return {
        "median_r2": statistics.median(r2),
        "mean_r2": statistics.fmean(r2),
        "share_above_099": statistics.fmean(value > 0.99 for value in r2),
        "share_above_09999": statistics.fmean(value > STOP for value in r2),
        "median_length": statistics.median(row["length"] for row in rows),
        "median_seconds": statistics.median(row["seconds"] for row in rows),
        "most_seconds": max(row["seconds"] for row in rows),
    }


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--problems", type=int, default=len(PROBLEMS))
    parser.add_argument("--json", type=Path, default=Path("docs/benchmarks/formulas.json"))
    options = parser.parse_args()
    peers = [name for name, (variable, _) in PEERS.items() if os.environ.get(variable)]
    if not peers:
        raise SystemExit("name a Python with gplearn in VECSMITH_GPLEARN")
    snip, decoder, trained = models(options.steps, 0)
    print("trained in", trained, flush=True)
    torch.set_num_threads(1)
    arms = ("vecsmith", "vecsmith random", *peers)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {str(n): {} for n in NOISE}
    for noise in NOISE:
        for name in list(PROBLEMS)[: options.problems]:
            for seed in range(options.repeats):
                job, given = data(name, noise, seed), {"seconds": options.seconds, "seed": seed}
                for arm in arms:
                    if arm in PEERS:
                        row = run_peer(arm, job, given)
                    else:
                        optimizer = "random" if "random" in arm else "gwo"
                        row = run_ours((snip, decoder), optimizer, job, given)
                    row |= {"problem": name, "seed": seed}
                    found[str(noise)].setdefault(arm, []).append(row)
                    print(noise, name, seed, arm, {k: row[k] for k in ("r2", "seconds", "formula")})
    result = {
        noise: {arm: summary(rows) for arm, rows in by.items()} for noise, by in found.items()
    }
    about = {"seconds": options.seconds, "repeats": options.repeats, "steps": options.steps}
    settings = {**about, "training_seconds": trained, "points": FIT, "hardware": hardware()}
    write_json(options.json, {**settings, "by_noise": result, "runs": found})
    for noise, by in result.items():
        for arm, row in by.items():
            print(noise, arm, {key: round(value, 4) for key, value in row.items()})


if __name__ == "__main__":
    main()
