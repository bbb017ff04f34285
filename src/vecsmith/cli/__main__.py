"""``python -m vecsmith.cli``."""

import sys

from . import main

sys.exit(main())
