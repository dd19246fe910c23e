"""The wallet's prompt: `neuroshard wallet` without a command. Start reading at `loop`."""
