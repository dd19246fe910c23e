"""A typed line as a command's words: one way of reading for the command line and the terminal. Uses click."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from wallet.errors import BadValue
from wallet.kinds import Candidate, Kind
from wallet.registry import Command, Parameter, Raw

PROGRAM = "neuroshard wallet"
# The words of a kind that begin so, for a shell; it knows the options typed so far by the context.
Completer = Callable[[click.Context, Kind[Any], str], Iterable[Candidate]]


def read(command: Command, words: Sequence[str]) -> dict[str, Raw]:
    """What the words after a command's name say, not read by their kinds yet. Raises BadValue."""
    try:
        with click_command(command).make_context(command.name, list(words)) as context:
            return dict(context.params)
    except click.UsageError as error:
        raise BadValue(f"{told(error)} Usage: {command.usage}") from None


def told(error: click.UsageError) -> str:
    """In words that do not repeat what is too much: somebody may have typed his words or his password there."""
    message = error.format_message()
    return "There are more words than it takes." if message.startswith("Got unexpected extra argument") else message


def click_command(
    command: Command,
    callback: Callable[..., Any] | None = None,
    more: Sequence[click.Parameter] = (),
    completer: Completer | None = None,
) -> click.Command:
    """A command as click knows it, with more options of the place where it is typed."""
    return click.Command(
        command.name,
        callback=callback,
        params=[*(_parameter(each, completer) for each in command.parameters), *more],
        help=help_text(command, PROGRAM),
        short_help=command.summary,
        add_help_option=callback is not None,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "allow_interspersed_args": not any(each.takes_rest for each in command.parameters),
        },
    )


def help_text(command: Command, program: str = "") -> str:
    """Summary, arguments and examples."""
    lines = [command.summary, ""]
    arguments = [each for each in command.parameters if not each.is_option]
    if arguments:
        lines += ["\b", *(f"{each.metavar}: {each.meaning}" for each in arguments), ""]
    head, *rest = (f"{program} {example}".strip() for example in command.examples)
    return "\n".join([*lines, "\b", f"Example: {head}", *(f"         {each}" for each in rest)])


def _parameter(each: Parameter, completer: Completer | None) -> click.Parameter:
    def complete(context: click.Context, _: click.Parameter, prefix: str) -> list[CompletionItem]:
        found = () if completer is None else completer(context, each.kind, prefix)
        return [CompletionItem(one.text, help=one.meaning) for one in found]

    if not each.is_option:
        name = f"{each.metavar}..." if each.takes_several else each.metavar
        metavar = name if each.is_required else f"[{name}]"
        return click.Argument(
            [each.name],
            required=each.is_required,
            nargs=-1 if each.takes_several else 1,
            metavar=metavar,
            shell_complete=complete,
        )
    names = [each.name, each.typed]
    if each.is_flag:
        return click.Option(names, is_flag=True, default=None, help=each.meaning)
    return click.Option(
        names,
        required=each.is_required,
        multiple=each.takes_several,
        metavar=each.metavar,
        help=each.meaning,
        shell_complete=complete,
    )
