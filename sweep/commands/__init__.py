"""A file for each command; `sweep.cli` gathers them. All are light to import."""
