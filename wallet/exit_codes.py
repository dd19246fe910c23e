"""How a command ends, for whoever started it. Told in docs/cli.md."""

from wallet.errors import BadValue, NodeAway, PasswordNeeded, WrongPassword

DONE = 0
REFUSED = 1  # refused or failed, told in words
USAGE = 2  # called wrongly
AWAY = 3  # no node answers
PASSWORD = 4  # it is wrong, or nobody could be asked for it
INTERRUPTED = 130  # Ctrl-C


def exit_code_of(error: BaseException) -> int:
    """The exit status that an error of the family leads to."""
    match error:
        case NodeAway():
            return AWAY
        case WrongPassword() | PasswordNeeded():
            return PASSWORD
        case BadValue():
            return USAGE
        case KeyboardInterrupt():
            return INTERRUPTED
    return REFUSED
