import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.maths.answers.numerals import plain_number
from sweep.tasks.maths.grader import Grader
from sweep.tasks.maths.grading_process import Outcome


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", r"\dfrac12"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
        (r"\text{Evelyn}", "Evelyn"),
        ("1,-2", "-2, 1"),
        (r"3\sqrt{13}", r"\sqrt{117}"),
        ("x^2 + 2x + 1", "(x+1)^2"),
        ("5", "x = 5"),
        ("033", "33"),
        ("2220", "2,220"),
        (r"90^\circ", "90"),
        (r"6 - 5i", "6-5i"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2/2 \\ 2 \end{pmatrix}"),
    ],
)
def test_the_same_mathematics_is_right(grader, truth, answer):
    grading = grader.grade(response=f"so \\boxed{{{answer}}}", truth=truth)
    assert (grading.correct, grading.outcome, grading.answer) == (True, Outcome.GRADED, answer)


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("42", "43"),
        ("42", "-42"),
        ("1", "1.001"),
        ("11/2", "1 1/2"),
        (r"\frac{1}{3}", "0.33"),
        (r"\text{Evelyn}", "Angela"),
        ("1,2", "1,2,3"),
        ("(1,2)", "(2,1)"),
        (r"[0,1]", "(0,1)"),
        ("x^2+1", "x^2-1"),
        ("p - q", "q - p"),
        ("5", r"\text{six}"),
    ],
)
def test_other_mathematics_is_wrong(grader, truth, answer):
    assert not grader.grade(response=f"so \\boxed{{{answer}}}", truth=truth).correct


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", Fraction(7)),
        ("-07", Fraction(-7)),
        (r"-\frac{6}{8}", Fraction(-3, 4)),
        (r"\dfrac34", Fraction(3, 4)),
        (r"\tfrac {3} { 4 }", Fraction(3, 4)),
        ("+3 / 4", Fraction(3, 4)),
        ("1/0", None),
        ("0.75", None),
        ("1 1/2", None),
        ("1,000", None),
        ("٣", None),
        ("7%", None),
        (r"\frac{1}{2}x", None),
        ("", None),
        ("9" * 33, None),
    ],
)
def test_plain_numbers_are_read_without_latex(text, value):
    assert plain_number(text) == value


