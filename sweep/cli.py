"""The command line as `python -m sweep.cli`, for where the console script is not installed."""

from sweep.commands.cli import main

if __name__ == "__main__":
    main()
