"""From one-hot words to pictures: 14 steps on real data, a picture for each, in `tour/tour.md`.

python examples/tour.py            all steps, some minutes
python examples/tour.py --quick    four steps, seconds
"""

import sys

from vecsmith.techniques.tour import run

results = run(quick="--quick" in sys.argv, out="tour")
for name, result in results.items():
    print(f"{result.title}  [{name}, {result.seconds:.1f} s]")
    for figure, value in result.figures.items():
        print(f"  {value:8.3f}  {figure}")
missed = [text for result in results.values() for text in result.missed]
sys.exit("\n".join(missed))
