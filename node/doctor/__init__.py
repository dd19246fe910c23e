"""Checks of a machine that is to run a node. Start reading at `node.doctor.checks`."""
