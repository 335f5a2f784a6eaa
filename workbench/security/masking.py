"""Secrets taken out of whatever is recorded: keys, tokens, passwords, addresses that carry them.

Four looks at each line: the patterns of the scanner `detect-secrets` and of services that it does not know,
names that mean a secret (`password=`, `"api_key":`, `--token`), user and password within an address, and
the values of this process's own secret environment variables wherever they turn up. Strings are not judged
by their randomness: commits, digests, fingerprints and run names are random too, and must stay.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MARK = "***"
CODE = (".py", ".pyi", ".ipynb", ".c", ".cc", ".cpp", ".h", ".js", ".ts", ".java", ".go", ".rs")
LONGEST_LINE = 4000  # letters judged at once; longer lines are cut, where they can be at wide gaps
_GAP = re.compile(r"(\s{40,})")
BLOCK_LINES = 2000  # judged at once: most blocks of a long log hold nothing of interest

# Families of names. A password may be any text; keys and tokens are never plain words or numbers.
_PASSWORDS = (
    r"passwords?|passwd|passphrase|pwd|(?:db|database|user|mysql|pg|smtp|mail|ftp|root|admin)[_-]?pass"
)
_KEYS = (
    r"secrets?|tokens?|credentials?|"
    r"(?:api|auth|access|secret|private|account|client|service|shared|signing|encryption|master)[_-]?keys?"
    r"(?:[_-]?id)?"
)
_NAME = rf"(?P<name>(?<![A-Za-z0-9])[\w.-]{{0,120}}?(?:(?P<word>{_PASSWORDS})|{_KEYS})[_-]?\d{{0,2}})(?![A-Za-z0-9_-])"
_NO_SECRET = re.compile(  # tokens of a sequence, counts of them
    r"(?:pad|padding|eos|bos|unk|mask|cls|class|sep|dist|distillation|image|patch|register|special|start|end"
    r"|stop|next|per|num|n|max|min)[_.-]?tokens?$",
    re.IGNORECASE,
)
_QUOTED = r"""[rbuf]{0,2}(?P<quote>\\?["'`])(?P<quoted>(?:\\.|(?!(?P=quote))[^\n])+?)(?P=quote)"""
_BARE = r"""(?P<bare>[^\s"'`,;&<>(){}\[\]]+)"""
_SIGN = r"""\\?["'\]]{0,2}\s{0,20}(?P<sign>:=|=>|={1,3}|!=|:)\s{0,20}"""
_ANNOTATED = r"""(?:\s{0,20}:\s{0,20}[\w\[\], .|]{1,100})?"""
_NAMED = re.compile(rf"{_NAME}{_SIGN}(?:{_QUOTED}|{_BARE})", re.IGNORECASE)
_NAMED_IN_CODE = re.compile(rf"{_NAME}{_ANNOTATED}{_SIGN}{_QUOTED}", re.IGNORECASE)
_OPTION = re.compile(rf"(?<![\w-])--?{_NAME}(?P<sign>[ \t]{{1,20}})(?!-)(?:{_QUOTED}|{_BARE})", re.IGNORECASE)
_DEFAULT = re.compile(
    rf"""(?:getenv|environ\.get|setdefault)\(\s{{0,20}}["']{_NAME}["'](?P<sign>\s{{0,20}},\s{{0,20}}){_QUOTED}""",
    re.IGNORECASE,
)
_BEARER = re.compile(
    r"(?P<before>authorization\W{1,4}(?:bearer|basic|token)?\s{0,20}|bearer\s{1,20})(?P<value>(?=[^\s\"']{0,500}\d)[\w.~+/=-]{12,})",
    re.IGNORECASE,
)
_NETRC = re.compile(
    r"(?P<before>\blogin\s{1,20}\S{1,200}\s{1,20}password\s{1,20})(?P<value>\S+)", re.IGNORECASE
)
_QUERY = re.compile(
    r"(?P<before>[?&][\w-]*(?:sig|signature|key|token|code)=)(?P<value>[^&\s\"'#]{8,})", re.IGNORECASE
)
# user:password@ of any address; a user alone is a token where people write http
_USER = re.compile(
    r"(?P<before>://)(?P<value>[^\s/'\"<>@:]{0,200}:(?!\d{1,5}/)[^\s'\"<>]{1,500})(?=@[\w\[*])"
)
_HTTP_USER = re.compile(r"(?P<before>https?://)(?P<value>[^\s/'\"<>@:]+)(?=@[\w\[])", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|PuTTY-User-Key-File-\d.*?(?:Private-MAC: *\w+|\Z)",
    re.DOTALL,
)
_FIELD = re.compile(  # services of the field that the scanner does not know
    r"\b(?:hf_[A-Za-z0-9]{30,}|github_pat_\w{40,}|dapi[0-9a-f]{32}(?:-\d)?|sk-ant-[\w-]{20,}"
    r"|sk-(?:proj|svcacct|admin)-[\w-]{32,}|sk-[A-Za-z0-9]{32,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{36}|glpat-[\w-]{20,}"
    r"|xapp-\d-[\w-]{10,}|shpat_[0-9a-f]{32}|dop_v1_[0-9a-f]{64})"
    r"|\beyJ[\w-]{8,4000}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|discord(?:app)?\.com/api/webhooks/\d+/[\w-]+"
)
_PLACEHOLDER = re.compile(
    r"none|null|nil|true|false|yes|no|on|off|str|int|bytes|\*+|x{3,}|\.{2,}|[<$%{].*|os\.environ.*|"
    r"(?-i:[A-Z_]*(?:PASSWORD|TOKEN|KEY|SECRET)[A-Z_]*|[A-Z]+(?:_[A-Z]+)+)",  # names of variables
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w+/-]{16,}", re.ASCII)
_WORDS = ("pass", "pwd", "secret", "token", "credential", "key")
_HINTS = (*_WORDS, "://", "authorization", "bearer", "login", "sig", "code")
_OWN_KINDS = ("Basic Auth Credentials", "Private Key", "Public IP (ipv4)")  # judged here, or no secret


def mask(text: str, *, code: bool = False) -> str:
    """Return `text` as it may be recorded; `code` expects source, where only quoted values are secrets."""
    return _masked_text(text, code)[0]


def secrets_in(text: str, *, code: bool = False) -> list[str]:
    """Return the kinds of secrets that `text` holds, each once; empty when it may be recorded as it is."""
    return _masked_text(text, code)[1]


def secrets_in_diff(diff: str) -> list[str]:
    """Return what secrets a diff of git holds, as `file (kind)`; each file is judged as what it is."""
    found = []
    for part in re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE):
        name = re.match(r"diff --git .* b/(.*)", part)
        file = name.group(1) if name else "the diff"
        found += [f"{file} ({kind})" for kind in secrets_in(part, code=file.endswith(CODE))]
    return list(dict.fromkeys(found))


def masked(value: Any, name: str = "") -> Any:
    """Return `value` with every text in it masked, keys too; under the name of a secret nothing is kept.

    Words of a command line hide what follows an option such as `--password`.
    """
    if isinstance(value, str):
        hidden = name and _is_name(name) and value and not _PLACEHOLDER.fullmatch(value)
        return MARK if hidden else mask(value)
    if isinstance(value, Mapping):
        return {mask(str(key)): masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        words = ["", *(item if isinstance(item, str) else "" for item in value)]
        option = [word.lstrip("-") if word.startswith("-") and "=" not in word else name for word in words]
        return type(value)([masked(item, before) for item, before in zip(value, option)])
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and re.search(_PASSWORDS, name.lower())
    ):
        return MARK if _is_name(name) else value
    return value


def _is_name(name: str) -> bool:
    found = re.fullmatch(_NAME, name.rpartition(".")[2], re.IGNORECASE)
    return found is not None and not _NO_SECRET.search(name)


# ---------------------------------------------------------------- texts


def _masked_text(text: str, code: bool) -> tuple[str, list[str]]:
    kinds: dict[str, None] = {}
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        text, count = _PRIVATE_KEY.subn(MARK, text)
        kinds.update({"private key": None} if count else {})
    own = _own_secrets()
    if not own and not _has_long(text) and not any(hint in text.lower() for hint in _HINTS):
        return text, list(kinds)  # most settings: the scanner is not loaded for them
    return "".join(_blocks(text, code, own, kinds)), list(kinds)


def _blocks(text: str, code: bool, own: tuple[str, ...], kinds: dict[str, None]) -> Iterator[str]:
    """Yield the text again, masked, a block of lines at a time."""
    lines = text.splitlines(keepends=True)
    for first in range(0, len(lines), BLOCK_LINES):
        block = lines[first : first + BLOCK_LINES]
        joined = "".join(block)
        lowered, long = joined.lower(), "".join(line for line in block if _has_long(line))
        looks = [look for look in _looks(code) if look.may_find(joined, lowered, long)]
        found = [secret for secret in own if secret in joined]
        if looks or found:
            yield from (_masked_line(line, looks, found, kinds) for line in block)
        else:
            yield joined


def _has_long(text: str) -> bool:
    """Tell whether a long word with a digit stands in `text`; each letter is looked at twice at most."""
    return any(any(map(str.isdigit, found[0])) for found in _WORD.finditer(text))


@dataclass(frozen=True)
class _Look:
    """One pattern and what it finds (nothing said: what the name says). It is looked for only where one of
    `words` stands, or without those, in lines that hold a long word with a digit."""

    pattern: re.Pattern[str]
    kind: str = ""
    words: tuple[str, ...] = ()
    strict: bool = False  # what stands without quotes may be an expression of a program

    def may_find(self, text: str, lowered: str, long: str) -> bool:
        if self.words and not any(word in lowered for word in self.words):
            return False
        if max(map(len, text.splitlines()), default=0) > LONGEST_LINE:
            return True  # such lines are judged in pieces
        return self.pattern.search(text if self.words else long) is not None


@functools.lru_cache(maxsize=2)
def _looks(code: bool) -> tuple[_Look, ...]:
    """Return all looks in their order; the scanner is loaded when the first text needs it."""
    address, credential = "password in an address", "credential"
    own = [_Look(_USER, address, ("://",)), _Look(_HTTP_USER, address, ("://",))]
    own += [_Look(_BEARER, credential, ("authorization", "bearer")), _Look(_NETRC, credential, ("login",))]
    own += [_Look(_QUERY, credential, ("sig", "key", "token", "code"))]
    named = (_DEFAULT, _NAMED_IN_CODE, _OPTION, _NAMED) if code else (_OPTION, _NAMED)
    return (*own, *(_Look(pattern, "", _WORDS, strict=code) for pattern in named), *_scanner())


def _masked_line(line: str, looks: Iterable[_Look], own: Iterable[str], kinds: dict[str, None]) -> str:
    for secret in own:
        if secret in line:
            line = line.replace(secret, MARK)
            kinds["value of a secret environment variable"] = None
    if len(line) > LONGEST_LINE:  # the patterns of others are not linear: none of them sees more at once
        pieces = _GAP.split(line)
        if max(map(len, pieces)) > LONGEST_LINE:
            pieces = [
                piece[i : i + LONGEST_LINE] for piece in pieces for i in range(0, len(piece), LONGEST_LINE)
            ]
        if len(pieces) > 1:
            return "".join(_masked_line(piece, looks, (), kinds) for piece in pieces)
    for look in looks:
        for found in reversed(list(look.pattern.finditer(line))):  # from the end: places before it stay right
            start, end = _extent(found, look)
            if start < end and line[start:end] != MARK:
                line = line[:start] + MARK + line[end:]
                kinds[look.kind or found["name"].strip("-.").lower()] = None
    return line


def _extent(found: re.Match[str], look: _Look) -> tuple[int, int]:
    """Return where the secret itself lies in a match; nothing where a name's value is none."""
    groups = found.re.groupindex
    if "name" in groups:
        return _value_of(found, look.strict)
    if "value" in groups:
        return found.span("value")
    long = [number for number, text in enumerate(found.groups(), start=1) if text and len(text) >= 16]
    if long:
        return found.span(long[0])
    inner = found[0].strip(" \t=:\"'\r\n")
    start = found.start() + found[0].index(inner)
    return start, start + len(inner)


def _value_of(found: re.Match[str], strict: bool) -> tuple[int, int]:
    """Return where the value beside the name of a secret lies; an empty span where it is not a secret."""
    group = "quoted" if found["quoted"] is not None else "bare"
    name, value = found["name"], found[group]
    password, prose = found["word"] is not None, group == "bare" and found["sign"].strip() == ":"
    innocent = _NO_SECRET.search(name) or _PLACEHOLDER.fullmatch(value) or value.lower() == name.lower()
    expression = strict and group == "bare"
    is_value = _is_no_expression if expression else _is_password if password else _is_key
    return (0, 0) if innocent or not is_value(value, prose) else found.span(group)


def _is_password(value: str, prose: bool) -> bool:
    """Tell whether a text beside a password's name is one: in prose, short words are not."""
    return not prose or not value.isalpha() or len(value) >= 6


def _is_key(value: str, prose: bool) -> bool:
    """Tell whether a text beside the name of a key or token is one: no number, words or name of a variable."""
    if (
        len(value) < 4
        or " " in value.strip()
        or re.fullmatch(r"[\d.,]{1,12}|[A-Za-z_]+(\.[A-Za-z_]+)+", value)
    ):
        return False
    return not prose or any(letter.isdigit() for letter in value) or len(value) >= 20


def _is_no_expression(value: str, prose: bool) -> bool:
    """Tell whether what stands without quotes in source can be no name, number or sum of those."""
    known = re.fullmatch(r"[A-Za-z_][\w.]*|0x\w+|[\d._eE+*/-]+", value)
    return len(value) >= 8 and known is None and any(letter.isdigit() for letter in value)


@functools.lru_cache(maxsize=1)
def _scanner() -> tuple[_Look, ...]:
    """Return the looks of the scanner's detectors, and of services that it does not know."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    found = [_Look(_FIELD, "token")]
    detectors: dict[str, Any] = dict(get_mapping_from_secret_type_to_class())
    for kind, detector in sorted(detectors.items()):
        if kind not in _OWN_KINDS:
            patterns: Iterable[re.Pattern[str]] = getattr(detector, "denylist", ())
            found += [_Look(p, kind, _WORDS if "key|" in p.pattern else ()) for p in patterns]
    return tuple(found)


# ---------------------------------------------------------------- this process


def _own_secrets() -> tuple[str, ...]:
    """Return the values of secret environment variables that are long and odd enough to be looked for."""
    found = [value for name, value in os.environ.items() if _is_own_secret(name, value)]
    return tuple(sorted(found, key=len, reverse=True))  # the longest first: one may be a part of another


@functools.lru_cache(maxsize=1024)  # the environment is looked through for every text of a record
def _is_own_secret(name: str, value: str) -> bool:
    return _is_telling(value) and _is_name(name)


def _is_telling(value: str) -> bool:
    """Tell whether a value is not a word that might stand in a text for itself."""
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", r"\d", r"[^\w\s]"))
    return len(value) >= 8 and kinds >= 2 and value[0] != "/"
