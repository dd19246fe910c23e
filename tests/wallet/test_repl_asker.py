"""What a command says at the prompt while it works."""

from wallet.repl.asker import Asker


def test_what_a_command_hears_bit_by_bit_is_told_in_words_and_not_raw(capsys) -> None:
    Asker(is_dumb=False).say("Round 1 is finished\x1b[2J.", {"event": "round_closed"})
    told = capsys.readouterr().out
    assert told.startswith("Round 1 is finished") and "\x1b" not in told and "event" not in told
