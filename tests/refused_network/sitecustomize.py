"""Python imports this at its start where its folder is on the path: whoever asks for another machine is noted, refused.

The file that ISKPO_TEST_CONTACTS names gets a line for each attempt, of this process and of all that it starts.
"""

import os
import socket
from ipaddress import ip_address

_LOCAL = {"", "localhost", socket.gethostname(), None}


def _refuse(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _LOCAL:
        return
    try:
        if ip_address(str(name).partition("%")[0].removeprefix("::ffff:")).is_loopback:
            return
    except ValueError:
        pass
    with open(os.environ["ISKPO_TEST_CONTACTS"], "a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    raise OSError(f"the test refuses contact with {name}")


def _guarded(method):
    def call(self, address, *arguments):
        if self.family in (socket.AF_INET, socket.AF_INET6) and self.type & socket.SOCK_STREAM:
            _refuse(address[0])
        return method(self, address, *arguments)

    return call


def _getaddrinfo(host, *arguments, **options):
    _refuse(host)
    return _resolve(host, *arguments, **options)


_resolve = socket.getaddrinfo
if "ISKPO_TEST_CONTACTS" in os.environ:
    socket.socket.connect = _guarded(socket.socket.connect)
    socket.socket.connect_ex = _guarded(socket.socket.connect_ex)
    socket.getaddrinfo = _getaddrinfo
