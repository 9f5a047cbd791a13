"""A file for each command; `sweep.commands.cli` gathers them. All are light to import."""
