"""Filter a study's recorded log ratios again, under settings that no trial ran with."""