@given(
    st.tuples(*[st.integers(-40, 40)] * 2),
    st.tuples(*[st.integers(1, 12)] * 2),
    st.sampled_from(["{}/{}", r"\frac{{{}}}{{{}}}"]),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_plain_numbers_are_compared_as_a_grading_process_does(grader, over, under, form):
    answer, truth = (form.format(*pair) for pair in zip(over, under, strict=True))
    assert grader.compare(answer=answer, truth=truth).correct == grader._ask(answer, truth).correct


def test_exact_matching_takes_the_same_text_alone():
    with Grader(matching="exact") as exact:
        assert exact.grade(response=r"\boxed{ \frac{1}{2} }", truth=r"\frac{1}{2}").correct
        assert not exact.grade(response=r"\boxed{0.5}", truth=r"\frac{1}{2}").correct
        assert not exact.grade(response=r"\boxed{042}", truth="42").correct
    with pytest.raises(ValueError, match="must be 'equivalent', 'strict' or 'exact', not 'loose'"):
        Grader(matching="loose")


def _nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


TOWERS = ["9^{9^{9^9}}", "9^{9^{9^{9^9}}}", "(10^{10^{8}})!", "99999999!", r"\binom{10^9}{5\cdot 10^8}"]
HOSTILE = [
    *TOWERS,
    "2^{2^{2^{2^{2^{2^2}}}}}-2^{2^{2^{2^{2^{2^2}}}}}",
    "1/0",
    r"\frac{1}{0}",
    _nested("{", "}", 240),
    _nested("(", ")", 240),
    _nested(r"\sqrt{", "}", 70),
    _nested(r"\frac{1}{", "}", 50),
    r"\left(" * 80,
    "+" * 500,
    "1+" * 250 + "1",
    "x_{" * 100 + "}" * 100,
    r"\sum_{n=1}^{10^{9}} \frac{1}{n^n}",
    r"\int_0^1 x^{x^{x^x}} \sin(e^{x^2}) dx",
    r"\lim_{n\to\infty} \prod_{k=1}^{n} (1+1/k^k)",
    "x^{100000}(x+1)^{100000}",
    "(a+b+c+d+e+f)^{200}",
    "\x00\x01\ufffe",
    "\ud800",
    "٣٤",
    "1" * 500,
    "1." + "3" * 500,
    "0x41414141",
    "__import__('os').system('exit 1')",
    r"\text{" + "a" * 400 + "}",
    "9" * 250 + "^{" + "9" * 240 + "}",
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_answers_end_in_a_verdict(strict_grader, number):
    grading = strict_grader.grade(response=f"\\boxed{{{HOSTILE[number]}}}", truth=r"x^2+\frac{1}{3}")
    assert not grading.correct
    assert grading.outcome in Outcome
    # The next one, which nobody has asked before, is graded as if nothing had been.
    assert strict_grader.grade(response=f"\\boxed{{{number}.5}}", truth=f"\\frac{{{2 * number + 1}}}{{2}}").correct


def test_strict_matching_takes_the_same_notation_in_any_spelling():
    with Grader(matching="strict", processes=1) as strict:
        for answer in (r"\dfrac12", r"$\frac{1}{2}$", r"\frac {1} {2}."):
            assert strict.grade(response=f"\\boxed{{{answer}}}", truth=r"\frac{1}{2}").correct, answer
        for answer in ("0.5", "1/2 + 0", r"\frac{2}{4}"):
            assert not strict.grade(response=f"\\boxed{{{answer}}}", truth=r"\frac{1}{2}").correct, answer
        assert strict.compare(answer="1,234", truth="1234").correct
        assert not strict.compare(answer="45", truth=r"45\%").correct


def test_a_verdict_names_its_rule_and_what_was_read(grader):
    grading = grader.grade(response=r"so \boxed{28\%}", truth=r"\frac{7}{25}")
    assert (grading.rule, grading.answer_read, grading.truth_read) == ("percent", "28%", "7/25")
    assert grader.compare(answer="no such", truth="7").rule == "kinds differ"
    assert grader.compare(answer="7 (?)", truth="8").rule == "unreadable"
    assert grader.compare(answer="9^{9^{9^9}}", truth="7").rule == "too large"


ENDLESS = [
    r"\sum_{a=1}^{2000} \sum_{b=1}^{2000} \sin(a+b^3)",
    r"\sum_{a=1}^{1999} \prod_{b=1}^{2000} (a+b)^{90}",
]


def test_what_takes_too_long_times_out(strict_grader):
    for answer in ENDLESS:
        first = strict_grader.grade(response=f"\\boxed{{{answer}}}", truth="7")
        assert first.outcome is Outcome.TIMED_OUT
        assert strict_grader.grade(response=f"\\boxed{{{answer}}}", truth="7") == first


@pytest.mark.parametrize("response", [None, 3, b"\\boxed{1}", [], "", "no box", "1" * 2_000_000, "\\boxed{1" * 300_000])
def test_without_an_answer_nothing_is_asked(response):
    with Grader(processes=1) as fresh:
        grading = fresh.grade(response=response, truth="1")
        assert (grading.correct, grading.outcome, grading.answer) == (False, Outcome.UNPARSED, "")
        assert fresh._idle.empty()  # no process was started for it


@given(answer=st.text(alphabet="0123456789\\frac{}^_()+-*/=,. xyπ√!%$&", max_size=24), number=st.integers(-9, 999))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_any_answer_ends_in_a_verdict_and_the_right_one_in_true(strict_grader, answer, number):
    assert strict_grader.compare(answer=answer, truth=str(number)).outcome in Outcome
    assert strict_grader.grade(response=f"{answer} \\boxed{{{number}}}", truth=str(number)).correct


def test_threads_share_a_grader(grader):
    def grade(number: int) -> bool:
        truth = f"\\frac{{{2 * (number + number % 2) + 1}}}{{2}}"
        return grader.grade(response=f"\\boxed{{{number}.5}}", truth=truth).correct

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(grade, range(100, 160))) == [number % 2 == 0 for number in range(100, 160)]
    assert grader._idle.qsize() <= 2


CHILDREN = r"""
import json, os, sys, time
from sweep.tasks.maths.grading_process import GradingChild, Limits

def raises(a, t): raise RecursionError
def loops(a, t):
    while True: pass
def sleeps(a, t): time.sleep(60)
def hoards(a, t): return len(bytearray(1 << 30)) > 0, True
def aborts(a, t): os.abort()
def leaves(a, t): sys.exit(0)
def prints(a, t): print("[false, true, true]", flush=True); os.write(1, b"\n"); return False, True
def writes(a, t): open("forbidden", "w").write("x" * 10); return True, True
def agrees(a, t): return a == t, True
def grows(a, t): grows.kept = b"x" * (150 << 20); return True, True

never, _ = os.pipe()
for compare in (raises, loops, sleeps, hoards, aborts, leaves, prints, writes, agrees, grows):
    wall = 0.5 if compare is sleeps else 60.0
    # On a busy machine new pages cost what a short limit allows: only who is to meet a limit has one.
    cpu = 0.5 if compare is loops else 30.0
    child = GradingChild(compare=compare, limits=Limits(cpu_seconds=cpu, wall_seconds=wall, memory_bytes=1 << 28))
    outcome, correct, *_ = child.ask(json.dumps(["1", "1"]).encode(), interrupt=never)
    print(json.dumps([compare.__name__, outcome, correct, child.alive]))
    child.end()
"""


def test_a_child_is_ended_by_what_it_does_and_by_nothing_else(tmp_path):
    # In a process of its own: a child forked from this one would begin with all that other tests have loaded.
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN], capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    found = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    assert found == {
        "raises": ["unparsed", False, True],
        "loops": ["timed_out", False, False],
        "sleeps": ["timed_out", False, False],
        "hoards": ["crashed", False, False],
        "aborts": ["crashed", False, False],
        "leaves": ["crashed", False, False],
        "prints": ["graded", False, True],
        "writes": ["crashed", False, False],
        "agrees": ["graded", True, True],
        "grows": ["graded", True, False],
    }
    assert not (tmp_path / "forbidden").exists() or (tmp_path / "forbidden").stat().st_size == 0


