"""Runs studies: a YAML file becomes arms, arms and seeds become trials, trials become MLflow runs."""
