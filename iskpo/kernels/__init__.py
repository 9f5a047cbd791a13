"""Private: the recurrences as compiled or vectorised code, each tested against `iskpo.reference`.

Imports nothing of ours but the bins of the innovation histogram and the settings.
"""
