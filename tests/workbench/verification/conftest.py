"""Lets the tests of this folder import their oracles, which pytest's import mode would not find."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