def test_nothing_outlives_a_grader_that_was_killed():
    code = (
        "import sys, time, threading; from sweep.tasks.maths.grader import Grader\n"
        "grader = Grader(processes=1); grader.compare(answer='0.5', truth='x')\n"
        "threading.Thread(target=grader.compare, kwargs={'answer': '9^{9^{9^9}}', 'truth': '7'}, daemon=True).start()\n"
        "print('ready', flush=True); time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert starter.stdout.readline() == "ready\n"
        family = psutil.Process(starter.pid).children(recursive=True)
        assert family
    finally:
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    deadline = time.monotonic() + 60
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family):
        assert time.monotonic() < deadline, "grading processes are still there"
        time.sleep(0.1)


def test_a_grading_process_that_dies_is_replaced():
    with Grader(processes=1) as fresh:
        assert fresh.grade(response=r"\boxed{0.5}", truth=r"\frac{1}{2}").correct
        fresh._idle.queue[0]._process.kill()
        assert fresh.grade(response=r"\boxed{0.25}", truth=r"\frac{1}{2}").outcome is Outcome.CRASHED
        assert fresh.grade(response=r"\boxed{0.5}", truth=r"\frac{2}{4}").correct


SHADOWS = """
import os
print(__file__, flush=True)
open(os.environ.get("WITNESS", os.devnull), "a").write("imported")
raise SystemExit("the user's own file was imported")
"""


def test_files_in_the_current_folder_are_not_taken_for_python_or_for_us(tmp_path):
    for name in ("types.py", "sweep.py", "mpmath.py", "fractions.py", "json.py"):
        (tmp_path / name).write_text(SHADOWS)
    (tmp_path / "iskpo").mkdir()
    (tmp_path / "iskpo" / "__init__.py").write_text(SHADOWS)
    code = (
        "import sys; sys.path.remove('') if '' in sys.path else None\n"
        "from sweep.tasks.maths.grader import Grader\n"
        "with Grader(processes=1) as grader: print(grader.compare(answer='0.5', truth='1/2').outcome)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.stdout == "graded\n"


def test_a_grading_process_has_no_secrets(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:password@host")
    with Grader(processes=1) as fresh:
        assert fresh.compare(answer="0.5", truth="1/2").correct
        names = psutil.Process(fresh._idle.queue[0]._process.pid).environ().keys()
    assert names <= {"PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "PYTHONPATH"}


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\u00a0"])
def test_separators_of_lines_are_white_space(grader, separator):
    assert grader.compare(answer=f"x{separator}+{separator}1", truth="1+x").correct
