"""The wallet's commands, a module for each subject. `wallet.registry.commands` lists them."""
