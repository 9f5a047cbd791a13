"""Private: the recurrences as compiled or vectorised code, one file a device. Each is tested against `iskpo.reference`.

Imports `iskpo.reference`'s neighbours below it: settings and the innovation histogram.
"""
