"""How a command ends: what went wrong in words on stderr, and its kind as the exit status."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress

import click

from chain.errors import NeuroError
from training.errors import TrainingError
from wallet.exit_codes import DONE, INTERRUPTED, REFUSED, USAGE, exit_code_of


def ended(work: Callable[[], object]) -> int:
    """Run a command line; its exit status. What nobody expected is raised."""
    try:
        found = work()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nneuroshard: stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except (NeuroError, TrainingError, OSError, UnicodeError) as error:
        print(f"neuroshard: {error}", file=sys.stderr)
        return exit_code_of(error)
    return found if isinstance(found, int) else DONE


def _unread() -> int:
    """Whoever read the output has left, as `head` does: nothing to tell, and nothing more to write."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return REFUSED
