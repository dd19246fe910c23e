"""What each subcommand does. One file a command; `node.cli` holds their options."""
