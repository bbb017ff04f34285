"""Start-up times: `vecsmith --help`, `import vecsmith`, and whether either loads torch."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from vecsmith.core import hardware, write_json

REPEATS = 7


def median_seconds(*command: str) -> float:
    """Median wall time of a command."""
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main() -> None:
    """Measure and store."""
    probe = "import vecsmith, sys; sys.exit('torch' in sys.modules)"
    result = {
        "help_s": median_seconds(sys.executable, "-m", "vecsmith.cli", "--help"),
        "import_s": median_seconds(sys.executable, "-c", "import vecsmith"),
        "import_loads_torch": subprocess.run([sys.executable, "-c", probe], check=False).returncode,
        "repeats": REPEATS,
        "hardware": hardware(),
    }
    write_json(Path("docs/benchmarks/startup.json"), result)
    print(result)


if __name__ == "__main__":
    main()
