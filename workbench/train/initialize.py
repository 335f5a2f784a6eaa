"""Where a run's weights start: from another run's checkpoint or a saved model, instead of at random.

The classification head is new unless centers are given; a first stage with `train="head"` trains it alone
before the rest moves, a second one with patterns (`train=("stage5_*",)`) the last blocks too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from workbench.errors import DataError, RecordError
from workbench.lazy import tf
from workbench.models import load_keras
from workbench.security import safe_npz
from workbench.spec.interfaces import Places, Start
from workbench.spec.part import part, setting

if TYPE_CHECKING:
    import numpy as np

    from workbench.train.checkpoint import State


@part
class FromRun(Start):
    """The weights of another run of this store with the same backbone."""

    run: str = setting(positional=True, doc="the run, a unique beginning of it, or its MLflow id")
    which: Literal["best", "last"] = setting("best", doc="checkpoint of that run")
    centers: Union[str, None] = setting(None, doc="file of `workbench clean` with the head's first weights")

    def look(self, store: Any) -> None:
        self._state(store)

    def missing(self, store: Any) -> str | None:
        try:
            self._state(store)
        except RecordError as error:
            return f"FromRun {self.run!r} cannot be used here ({error.what})"
        return None

    def fill(self, embedder: tf.keras.Model, store: Any) -> list[str]:
        from workbench.models import transfer

        arrays = self._state(store).arrays
        # Zero-padded numbers, so that sorting as text is the order in which the network lists its variables.
        names = sorted(name for name in arrays if name.startswith("embedder/"))
        theirs = transfer.of_arrays(embedder, [arrays[name] for name in names])
        return transfer.take(embedder, theirs, f"run {self.run}")

    def _state(self, store: Any) -> State:
        from workbench.tracking.runs import find_run
        from workbench.train import checkpoint_file

        folder = store.run_checkpoints(find_run(store, self.run))
        state, _ = checkpoint_file.chosen(folder, self.which)
        if state is None:
            raise RecordError("no checkpoint to start from", where=self.run, do="choose a run that has one")
        return state

    def head_weights(self, identities: tuple[str, ...], where: Places) -> np.ndarray | None:
        return None if self.centers is None else read_centers(self.centers, identities, where)


@part
class FromModel(Start):
    """The weights of a saved model (.keras, .h5 or a SavedModel folder) with the same backbone."""

    path: str = setting(positional=True, doc="the file, relative to the working folder or absolute")
    trust_code: bool = setting(False, place=True, doc="open a file though it holds code, which then runs")

    def look(self, store: Any) -> None:
        if not Path(self.path).exists():
            raise DataError(
                "no such model",
                where=self.path,
                do="give the path of a .keras or .h5 file or a SavedModel folder",
            )
        load_keras.require_trust(self.path, self.trust_code)

    def missing(self, store: Any) -> str | None:
        return None if Path(self.path).exists() else f"FromModel {self.path!r} is not there"

    def fill(self, embedder: tf.keras.Model, store: Any) -> list[str]:
        from workbench.models import transfer

        return transfer.take(embedder, self._layers(), self.path)

    def _layers(self) -> list[Any]:
        """Return the layers of the file: as Keras describes them, else those of a plain SavedModel."""
        from workbench.models import transfer

        folder = Path(self.path)
        # A SavedModel without Keras's metadata has no layers to match by name, only variables.
        if (folder / "saved_model.pb").exists() and not (folder / "keras_metadata.pb").exists():
            load_keras.require_trust(folder, self.trust_code)
            return transfer.of_saved_model(folder)
        return transfer.of_model(load_keras.load_keras(folder, self.trust_code))


def read_centers(path: str, identities: tuple[str, ...], where: Places) -> np.ndarray:
    """Return the weights of a head, [C, d], in the order of `identities`, from a file of `workbench clean`.

    Raises `DataError` for a file that is missing, broken or lacks an identity.
    """
    import numpy as np

    found = next((root / path for root in (*where.roots, Path.cwd()) if (root / path).exists()), None)
    if found is None:
        raise DataError("no such file", where=path, do="write it with `workbench clean`")
    arrays = safe_npz.load(found, ("centers", "identities"))
    centers, names = arrays["centers"], [str(name) for name in np.ravel(arrays["identities"])]
    if centers.ndim != 2 or len(names) != len(centers) or centers.dtype.kind != "f":
        raise DataError("holds no centers", where=found, expected="a file of `workbench clean`")
    row = {name: number for number, name in enumerate(names)}
    missing = [name for name in identities if name not in row]
    if missing:
        raise DataError(f"has no center of {missing[0]} ({len(missing)} missing)", where=found)
    result: np.ndarray = centers[[row[name] for name in identities]]
    return result
