"""The class that Ray passes on in place of verl's vLLM server: Ray's own serialization, read where vLLM is not."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from ray import cloudpickle

from iskpo.verl.patches.server_handles import light_class

# In a module of its own, as verl's server is.
_SERVER = """
class Heavy: ...

class Server:
    def __init__(self, first: Heavy, *, second: int = 2) -> None:
        self.values = [first, second]

    def address(self) -> list:
        return self.values

    async def generate(self, prompt: str, heavy: Heavy | None = None) -> Heavy:
        return f"{prompt}, {heavy}"
"""
_READ = """
import asyncio, inspect, pickle, sys

with open("light.pkl", "rb") as file:
    light = pickle.load(file)
print(light.__name__, *(f"{name}{inspect.signature(getattr(light, name))}" for name in ("address", "generate")))
print([inspect.iscoroutinefunction(getattr(light, name)) for name in ("address", "generate")])
print("heavy_server" in sys.modules, "iskpo" in sys.modules)
sys.path.insert(0, "modules")
server = light("one", second=3)
print("heavy_server" in sys.modules, server.address(), asyncio.run(server.generate("what", heavy="much")))
"""


def test_it_is_read_without_the_servers_imports_and_is_the_server_once_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "heavy_server.py").write_text(_SERVER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    light = light_class(import_module("heavy_server").Server)
    assert str(inspect.signature(light.__init__)) == "(self, first, *, second=2)"
    (tmp_path / "light.pkl").write_bytes(cloudpickle.dumps(light))
    done = subprocess.run([sys.executable, "-c", _READ], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Server address(self) generate(self, prompt, heavy=None)",
        "[False, True]",
        "False False",
        "True ['one', 3] what, much",
    ]
