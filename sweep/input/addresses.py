"""Which paths can hold a study, and how a server's address is shown.

MLflow and Optuna are given the address ``sqlite:///PATH`` of a file. A ``?`` in it begins the address's options, and a
percent escape such as ``%20`` is decoded, so that the file is made somewhere else; MLflow does not take a quoted path
either, since it makes a folder of the quoted name besides. All other characters are taken as they stand.
"""

import os
import re
from pathlib import Path

from sweep.input.errors import UserError

# SQLite opens files of up to 504 bytes: its limit is 512, with the name of the file's journal.
_LONGEST_FOLDER = 480
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# Up to the last @ before the path: people forget to escape one in a password.
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_database_path(path: Path) -> None:
    """A database in this folder, or this file, is opened where it lies and nowhere else.

    Raises:
        UserError: It would not be; nothing has been made yet.
    """
    place = str(path.absolute())
    # Links are followed by some and not by others, so both names must do.
    for name in (place, os.path.realpath(place)):
        shown = repr(name)
        if "?" in name:
            raise UserError(f"{shown} holds a ?, which ends the path in a database's address; choose another name")
        if escape := _ESCAPE.search(name):
            raise UserError(
                f"{shown} holds {escape[0]}, which a database's address takes for another character; choose another "
                "name"
            )
        if _CONTROL.search(name):
            raise UserError(f"{shown} holds a line break or another control character; choose another name")
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            raise UserError(f"{shown} is not UTF-8 text; choose another name") from None
        if length > _LONGEST_FOLDER:
            raise UserError(
                f"{shown} has {length} bytes, and a database's folder at most {_LONGEST_FOLDER}; choose a shorter name"
            )


def without_credentials(text: str) -> str:
    """An address, or a text with addresses in it, without the names and passwords in them.

    >>> without_credentials("no answer from https://me:secret@host:5000/path")
    'no answer from https://host:5000/path'
    """
    return _CREDENTIALS.sub("", text)
