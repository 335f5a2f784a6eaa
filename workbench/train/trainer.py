"""The one training step of the workbench: the Keras model that `fit` loops over.

Sampled classes, centers and several adaptive losses need the labels in the forward pass, several
losses share one embedding, and Keras guesses accuracy from shapes. So one `Trainer` owns the step:
images -> embedding -> head -> named loss terms -> gradients -> decay -> update. Imported only inside
methods of other files, because it imports TensorFlow.
"""

from __future__ import annotations

from typing import Any

from workbench import names, optimizers
from workbench.distribute import collectives, stop_flag
from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.pixels import normalise
from workbench.spec.interfaces import Batch, terms
from workbench.spec.plan import Plan
from workbench.surgery import freezing
from workbench.train import nan_report

STOP_FLAGS = "_stop"  # of a step of several devices: the sum of what `stop_flag` says


class Trainer(tf.keras.Model):
    """Embedding model, head and losses of the current stage, with the step that trains them.

    `embedder` maps float images [B, s, s, 3] to embeddings [B, d]; it lives as long as the run. The
    head, the loss layers and the optimizer belong to a stage and are handed on by `begin_stage`.
    """

    def __init__(self, embedder: tf.keras.Model) -> None:
        super().__init__(name="trainer")
        self.embedder = embedder
        self.classes = 0
        self.teacher: int | None = None
        self.size = int(embedder.output_shape[-1])
        # Remembers which layers are trainable now: a stage that freezes some must be able to give them back.
        self.open_layers = freezing.opener(embedder)
        self.plan: Plan | None = None
        self.head: tf.keras.layers.Layer | None = None
        self.head_signature: tuple[Any, ...] | None = None
        self.losses_by_term: dict[str, tf.keras.layers.Layer] = {}
        # A variable, not a number of Python: the compiled step reads the schedule's time from it, and a number would
        # be a constant of the graph.
        self.stage_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="stage_step")
        self.means: dict[str, tf.keras.metrics.Mean] = {}
        self.keep_metrics = False  # set when an epoch is taken up in its middle
        self.recent: dict[str, tf.Variable] = {}
        self.epoch_steps = 1
        # Of this process, see `stop_flag`.
        self.stop_request = tf.Variable(0.0, trainable=False, name="stop_request")
        self.lowered = tf.Variable(1.0, trainable=False, name="lowered")  # of a rate that plateaus lower
        self.distribute_reduction_method = "first"  # all replicas return the same numbers

    # ------------------------------------------------------------ stages

    def begin_stage(
        self, plan: Plan, steps_per_epoch: int, classes: int, teacher: int | None = None
    ) -> list[str]:
        """Set head, losses, optimizer and schedule for a stage; return what was made new, in words.

        `teacher` is how many numbers a teacher's vector has, where the stage's data has one.
        """
        # Taken before head and losses change: the optimizer's state may be kept only if what it belongs to stays.
        before = self._trained_set()
        self.classes, self.teacher = classes, teacher
        notes = self._set_head(plan)
        self._set_losses(plan)
        self.plan, self.epoch_steps = plan, steps_per_epoch
        self.open_layers(plan.train, f"stage {plan.number} ({plan.name})")
        # Forgotten with the stage: both hold variables and graphs of the head that has just been replaced.
        self._decayed: list[Any] | None = None
        self._measure: Any = None
        self.stage_step.assign(0)
        self._set_means(plan)
        self.recent = nan_report.recent_steps(plan.batch_size)
        optimizer, note = self._next_optimizer(plan, before)
        notes += note
        self.compile(
            optimizer=optimizer,
            steps_per_execution=plan.devices.steps_per_execution,
            jit_compile=plan.devices.xla,
        )
        return notes

    def _set_head(self, plan: Plan) -> list[str]:
        part = plan.loss.classifier()
        signature = part.signature(self.classes, self.size) if part else None
        if part is None:
            self.head, self.head_signature = None, None
            return []
        old, notes = self.head, []
        self.head = part.layer(self.classes, self.size)
        self.head.compiled = plan.devices.xla
        self.head(tf.zeros([1, self.size]), tf.zeros([1], tf.int32))  # builds its weights
        if old is not None and signature == self.head_signature:
            # Copied into a new layer instead of keeping the old one: the new stage's settings (a rate of sampling, a
            # scale) belong to the layer, the weights to the run.
            for new, kept in zip(self.head.trainable_variables, old.trainable_variables):
                new.assign(kept)
        elif self.plan is not None:
            why = "its shape differs" if old is not None else "the stage before had none"
            notes.append(f"new weights for the head {type(part).__name__}: {why}")
        self.head_signature = signature
        return notes

    def _set_losses(self, plan: Plan) -> None:
        for term in terms(plan.loss):
            layer = term.loss.layer(self.classes, self.size, plan.batch_size, self.teacher)
            # By the term's name: centers and running means follow their loss from stage
            # to stage wherever it stands in the sum.
            old = self.losses_by_term.get(term.term)
            self._build_loss(layer)
            shapes = [weight.shape for weight in layer.weights]
            if old is not None and [weight.shape for weight in old.weights] == shapes:
                layer.set_weights(old.get_weights())
            self.losses_by_term[term.term] = layer

    def _build_loss(self, layer: tf.keras.layers.Layer) -> None:
        # Keras builds a layer at its first call, which here is inside the compiled step, too late to restore a state.
        if not layer.built:
            layer.build(None)
            layer.built = True

    def _set_means(self, plan: Plan) -> None:
        wanted = [names.LOSS, *(t.term for t in terms(plan.loss) if len(terms(plan.loss)) > 1)]
        if self.head is not None:
            wanted.append(names.ACCURACY)
        if (plan.weight_decay or optimizers.OFF).regularises():
            wanted.append(names.REGULAR_LOSS)
        self.means = {name: tf.keras.metrics.Mean(name=name) for name in wanted}

    # ------------------------------------------------------------ what is trained

    def _trained_set(self) -> tuple[Any, ...] | None:
        if self.plan is None:
            return None
        # Shapes, not names: equal settings make variables of equal shapes in equal order, and names carry counters.
        return (self.plan.train, self.head_signature, tuple(v.shape.as_list() for v in self.trained()))

    def trained(self) -> list[tf.Variable]:
        """Return the variables that the stage updates by gradients, in a stable order."""
        variables = list(self.embedder.trainable_variables) if self.plan and self.plan.train != "head" else []
        variables += self.head.trainable_variables if self.head is not None else []
        for term in terms(self.plan.loss) if self.plan else ():
            variables += self.losses_by_term[term.term].trainable_variables
        return variables

    def start_head(self, weights: Any) -> None:
        """Give the head its first weights [C, d]; raises `SpecError` where they do not fit."""
        variables = self.head_variables()
        shape = tuple(variables[0].shape) if variables else None
        if shape != weights.shape:
            raise SpecError(
                f"head weights {weights.shape} do not fit the first stage's head {shape}", where="start"
            )
        variables[0].assign(weights)

    def head_variables(self) -> list[tf.Variable]:
        """Return the weights of the classification head."""
        return list(self.head.trainable_variables) if self.head is not None else []

    def _next_optimizer(self, plan: Plan, before: Any) -> tuple[tf.keras.optimizers.Optimizer, list[str]]:
        old = getattr(self, "optimizer", None)
        # Always a fresh one: settings of the stage (momentum, clipping) are constants of the
        # optimizer, so only its slots are taken over.
        fresh = optimizers.make(plan.optimizer, tf.keras.mixed_precision.global_policy().name)
        # Slots exist before the first step, so that a checkpoint can be restored into them.
        optimizers.build(fresh, self.trained())
        if old is None:
            return fresh, []
        if plan.optimizer_state == "reset":
            return fresh, ["the optimizer's state is reset, as the stage asks"]
        if before != self._trained_set():
            return fresh, ["the optimizer starts anew: the trained weights differ"]
        if self._optimizer_part is not type(plan.optimizer):
            return fresh, ["the optimizer starts anew: it is of another class"]
        optimizers.copy_state(old, fresh)
        return fresh, []

    def compile(self, optimizer: Any, **options: Any) -> None:  # type: ignore[override]
        """Keras's compile, remembering the class of the optimizer's part for the next stage."""
        assert self.plan is not None
        self._optimizer_part = type(self.plan.optimizer)
        super().compile(optimizer=optimizer, **options)

    # ------------------------------------------------------------ the step

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """The means of the epoch, reset by `fit` when an epoch begins."""
        return list(self.means.values())

    def reset_metrics(self) -> None:
        """Begin an epoch's means at zero, but keep them where an epoch is taken up in its middle."""
        # `fit` resets the means at each epoch it begins, also at one that a resume enters in the middle.
        if self.keep_metrics:
            self.keep_metrics = False
        else:
            super().reset_metrics()

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return embeddings [B, d] of float images."""
        return self.embedder(images, training=training)

    def schedule_time(self) -> tf.Tensor:
        """Return t of the stage's schedule at the current step, float epochs."""
        assert self.plan is not None
        # A stage that stands still keeps the product in the graph: both kinds of stage have one signature.
        done = tf.cast(self.stage_step, tf.float32) / float(self.epoch_steps)
        return self.plan.schedule_offset + (done if self.plan.advances_schedule else 0.0 * done)

    def batch_terms(self, data: Any, training: bool) -> tuple[dict[str, tf.Tensor], Batch]:
        """Return the unweighted loss terms of a batch and what they were computed from."""
        images, labels, _, *rest = data
        if images.dtype == tf.uint8:  # pixels travel as bytes and become numbers on the device
            images = normalise(images)
        deep = training and self.plan.train != "head"  # type: ignore[union-attr]
        # In float32 whatever the precision: angles and exponents of a margin loss do not survive half precision.
        embeddings = tf.cast(self.embedder(images, training=deep), tf.float32)
        # Only the head learns: the gradient ends here instead of being computed and thrown away.
        if not deep:
            embeddings = tf.stop_gradient(embeddings)
        teacher = rest[0] if rest else None
        if not isinstance(labels, tuple):
            return self._terms_of(embeddings, labels, teacher, training)
        first, second, share = labels  # mixed images: the loss is mixed as they are
        values, batch = self._terms_of(embeddings, first, teacher, training)
        others, _ = self._terms_of(embeddings, second, teacher, training)
        return {name: share * values[name] + (1 - share) * others[name] for name in values}, batch

    def _terms_of(
        self, embeddings: tf.Tensor, labels: tf.Tensor, teacher: tf.Tensor | None, training: bool
    ) -> tuple[dict[str, tf.Tensor], Batch]:
        logits, targets = None, None
        if self.head is not None:
            logits, targets = self.head(embeddings, labels, training=training)
        smoothing = self.plan.label_smoothing  # type: ignore[union-attr]
        batch = Batch(embeddings, labels, logits, smoothing, teacher, training, targets)
        # A validation set without a teacher's vectors still has its accuracy; only the loss is left out.
        parts = () if teacher is None and self.needs_teacher() else terms(self.plan.loss)  # type: ignore[union-attr]
        return {part.term: self.losses_by_term[part.term](batch) for part in parts}, batch

    def needs_teacher(self) -> bool:
        """Tell whether the stage's loss reads a teacher's vectors, which a validation set may lack."""
        return any(part.loss.needs_teacher for part in terms(self.plan.loss))  # type: ignore[union-attr]

    def total(self, values: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the loss as optimised and the regulariser's part of it."""
        weighted = [t.weight * values[t.term] for t in terms(self.plan.loss)]  # type: ignore[union-attr]
        decay, peak = self.plan.weight_decay or optimizers.OFF, self.plan.schedule.peak_rate()  # type: ignore[union-attr]
        regular = decay.regulariser(self.decayed(), peak)
        return tf.add_n(weighted) + regular, regular

    def decayed(self) -> list[optimizers.Decayed]:
        """Return the variables that weight decay touches, each with its multiplier."""
        if self._decayed is None:
            decay = self.plan.weight_decay  # type: ignore[union-attr]
            self._decayed = optimizers.decayed_weights(self, self.trained(), self.head_variables(), decay)
        return self._decayed

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Do one step on (images, labels, ids[, teacher]) and return the epoch's means so far."""
        assert self.plan is not None
        plan, optimizer = self.plan, self.optimizer
        decay = plan.weight_decay or optimizers.OFF
        # Assigned inside the step: Keras's callback would set it between executions, not between steps.
        rate = plan.schedule.tensor(self.schedule_time())
        rate = rate * self.lowered if plan.schedule.lowers else rate
        optimizer.learning_rate.assign(tf.cast(rate, optimizer.learning_rate.dtype))
        variables = self.trained()
        with tf.GradientTape() as tape:
            values, batch = self.batch_terms(data, training=True)
            loss, regular = self.total(values)
            # Mixed precision scales the loss before the tape and the gradients back after it; each replica counts its
            # share, so that the sum over replicas is the gradient of the global batch.
            scaled = optimizers.scaled(optimizer, collectives.shared(loss))
        gradients = optimizers.unscaled(optimizer, tape.gradient(scaled, variables))
        head = plan.loss.classifier()
        gradients = collectives.total_gradients(gradients, head is not None and head.same_rows)
        # Order of decay: L2 into the gradients before the optimizer sees them, decoupled decay on the weights before
        # the update, as the papers of both have it.
        gradients = decay.add_to(gradients, variables, self.decayed())
        # No decay where loss scaling skips the update: weights would shrink at steps that did not happen.
        ratio = rate / plan.schedule.peak_rate() * optimizers.taken(optimizer, gradients)
        decay.shrink(self.decayed(), ratio)
        optimizers.apply(optimizer, gradients, variables, summed=collectives.count() > 1)
        # One device pays for no collective: its graph is what it would be without this file's other half.
        if collectives.count() == 1:
            # Before the step is counted: the slot and the recorded step number come from the same value.
            nan_report.remember(self.recent, self.stage_step, loss, gradients, rate, data[2])
            self.stage_step.assign_add(1)
            return self._update_means(values, batch, loss, regular)
        values, right, loss, decode = self._of_all(values, batch, loss)
        ids = collectives.gather(data[2])
        nan_report.remember(self.recent, self.stage_step, loss, gradients, rate, ids)
        self.stage_step.assign_add(1)
        means = self._update_means(values, batch, loss, regular, right)
        return {**means, STOP_FLAGS: decode + stop_flag.BAD * tf.cast(self.recent["bad"], tf.float32)}

    def _of_all(
        self, values: dict[str, tf.Tensor], batch: Batch, loss: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor | None, tf.Tensor, tf.Tensor]:
        """Return terms, share of right answers, loss and the request to stop as means over all replicas."""
        right = None if batch.logits is None else tf.reduce_mean(self._right(batch))
        # One collective for all numbers of the step: each costs a round of messages, whatever its size.
        given = [
            *values.values(),
            loss,
            tf.convert_to_tensor(self.stop_request),
            *([] if right is None else [right]),
        ]
        means = tf.unstack(collectives.mean(tf.stack(given)))
        terms_ = dict(zip(values, means))
        right = None if right is None else means[-1]
        return (
            terms_,
            right,
            means[len(values)],
            stop_flag.decode(means[len(values) + 1], collectives.count()),
        )

    def _right(self, batch: Batch) -> tf.Tensor:
        """Return 1 for each image whose largest logit is its own identity's, else 0, [B]."""
        found = tf.equal(tf.argmax(batch.logits, -1, tf.int32), batch.targets)
        return tf.cast(found, tf.float32)

    def _update_means(
        self,
        values: dict[str, tf.Tensor],
        batch: Batch,
        loss: tf.Tensor,
        regular: tf.Tensor,
        right: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        count = tf.shape(batch.labels)[0]
        for name, value in values.items():
            if name in self.means:
                self.means[name].update_state(value)
        self.means[names.LOSS].update_state(loss, sample_weight=tf.cast(count, tf.float32))
        if names.REGULAR_LOSS in self.means:
            self.means[names.REGULAR_LOSS].update_state(regular)
        if batch.logits is not None:
            self.means[names.ACCURACY].update_state(self._right(batch) if right is None else right)
        return self.results()

    def results(self) -> dict[str, tf.Tensor]:
        """Return the epoch's means so far."""
        return {name: mean.result() for name, mean in self.means.items()}

    def measure(self, batches: tf.data.Dataset) -> dict[str, float]:
        """Return `val_loss` and `val_accuracy` over all images of `batches`, without training.

        There is no loss of images without the teacher's vectors that the loss needs.
        """
        # The epoch's means are borrowed: they are restored, so that a measurement inside an epoch changes nothing.
        kept = [mean.get_weights() for mean in self.metrics]
        super().reset_metrics()
        # Traced once a stage; `model.evaluate` would trace anew at each call and reset the epoch's own means.
        if self._measure is None:
            self._measure = tf.function(self.test_step, autograph=False, reduce_retracing=True)
        for batch in batches:
            self._measure(batch)
        untaught = len(batches.element_spec) == 3 and self.needs_teacher()
        wanted = (names.ACCURACY,) if untaught else (names.LOSS, names.ACCURACY)
        values = {name: float(self.means[name].result()) for name in wanted if name in self.means}
        for mean, weights in zip(self.metrics, kept):
            mean.set_weights(weights)
        return {names.VAL_PREFIX + name: value for name, value in values.items()}

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure loss and accuracy of a batch without training."""
        values, batch = self.batch_terms(data, training=False)
        loss, regular = self.total(values) if values else (tf.constant(0.0), tf.constant(0.0))
        return self._update_means(values, batch, loss, regular)
