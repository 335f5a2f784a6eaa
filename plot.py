"""`import plot` for cells of old notebooks: the functions of `analysis.plot`, under the name those cells know."""

from analysis.plot import EVALS_NAME, choose_accuracy, hist_plot_split, set_colors, set_scale

__all__ = ["EVALS_NAME", "choose_accuracy", "hist_plot_split", "set_colors", "set_scale"]
