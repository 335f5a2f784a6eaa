"""The one program, `workbench`: a literal table of commands, each imported only when it is called.

The table is the one place in the engine that names `analysis`. A command is a `click` command in the
module that does the work; nothing heavy is imported to print help or to refuse a typo.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from workbench.errors import RunStopped, WorkbenchError, suggestion
from workbench.security.masked_output import mask_output
from workbench.security.outputs import refuse_lost
from workbench.security.visible_text import visible_streams

# name: (module:function, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("workbench.commands.run:run", "Train the experiments of spec files and record every epoch."),
    "sweep": ("workbench.commands.sweep:sweep", "Search the settings of a spec; every trial is a run."),
    "check": (
        "workbench.commands.check:check",
        "Build every stage of a spec, run one step of each, print sizes.",
    ),
    "profile": (
        "workbench.commands.profile:profile",
        "Profile one training step part by part, with a trace.",
    ),
    "list": (
        "workbench.commands.list_runs:list_runs",
        "List runs with their differing settings and best values.",
    ),
    "show": ("workbench.commands.show:show", "Show one run: its curves, distinguishing settings and epochs."),
    "diff": ("workbench.commands.diff:diff", "Show what differs between two runs: settings, code, results."),
    "note": ("workbench.commands.notes:note", "Write a note on a run, or read it."),
    "tag": ("workbench.commands.notes:tag", "Tag a run, or take tags off it."),
    "remove": ("workbench.commands.trash:remove", "Move runs to the store's trash."),
    "restore": ("workbench.commands.trash:restore", "Bring removed runs back from the trash, or list them."),
    "resume": ("workbench.commands.resume:resume", "Resume an unfinished run from its last checkpoint."),
    "rerun": (
        "workbench.commands.rerun:rerun",
        "Rerun a run from its record, list what differs now and compare the curves.",
    ),
    "sync": ("workbench.commands.sync:sync", "Sync MLflow and TensorBoard from the journals."),
    "rebuild": (
        "workbench.commands.sync:rebuild",
        "Rebuild MLflow's database and TensorBoard from the journals.",
    ),
    "merge": ("workbench.commands.merge:merge", "Merge the records of another machine into this store."),
    "verify": (
        "workbench.commands.verify:verify",
        "Verify a run, model file or embeddings on pairs or a folder of people.",
    ),
    "errors": ("workbench.commands.errors:errors", "Show the worst errors of a run as a sheet of images."),
    "confusion": (
        "workbench.commands.confusion:command",
        "Show the confusion matrix of a classifier, as a table and a picture.",
    ),
    "ijb": ("workbench.commands.ijb:run", "Evaluate a model on the IJB-B and IJB-C protocols, 1:1 and 1:N."),
    "identify": (
        "workbench.commands.identify:identify",
        "Identify people in images against a gallery of known ones.",
    ),
    "data": (
        "workbench.commands.data:data",
        "Show, align and check data; convert between folders, RecordIO, TFRecords and pair files.",
    ),
    "losses": ("workbench.commands.losses:losses", "List all losses, or plot the target logit of margins."),
    "clean": (
        "workbench.commands.clean:clean",
        "Clean noisy labels: list the images near the main sub-center of their identity.",
    ),
    "models": ("workbench.commands.models:models", "List all backbones with their sizes."),
    "export": (
        "workbench.commands.export:export",
        "Export a run or model to other formats, each checked against the original.",
    ),
    "ui": ("workbench.commands.ui:ui", "Start the MLflow UI and TensorBoard on this machine."),
    "server": (
        "workbench.commands.server:server",
        "Serve runs of many machines: MLflow on PostgreSQL, with user names and passwords.",
    ),
    "import": (
        "analysis.commands.importing:import_records",
        "Import histories, logs and other trackers' records as runs.",
    ),
    "plot": ("analysis.commands.plot:plot", "Plot curves of runs, histories and logs."),
    "forecast": (
        "analysis.commands.forecast:forecast",
        "Forecast final metrics with intervals, and rank runs by whether they are worth continuing.",
    ),
    "table": (
        "analysis.commands.table:table",
        "Compare runs in a table: differing settings, best values, times.",
    ),
    "folds": (
        "analysis.commands.folds:folds",
        "Show an experiment's folds as one result, with its ROC curve and among published ones.",
    ),
    "effects": (
        "analysis.commands.effects:effects",
        "Estimate the effect of each setting of a sweep, with intervals and figures.",
    ),
    "results": (
        "analysis.commands.published:results",
        "Show the results of runs beside published numbers.",
    ),
    "report": (
        "analysis.commands.report:report",
        "Report a study as one page: curves, tables, verdicts, costs.",
    ),
    "completion": (
        "workbench.commands.completion:completion",
        "Print the completion script for a shell: commands, options, specs and runs.",
    ),
}

# Click's variable for a program of this name, set by a shell at the tab key.
COMPLETING = "_WORKBENCH_COMPLETE"
LONGEST_SHOWN = 120  # letters of a file's name in an error
WATCHER = "analysis.forecast.stopping:watch"  # makes what `run --forecast` hands to the runner


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        ctx.find_root().obj = watcher
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"no command {name!r}; {suggestion(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items()]
        # Not by click's own way, which imports every command for its help, at each press of the tab key.
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(item for item in found if item.value.startswith(incomplete)), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def watcher(text: str, study: str, store: str | None, parameters: dict[str, Any]) -> Any:
    """Return the watcher that a line such as "lfw beat=0.99 stop=0.05" asks for, learned from `study`.

    `parameters` are the run's own settings, which say on what data it is trained.
    """
    module, _, attribute = WATCHER.partition(":")
    return getattr(importlib.import_module(module), attribute)(text, study, store, parameters)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="workbench", message="workbench %(version)s")
def program() -> None:
    """Experiment workbench for people who train face-recognition and other image models.

    Begin with `workbench run experiments/quickstart.py`, then `workbench list`. A run is called STUDY/NAME:SEED
    (`quickstart/head-stage:0`), or @last for the newest; `workbench COMMAND -h` explains a command.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status: 0, 1, 2, 75 or 130 (README, "Exit status")."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # TensorFlow's start-up notes, some of them marked as errors; set before its import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if debug else "3")
    with visible_streams():
        return _main(arguments, debug)


def _main(arguments: list[str], debug: bool) -> int:
    if COMPLETING in os.environ:  # a shell asks, and click needs to know our bash
        importlib.import_module("workbench.commands.completion")
    try:
        refuse_lost(arguments)
        result: Any = program.main(args=arguments, prog_name="workbench", standalone_mode=False)
        return int(result) if isinstance(result, int) else 0
    except WorkbenchError as error:
        if debug:
            raise
        if not isinstance(error, RunStopped):  # no error, and said already
            _say_error(error)
        return error.exit_status
    except click.exceptions.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:  # `workbench` or `workbench data` alone
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        _say("error: " + " ".join(error.format_message().split()))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + int(signal.SIGPIPE)
    except OSError as error:  # a name too long, a full disk, a folder of others: whatever no command foresaw
        if debug:
            raise
        _say_error(_of_system(error))
        return 2


def _of_system(error: OSError) -> str:
    """Return in one line what the system refused, and of which file."""
    name = str(error.filename or "")
    name = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}..."
    words = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{name}: {words}" if name else words


def _say(line: str) -> None:
    """Say the last line on standard error, if that is still there."""
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def _say_error(words: object) -> None:
    from workbench.security.masking import mask  # late: most commands end without an error

    _say(mask(f"error: {words}"))


def entry() -> None:
    """The program: `main` with its result as the exit status of the process."""
    mask_output()
    sys.exit(main())
