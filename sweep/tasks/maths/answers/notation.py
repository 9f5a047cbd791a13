r"""One spelling for what LaTeX, Unicode and plain text spell in many ways; the first step of reading an answer.

Nothing is interpreted here: wrappers are removed, and synonyms get one name. `Reader` reads the result.
"""

import re
import unicodedata

_THIN = "\u2009"
"""Stands for LaTeX's small spaces, which may set off thousands."""
_DECIMAL_COMMA = "\u201a"
"""Stands for a comma in braces, which does not separate items."""
_ROW_ENDS = "\u21b5"
"""Stands for the two backslashes that end a row of a matrix."""

_FRACTIONS = {
    character: "\\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", character).split("⁄"))
    for character in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}
_CHARACTERS = {
    **_FRACTIONS,
    **dict.fromkeys("−–—‐‑﹣－", "-"),
    **dict.fromkeys("×·⋅∙∗✕", "*"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
    **dict.fromkeys("\u2028\u2029\x85\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f", " "),
    **dict.fromkeys("\u202f\u2009\u2006\u00a0", r"\,"),
    "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "√": r"\sqrt ", "∞": r"\infty ", "°": r"\degree ", "º": r"\degree ",
    "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ", "≈": r"\approx ", "≡": r"\equiv ", "…": r"\dots ", "ℝ": r"\reals ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "∖": r"\setminus ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"',
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ",
    "ω": r"\omega ", "σ": r"\sigma ", "δ": r"\delta ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ",
    "⌉": r"\rceil ", "∠": r"\angle ",
}  # fmt: skip
_TRANSLATION = str.maketrans(_CHARACTERS)
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_LEVEL = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉", "0123456789+-0123456789")

_SYNONYMS = {
    "": r"left right bigl bigr Bigl Bigr biggl biggr Biggl Biggr big Big bigg Bigg middle displaystyle textstyle limits"
    r" nolimits scriptstyle unit",
    " ": "quad qquad",
    "*": "cdot times ast bullet",
    "/": "div",
    "|": "vert lvert rvert mid lVert rVert Vert",
    "<": "lt",
    ">": "gt",
    "[": "lbrack",
    "]": "rbrack",
    r"\{": "lbrace",
    r"\}": "rbrace",
    r"\le ": "le leq leqslant leqq",
    r"\ge ": "ge geq geqslant geqq",
    r"\ne ": "ne neq",
    r"\frac": "dfrac tfrac cfrac",
    r"\binom": "dbinom tbinom",
    r"\dots ": "ldots cdots dots dotsc dotsb",
    r"\emptyset ": "emptyset varnothing",
    r"\infty ": "infty infin",
    r"\percent ": "percent",
    r"\degree ": "degree",
    r"\setminus ": "setminus backslash",
    r"\in ": "in isin",
    r"\approx ": "approx simeq",
    r"\phi ": "phi varphi",
    r"\epsilon ": "epsilon varepsilon",
    r"\and ": "wedge land",
    r"\pm ": "pm",
    r"\mp ": "mp",
    r"\cup ": "cup bigcup",
    r"\cap ": "cap bigcap",
    r"\equiv ": "equiv",
    r"\langle ": "langle",
    r"\rangle ": "rangle",
    r"\or ": "vee lor",
}
_NAMES = {name: spelling for spelling, names in _SYNONYMS.items() for name in names.split()}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_TEXT = re.compile(
    r"\\(?:text|mbox|textbf|textit|textrm|textnormal|texttt|textsf|hbox|mathrm|operatorname\*?|mathbf|mathit|mathsf|boldsymbol"
    r"|bm|rm|bf|mathbb)\s*\{([^{}]*)\}"
)
_UPRIGHT = re.compile(r"\\(?:mathrm|operatorname\*?|mathbf|mathit|mathsf|boldsymbol|bm|rm|bf)\b")
_STATES = re.compile(
    r"^(?:\\text\{)?\s*(?:(?:so|thus|hence|therefore)?,?\s*(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\b\s*:?|:|=)"
    r"|\\therefore\b|=|\\approx )\s*\}?\s*",
    re.IGNORECASE,
)
"""What an answer may begin with that says nothing: "the answer is", an equals sign without a left side."""
_BOX = re.compile(r"\$?\s*\\(?:boxed|fbox)\s*\{(.*)\}\s*\$?", re.DOTALL)
_REWRITES = [
    (re.compile(r"\\\\(?:\[[^\]]*\])?"), _ROW_ENDS),
    (re.compile(r"\\(?:hspace|vspace|phantom|hphantom)\*?\s*\{[^{}]*\}"), " "),
    (re.compile(r",\s*\\!\s*"), _DECIMAL_COMMA),
    (re.compile(r"\{\s*,\s*\}|\\,?\{,\}"), _DECIMAL_COMMA),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\[,;:> ]|~|\\thinspace\b"), _THIN),
    (re.compile(r"\^\s*(?:\\circ\b|\{\s*\\circ\s*\}|\\degree\b|\{\s*\\degree\s*\})"), r"\\degree "),
    (re.compile(r"\\?%"), r"\\percent "),
    (re.compile(r"\.\s?\.\s?\."), r"\\dots "),
    (re.compile(r"(?<=[)\]])\s*U\s*(?=[(\[])"), r"\\cup "),
    (re.compile(r"\bper cent\b"), "percent"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\s!=|\\not\s*="), r"\\ne "),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\\(?:\(|\)|\[|\])"), " "),
    (re.compile(r"\\(?:text)?color\s*\{[^{}]*\}|\\(?:rm|bf|it|sf|tt)\b(?!\s*\{)"), ""),
    (re.compile(r"(?<=[0-9])\s*(?:\bto\b|\\text\s*\{\s*to\s*\})\s*(?=[0-9])"), ":"),
    (re.compile(r"\\mathbb\s*(?:R\b|\{\s*R\s*\})"), r"\\reals "),
    (re.compile(r"\\mathbb\s*(?:Z\b|\{\s*Z\s*\})"), r"\\integers "),
    (re.compile(r"\\mathbb\s*(?:N\b|\{\s*N\s*\})"), r"\\naturals "),
    (re.compile(r"\\mathbb\s*(?:Q\b|\{\s*Q\s*\})"), r"\\rationals "),
    (re.compile(r"\\mathbb\s*(?:C\b|\{\s*C\s*\})"), r"\\complexes "),
    (re.compile(r"(?<=[0-9}])\s*\^\s*(?:o(?![A-Za-z])|\{\s*o\s*\})"), r"\\degree "),
]


