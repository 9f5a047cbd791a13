import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweep.input.errors import UserError
from sweep.profiles import preflight
from sweep.profiles.preflight import (
    check_before_start,
    check_compiler,
    check_free_space,
    check_output_is_free,
    check_port_is_free,
    check_ray_answers,
    check_shared_memory,
)
from sweep.profiles.profile import Profile


def _profile(**changes) -> Profile:
    return Profile(**{"name": "p", "summary": "s", "task": "t", "device": "cpu", "minimum_free_gb": 0.0, **changes})


def _check(output: Path, **changes) -> None:
    arguments = {"profile": _profile(), "ui_port": None, "ray_address": None, **changes}
    check_before_start(output=output, **arguments)


@contextlib.contextmanager
def _listening():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_machine_that_is_fit_passes_and_is_left_as_it_was(tmp_path):
    _check(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    _check(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_holds_a_study_is_never_overwritten(tmp_path):
    (tmp_path / "mlflow.db").touch()
    with pytest.raises(UserError, match="already holds a study; choose another --output or delete it"):
        check_output_is_free(tmp_path)


def test_an_output_that_holds_anything_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="is not empty"):
        check_output_is_free(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        check_output_is_free(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="cannot be written to"):
        check_output_is_free(tmp_path / "notes.txt" / "below")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(UserError, match="is a file"):
        check_output_is_free(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("why?/run1", "holds a ?, which"),
        ("one%20two", "holds %20, which"),
        ("one%c3%a4", "holds %c3, which"),
        ("one\ntwo", "holds a line break"),
        ("one\u2028two", "holds a line break"),
        ("one\x1b[31m", "or another control character"),
        ("one\udcff", "is not UTF-8 text"),
        ("x" * 300, "File name too long"),
        ("/".join(["x" * 100] * 5), "and a database's folder at most 480"),
    ],
)
def test_an_output_whose_name_would_lead_elsewhere_is_refused_in_one_line(tmp_path, name, reason):
    with pytest.raises(UserError, match=re.escape(reason)) as refused:
        check_output_is_free(tmp_path / name)
    assert len(str(refused.value).splitlines()) == 1
    (tmp_path / "link").symlink_to(tmp_path / name)
    with pytest.raises(UserError):
        check_output_is_free(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("name", ["a#b", "a b", 'it\'s "so"', "naïve 研究", "50%", "100%b", "a&b=c;d", "x" * 200])
def test_other_names_of_an_output_are_taken(tmp_path, name):
    _check(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write to")
def test_an_output_that_cannot_be_written_is_refused():
    with pytest.raises(UserError, match="cannot be written to"):
        check_output_is_free(Path("/proc/self/study"))


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be used"):
        _check(tmp_path / ("x" * 300))


def test_too_little_disk_is_refused_with_folder_free_and_needed(tmp_path):
    with pytest.raises(UserError) as caught:
        _check(tmp_path / "study", profile=_profile(minimum_free_gb=1e9))
    free = shutil.disk_usage(tmp_path).free / 1e9
    assert f"output folder {tmp_path}" in str(caught.value)
    assert "1e+09 GB needed" in str(caught.value)
    stated = float(str(caught.value).split(" GB free")[0].rsplit(" ", 1)[1])
    assert stated == pytest.approx(free, abs=5)
    with pytest.raises(UserError, match="temp folder"):
        check_free_space(tmp_path, purpose="temp", needed_gb=1e9)
    with pytest.raises(UserError, match="not enough disk space in the output folder"):
        _check(tmp_path / "study", checkpoints_gb=1e9)


def test_a_full_disk_is_refused(tmp_path):
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        with contextlib.suppress(OSError), (tmp_path / "fill").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        with pytest.raises(UserError, match=r"output folder .*(No space left on device|0\.0 GB free)"):
            _check(tmp_path / "study", profile=_profile(minimum_free_gb=0.01))
        assert not (tmp_path / "study").exists()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_too_little_shared_memory_is_refused():
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm here")
    check_shared_memory(needed_mb=0)
    with pytest.raises(UserError, match="--shm-size"):
        check_shared_memory(needed_mb=1e12)


@pytest.mark.parametrize("command", ["doctor --profile tiny", "run studies/smoke.yaml --profile tiny --output"])
def test_a_full_dev_shm_is_said_at_the_start(command: str, tmp_path: Path) -> None:
    arguments = command.split() + ([str(tmp_path / "output")] if command.endswith("--output") else [])
    program = [sys.executable, "-m", "sweep.cli", *arguments]
    # One's own, in which nobody else's files are.
    script = 'mount -t tmpfs -o size=10m tmpfs /dev/shm || exit 77; exec "$@"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *program], capture_output=True, text=True)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("this user may not mount a file system")
    assert done.returncode == 2
    assert "shared memory" in done.stderr
    assert "10 MB free, 40 MB needed" in " ".join((done.stdout + done.stderr).split())
    assert not (tmp_path / "output").exists()


def test_an_occupied_port_is_refused_and_a_free_one_is_not():
    with _listening() as port, pytest.raises(UserError, match=f"port {port} on 127.0.0.1 cannot be used"):
        check_port_is_free(port)
    check_port_is_free(port)
    for wrong in (0, -1, 65536):
        with pytest.raises(UserError, match="not between 1 and 65535"):
            check_port_is_free(wrong)


def test_ray_addresses(tmp_path, monkeypatch):
    with _listening() as port:
        check_ray_answers(f"127.0.0.1:{port}")
        check_ray_answers(f"ray://127.0.0.1:{port}")
        monkeypatch.setattr(preflight, "_CURRENT_CLUSTER", tmp_path / "ray_current_cluster")
        with pytest.raises(UserError, match="no Ray cluster runs on this machine"):
            check_ray_answers("auto")
        (tmp_path / "ray_current_cluster").write_text(f"127.0.0.1:{port}\n")
        check_ray_answers("auto")
    with pytest.raises(UserError, match="no Ray cluster answers at"):
        check_ray_answers(f"127.0.0.1:{port}")
    for wrong in ("nonsense", "host:", ":", "host:port", ""):
        with pytest.raises(UserError, match="neither 'auto' nor host:port"):
            check_ray_answers(wrong)
    with pytest.raises(UserError, match="no Ray cluster answers at"):
        check_ray_answers("127.0.0.1:99999999")


@pytest.mark.parametrize("address", ["http://head:8265", "https://user:secret@head:8265/", "HTTP://head"])
def test_the_dashboards_address_is_told_from_the_clusters(address):
    with pytest.raises(UserError, match=r"dashboard and job server; give the cluster's own, .*: head:6379") as error:
        check_ray_answers(address)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_long_temp_folder_is_refused_because_of_rays_sockets(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert len(os.fsencode(tmp_path)) > 23
    with pytest.raises(UserError, match="set TMPDIR to a shorter one"):
        _check(tmp_path / "study")


def test_a_gpu_profile_needs_a_compiler_and_headers_and_a_cpu_profile_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", str(tmp_path / "no-compiler"))
    _check(tmp_path / "out")
    with pytest.raises(UserError, match=r"no C compiler.*install gcc, or name one in CC"):
        _check(tmp_path / "out", profile=_profile(device="cuda"))
    # A replay trains nothing.
    _check(tmp_path / "out", profile=_profile(device="cuda"), trains=False)
    compiler = tmp_path / "cc"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setattr(preflight.sysconfig, "get_paths", lambda scheme: {"include": str(tmp_path)})
    with pytest.raises(UserError, match=r"no .*Python.h.*-dev"):
        check_compiler()
    (tmp_path / "Python.h").touch()
    check_compiler()


def test_missing_components_are_named(monkeypatch):
    monkeypatch.setattr(preflight, "_PARTS", {"ray": "schedules trials", "no_such_part": "does something"})
    with pytest.raises(UserError, match=r"not installed: no_such_part \(does something\); install"):
        preflight.check_installed()
