"""Commands that have a file of their own; `sweep.cli` gathers them. All are light to import."""