def clean(text: str) -> str:
    r"""An answer in one spelling.

    >>> clean(r"$\left(-\infty,\,\dfrac{1}{2}\right]$").replace("\u2009", "")
    '(-\\infty ,\\frac{1}{2}]'
    """
    text = re.sub(r"√\s*([0-9]+)", r"\\sqrt{\1}", text)
    text = _RAISED.sub(lambda found: f"^{{{found[0].translate(_LEVEL)}}}", text)
    text = _LOWERED.sub(lambda found: f"_{{{found[0].translate(_LEVEL)}}}", text)
    text = unicodedata.normalize("NFKC", text.translate(_TRANSLATION)).strip().strip('`"')
    if found := _BOX.fullmatch(text):
        text = found[1]
    if text.startswith("**") and text.endswith("**"):
        text = text.strip("*")
    text = _dollars(text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _TEXT.sub(_text, text)
    text = _COMMAND.sub(lambda found: _NAMES.get(found[1], found[0]), text)
    text = re.sub(r"(?:\s*[,;])?\s*(?<![A-Za-z\\])and(?![A-Za-z])\s*", r"\\and ", text)
    text = re.sub(r"(?:\s*[,;])?\s*(?<![A-Za-z\\])or(?![A-Za-z])\s*", r"\\or ", text)
    text = _STATES.sub("", re.sub(r" +", " ", text).strip())
    return re.sub(r"[\s.,;:\u2009]+$", "", text).strip(f" {_THIN}")


def same_writing(one: str, other: str) -> bool:
    """Whether two cleaned answers differ in white space and text wrappers alone."""
    return _bare(one) == _bare(other)


def _bare(text: str) -> str:
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).replace(_THIN, " ").strip()
    return re.sub(r"(?<![0-9])\s+|\s+(?![0-9])", "", text)


def _dollars(text: str) -> str:
    """Math delimiters go; a dollar sign that has no partner, or a backslash, is money."""
    text = text.replace(r"\$", r"\dollar ").replace("$$", "$")
    text = text.replace("€", r"\euro ").replace("£", r"\pound ")
    return text.replace("$", r"\dollar " if text.count("$") == 1 else " ")


def _text(found: re.Match[str]) -> str:
    """What a text wrapper becomes: its content where that is mathematics, else ``\text{...}``."""
    content, upright = found[1], _UPRIGHT.match(found[0])
    word = content.strip()
    if word in ("and", "or") or re.search(r"[0-9=<>+*\\]", word):
        return f" {content} "
    if upright and len(word) == 1 and not (found[0].startswith((r"\mathrm", r"\rm")) and word in "mgshLKJNWV"):
        return f" {word} "
    if upright and word in FUNCTIONS:
        return f"\\{word} "
    content = re.sub(r"\s*,?\s+(and|or)\s+", r"} \\\1 \\text{", content)
    return "\\text{" + re.sub(r",\s+", r"}, \\text{", content) + "}"


_FUNCTIONS = (
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth arsinh arcosh artanh"
    " ln log lg exp gcd lcm max min sgn Re Im sqrt abs floor ceil"
)
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions that are read by name."""
