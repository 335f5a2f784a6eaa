"""`workbench completion`: the script by which bash, zsh or fish complete commands, options, specs and runs."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    FishComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from workbench.commands.common_options import DEBUG

PROGRAM, VARIABLE = "workbench", "_WORKBENCH_COMPLETE"  # click's name of it, for a program of this name
SHELLS = ("bash", "zsh", "fish")

# bash cuts words at the colon and the equals sign of `study/name=0.1:0` too, and replaces the last piece alone.
# So the program is given the line itself, and what stands before the piece is taken off each answer.
BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' line="${COMP_LINE:0:$COMP_POINT}" type value
    local word="${line##*[[:space:]]}"
    local piece="${word##*[$COMP_WORDBREAKS]}"
    local before="${word%%"$piece"}"
    COMPREPLY=()
    for completion in $(env COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null); do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                value="${value#"$before"}"
                if [[ $value == *[[:space:]\&\;\(\)\<\>\|\*\?]* ]]; then printf -v value '%%q' "$value"; fi
                COMPREPLY+=("$value") ;;
        esac
    done
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion of bash, with words that hold colons."""

    source_template = BASH

    def source(self) -> str:
        """Return the script; click's own would ask bash for its version, which the reader's shell may not be."""
        return (self.source_template % self.source_vars()).lstrip()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one at the cursor, and that one."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)
        whole = not line or line[-1].isspace()
        return (words[1:], "") if whole else (words[1:-1], words[-1] if words else "")


class Zsh(ZshComplete):
    """Completion of zsh, also where nothing in `~/.zshrc` has started its completion system yet."""

    source_template = ZshComplete.source_template.replace(
        "    compdef ",
        "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n    compdef ",
    )


class Fish(FishComplete):
    """Completion of fish, with names and descriptions that hold commas, which click cuts there."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


for _shell, _name in ((Bash, "bash"), (Zsh, "zsh"), (Fish, "fish")):
    add_completion_class(_shell, _name)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@DEBUG
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion for SHELL; to have it always:

    \b
    bash:  eval "$(workbench completion bash)" in ~/.bashrc
    zsh:   eval "$(workbench completion zsh)" in ~/.zshrc
    fish:  workbench completion fish | source in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, PROGRAM, VARIABLE).source())
