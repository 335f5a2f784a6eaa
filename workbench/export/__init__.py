"""Export: a trained model in the formats of other runtimes, each loaded back and compared."""

from workbench.export.comparing import Comparison, compare, table
from workbench.export.formats import EVERY, FORMATS, QUANTIZATIONS, Target, write

__all__ = ["EVERY", "FORMATS", "QUANTIZATIONS", "Comparison", "Target", "compare", "table", "write"]
