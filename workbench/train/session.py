"""One attempt of a run at work: where it stands, and what happens at each step, epoch and end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.distribute import setup
from workbench.distribute.group import Group
from workbench.errors import InputError, RecordError
from workbench.lazy import tf
from workbench.models.build import build_model
from workbench.optimizers import plateau
from workbench.spec.datasets import default_places
from workbench.spec.plan import Plan
from workbench.tracking.best import best_values
from workbench.tracking.rows import CheckpointRecord, EpochRecord
from workbench.tracking.tracker import Tracker
from workbench.train import checkpoint, checkpoint_file, logged_model, memory_check, nan_report
from workbench.train.evaluation import Scoreboard
from workbench.train.progress import Screen
from workbench.train.request import EpochCallback, RunRequest, RunResult
from workbench.train.stop_reasons import end_again, paused, stop_after_epoch, stopped
from workbench.train.system_metrics import SystemSampler
from workbench.train.triplet_mining import TripletMiner
from workbench.train.watching import Watchers
from workbench.train.worker_sync import WorkerSync, plain

if TYPE_CHECKING:
    from workbench.train.run_data import RunData
    from workbench.train.trainer import Trainer


class Session:
    """One attempt at work: the model, where it stands, and what happens at each step and epoch."""

    def __init__(
        self,
        request: RunRequest,
        screen: Screen,
        tracker: Tracker,
        data: RunData,
        watcher: EpochCallback | None,
        group: Group | None = None,
    ) -> None:
        from workbench.train.signals import StopSignals

        self.request, self.screen, self.tracker, self.data = request, screen, tracker, data
        self.group = group or Group("one device")
        self.experiment = request.variant.experiment
        self.signals = StopSignals(self.experiment.safety.grace_seconds, screen.say, screen.close)
        # The timer behind the signals and the saver's thread belong to this attempt alone; a second run in the same
        # process (a notebook, a sweep) makes its own.
        self.saver = checkpoint_file.Saver(request.store.run_checkpoints(request.run))
        self.plan: Plan | None = None
        self.epoch, self.epoch_step, self.step = 0, 0, 0  # finished epochs, steps in the next, all steps
        self.spent = 0.0  # seconds of the unfinished epoch before this attempt
        self._mark = time.monotonic()  # when this attempt began to work on the epoch
        self.scores = Scoreboard(self.experiment, data, tracker, screen)
        self.workers = WorkerSync(self.group, request.run)
        self.mined = TripletMiner(request, data, self.group, screen)
        self.system = SystemSampler()
        self._last_save = time.monotonic()
        self._ended = False
        # Watchers may write figures and ask for an end: once for the group, by the process that keeps the record.
        watchers = self.experiment.watchers if self.group.chief else ()
        self.watchers = Watchers(watchers, watcher, tracker, self.experiment)

    # ------------------------------------------------------------ stages

    def build(self, state: checkpoint.State | None) -> None:
        """Make the model, and take up position and best-so-far from a resumed state."""
        from workbench.train.trainer import Trainer

        if self.group.chief:
            self.system.start()
        # Seeded before the first layer: initial weights are drawn in the order in which layers are made.
        setup.seed(self.experiment.seed, 0)
        with self.group.scope():
            self.trainer: Trainer = Trainer(build_model(self.experiment))
        # After the network is built and before its first step is traced: layers
        # are told to normalise over all devices.
        self.group.ready(self.trainer.embedder)
        if state is None and self.experiment.start is not None:
            if self.group.chief:
                for words in self.experiment.start.fill(self.trainer.embedder, self.request.store):
                    self.screen.warn(words)
            # Only the chief read the file; equal seeds made the others' weights equal to its old ones, not to these.
            self.group.broadcast(self.trainer.embedder.variables)
        if state is not None:
            self._check_identity(state)
            facts = state.facts
            self.epoch, self.epoch_step, self.step = facts["epoch"], facts["epoch_step"], facts["step"]
            self.spent = facts["spent"]
            # The best so far comes from the state, not from the journal: rows after the state will be trained again.
            self.scores.take_up(facts)
            trunk = facts.get("trunk")
            self.screen.say(
                f"goes on from its trunk {trunk['run']} after epoch {self.epoch}"
                if trunk
                else f"resumed after epoch {self.epoch}, step {self.epoch_step} of the next"
            )

    def end_where_it_was_ended(self) -> None:
        """Stop at once where the row of the last epoch says that the training ends after it."""
        if not self.group.chief:
            return self.workers.wait_for_chief()
        with self.workers.sharing_stop():
            end_again("" if self.epoch_step else self.tracker.stop_after(self.epoch))

    def _check_identity(self, state: checkpoint.State) -> None:
        if state.facts["id"] != self.experiment.id:
            raise RecordError(
                "the checkpoint is of another spec",
                where=self.request.run,
                do="resume with the spec it was run with",
            )

    def begin_stage(self, plan: Plan, state: checkpoint.State | None) -> None:
        """Set the stage up; stages before a resumed one are set up too, so that all is handed on alike."""
        self.plan = plan
        # Seeded by the stage's number, not by what came before: a resume into stage 3 draws what stage 3 drew.
        setup.seed(self.experiment.seed, plan.number)
        steps = self.data.steps(plan)
        # Within the strategy's scope: variables made outside it are not mirrored, and the step would fail on them.
        with self.group.scope():
            notes = self.trainer.begin_stage(
                plan, steps, self.data.classes(plan), self.data.teacher_size(plan)
            )
        if state is not None and plan.number == state.facts["stage"]:
            # After the stage is set up, which made the optimizer's slots and the head that the state fills.
            checkpoint.restore(self.trainer, state)
            self.group.settle(checkpoint.generators(self.trainer))
        # Later stages take the generators over from the stage before; only the first must make the workers differ.
        elif plan.number == 1:
            if state is None:
                self._start_head(plan)
            self.group.settle(checkpoint.generators(self.trainer))
        # Stages that are over are set up silently; only those with epochs left are shown.
        if self.epoch < plan.last_epoch:
            memory_check.require_memory(self.trainer, plan, self.group.workers)
            self.screen.stage(plan, len(self.experiment.stages), steps)
            if (self.epoch, self.epoch_step) == (plan.first_epoch - 1, 0):
                for note in notes:  # of a stage that goes on nothing is new: its state is taken up again
                    self.screen.warn(note)
                self.watchers.stage(plan, self.trainer.embedder)
            self._lower(plan)

    def _lower(self, plan: Plan) -> None:
        """Lower the rate as a schedule that watches a metric asks for; it follows from the record alone."""
        if not plan.schedule.lowers:
            return
        # Computed by the chief, who has the history; a worker's record is empty, and its factor would be 1.
        if self.group.chief:
            self.trainer.lowered.assign(plateau.factor(self.experiment, plan, self.tracker.history()))
        self.group.broadcast([self.trainer.lowered])

    def _start_head(self, plan: Plan) -> None:
        """Give the first stage's head the weights that the spec starts from, where it names some."""
        start = self.experiment.start
        if start is None:
            return
        where = default_places(self.request.store.root.parent)
        weights = start.head_weights(self.data.identities(plan), where) if self.group.chief else None
        if weights is not None:
            self.trainer.start_head(weights)
        self.group.broadcast(self.trainer.head_variables())

    def train(self, plan: Plan) -> None:
        """Run the epochs of the stage that are still to do."""
        if self.epoch >= plan.last_epoch:
            return
        # A trial that was killed after the last epoch it was asked for has nothing left to do.
        if self.request.epochs is not None and self.epoch >= self.request.epochs:
            raise paused(self.epoch)
        steps = self.data.steps(plan)
        # Setting a stage up and compiling it is not part of an epoch's time.
        self._mark = time.monotonic()
        # A state taken inside an epoch holds its running means too: the epoch is finished, not begun again, so that
        # its loss is over all of its steps.
        if self.epoch_step >= steps:  # saved between an epoch's last step and its end
            self.after_epoch(self.trainer.results(), 0.0)
        elif self.epoch_step:
            self.trainer.keep_metrics = True
            self._fit(plan, steps - self.epoch_step, self.epoch + 1)
        while self.epoch < plan.last_epoch:
            self._fit(plan, steps, self.mined.until(plan, self.epoch + 1))

    def _fit(self, plan: Plan, steps: int, last_epoch: int) -> None:
        from workbench.train.callbacks import HooksCallback

        # The data set begins at this very step: batches are functions of seed, epoch and step, so none is skipped
        # over and none is seen twice.
        start = (self.epoch + 1 - plan.first_epoch) * self.data.steps(plan) + self.epoch_step
        mined = self.mined.triplets(plan, self.epoch + 1, self.epoch_step > 0, self.trainer.embedder)
        seed = self.experiment.seed
        try:
            self.trainer.fit(
                self.group.feed(lambda shard: self.data.training(plan, seed, start, mined, shard)),
                initial_epoch=self.epoch,
                epochs=last_epoch,
                steps_per_epoch=steps,
                callbacks=[HooksCallback(self)],
                verbose=0,
            )
        # Errors of reading arrive without the file's name; the data knows which image is broken and says it.
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            raise self.data.blame(plan) or error from error
        except tf.errors.OpError as error:
            if not self.group.lost(error):
                raise
            raise self.workers.loss(error) from error

    # ------------------------------------------------------------ steps

    def after_step(self, logs: Mapping[str, Any]) -> None:
        """Count the step; look at signals, the loss, the clock and the screen as rarely as allowed."""
        assert self.plan is not None
        # Keras calls back once an execution, which may be several steps.
        steps = self.plan.devices.steps_per_execution
        self.epoch_step += steps
        self.step += steps
        # Asked at every step, for it reads a flag on the host; everything below waits for the device.
        if self.workers.stop_now(self.trainer, self.signals, logs):
            # A state with a loss that is not finite must not become the one to go on from.
            self._check_finite()
            self.save(inside=True)
            # Waited for here: whoever sent SIGTERM may follow it with SIGKILL as soon as the process is quiet.
            self.saver.wait()
            raise stopped(self.request, self.signals)
        if self.screen.wants_step():
            if self.group.workers == 1:  # several stop together, by what each step tells all of them
                self._check_finite()
            values = plain(logs)
            self.screen.step(self.plan, self.epoch + 1, self.epoch_step, self.data.steps(self.plan), values)
        # Not at the last step: the epoch's end measures and saves anyway.
        if self.epoch_step < self.data.steps(self.plan):
            self._between()

    def _between(self) -> None:
        every, safety = self.experiment.evaluate_every, self.experiment.safety
        if every and self.epoch_step % every == 0:
            self._evaluate_inside()
        minutes = safety.every_minutes
        late = minutes is not None and time.monotonic() - self._last_save > 60 * minutes
        if late or (safety.every_steps and self.epoch_step % safety.every_steps == 0):
            # A bad state must not push the last good one out of the two generations that are kept.
            self._check_finite()
            self.save(inside=True)

    def _check_finite(self) -> None:
        assert self.plan is not None
        nan_report.refuse_nan(self.trainer, self.data, self.tracker, self.plan, self.epoch + 1)

    def _evaluate_inside(self) -> None:
        self._check_finite()
        values = self.scores.evaluate(self.trainer.embedder)
        self.scores.note_inside(values)
        if self.scores.improves(values, self.epoch + 1, self.step):
            self.save(inside=True, best=True)

    # ------------------------------------------------------------ epochs

    def after_epoch(self, logs: Mapping[str, Any], seconds: float) -> None:
        """Measure, record, save; then see whether anybody wants an end."""
        assert self.plan is not None
        self._check_finite()
        plan, began, metrics = self.plan, time.monotonic(), plain(logs)
        metrics[names.LEARNING_RATE] = float(self.trainer.recent["rate"].numpy())
        # Workers only wait: measuring again would cost as much, and could differ in the last bits.
        if not self.group.chief:
            self._follow()
            return
        metrics.update(self.scores.hold_out(self.trainer, plan))
        values = self.scores.evaluate(self.trainer.embedder)
        metrics.update({**values, **self.scores.peaks(values)})
        # Counted before the watchers are asked, who see the epoch that has just ended.
        self.epoch, self.epoch_step = self.epoch + 1, 0
        metrics, stop_reason = self.watchers.epoch(plan, self.epoch, metrics, self.trainer.embedder)
        total = seconds + self.spent + time.monotonic() - began
        record = EpochRecord(
            stage=plan.number,
            stage_epoch=self.epoch - plan.first_epoch + 1,
            epoch=self.epoch,
            step=self.step,
            metrics=metrics,
            seconds=total,
            system=self.system.take(),
            stop=stop_reason or "",
        )
        # Asked once, before the row: the row, the pair scores and the checkpoint must agree on which epoch is best.
        best = self.scores.improves(metrics, self.epoch, self.step)
        # The row before the state: a kill in between costs an epoch that is trained again under a new attempt, while
        # a state without its row would leave a gap that nobody can fill.
        self.tracker.epoch(record)
        # After the row, so that scores of an epoch without a row never lie beside the run.
        self.scores.keep_scores(best, self.epoch)
        self.spent, self._mark = 0.0, time.monotonic()
        self.save(best=best)
        self.screen.epoch(self.epoch, self.experiment.epochs, plan, metrics, total)
        # Decided once and shared: a stop that only the chief knew of would leave the workers in a step without it.
        with self.workers.sharing_stop():
            self._stop_between_epochs(stop_reason)
        # Last: the factor follows from the row just written, and all processes meet in it.
        self._lower(plan)

    def _follow(self) -> None:
        """End an epoch that the chief measures and records: wait for it, and stop where it stops."""
        assert self.plan is not None
        self.epoch, self.epoch_step, self.spent = self.epoch + 1, 0, 0.0
        self.workers.wait_for_chief()
        self._lower(self.plan)
        self.screen.say(f"epoch {self.epoch}/{self.experiment.epochs} done")

    def _stop_between_epochs(self, reason: str | None) -> None:
        stop = stop_after_epoch(self.request, self.signals, self.epoch, self.experiment.epochs, reason)
        if stop is not None:
            # Each way out waits for the state: a stop is promised to be resumable from this very epoch.
            self.saver.wait()
            raise stop

    # ------------------------------------------------------------ states and ends

    def save(self, inside: bool = False, best: bool = False) -> None:
        """Copy the state out and make it durable behind the training; views follow an epoch's state."""
        assert self.plan is not None
        if not self.group.chief:
            return
        # One state in memory at a time: a second copy of a large head would not fit beside the first.
        self.saver.wait()
        facts = {
            "run": self.request.run,
            "id": self.experiment.id,
            "attempt": self.tracker.attempt,
            "stage": self.plan.number,
            "epoch": self.epoch,
            "epoch_step": self.epoch_step,
            "step": self.step,
            "rows": self.epoch,
            **self.scores.facts(),
            "spent": self.spent + (time.monotonic() - self._mark if inside else 0.0),
        }
        # Copied here, in the training's thread: the next step changes the variables in place.
        state = checkpoint.capture(self.trainer, facts)
        name = checkpoint_file.file_name(self.epoch, self.step)
        self._last_save = time.monotonic()
        # Bound now: by the time the state is durable the training has moved on.
        epoch, step = self.epoch, self.step

        def then(file: str, digest: str) -> None:
            self.tracker.checkpoint(CheckpointRecord(epoch=epoch, step=step, file=file, digest=digest))

        # Only whole epochs are kept for branches: a branch begins where an epoch begins.
        kept = epoch if not inside and epoch in self.experiment.safety.keep else None
        self.saver.save(state, name, best, kept, then)

    def end(self, status: str, reason: str) -> None:
        """Record the end once, whatever ended the run."""
        if self._ended:
            return
        # Set first: recording the end may fail and lead here again through the runner's handler.
        self._ended = True
        self.system.stop()
        self.screen.close()
        try:
            self._settle()
            if status == names.FINISHED and self.group.chief:
                logged_model.keep_best(self.request, self.tracker.journal.start, self.screen)
            self.tracker.end(status, reason)
        except (OSError, InputError) as error:  # a full disk: what ended the run must still be said
            self.screen.warn(f"the end of the run could not be recorded: {error}")
        finally:
            self.tracker.close()
        if reason and status != names.FAILED:  # a failure is said by the command's last line
            self.screen.say(reason if reason.startswith(status) else f"{status}: {reason}")

    def _settle(self) -> None:
        """Wait for the state that is being written: its row must not follow the end of the run."""
        try:
            self.saver.wait()
        except Exception as error:  # noqa: BLE001 - the end must be recorded all the same, and it is said
            self.screen.warn(f"the last state could not be kept: {error}")

    def outcome(self) -> RunResult:
        """Return how the run ended, from its own journal."""
        # From the journal, not from memory: what the caller gets is what every later reader will find.
        end = self.tracker.journal.end
        return RunResult(
            self.request.run,
            end.status if end else names.RUNNING,
            best_values(self.tracker.history()),
            end.reason if end else "",
        )
