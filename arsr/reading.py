"""JSON and YAML that somebody else may have written: plain files in UTF-8, of bounded size and depth.

YAML is 1.2's core as a person reads it: 010 is ten, 1:30 and yes are words, 1e-4 is a number. Aliases, which can stand
for terabytes, and names that come twice are refused.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from arsr_core.errors import InputError

LARGEST = 2**26  # bytes; of YAML a 256th
DEEPEST = 64  # lists and mappings within each other


def data(path: str | Path, remedy: str) -> Any:
    """What a file of JSON holds, or of YAML where its name says so.

    InputError with the remedy for one that is missing, damaged, too large or too deep, and for what is no file, such
    as a pipe, whose end would never come.
    """
    is_yaml = Path(path).suffix in (".yaml", ".yml")
    content = text(path, remedy, LARGEST >> 8 * is_yaml)
    try:
        return parsed(content) if is_yaml else _shallow(json.loads(content, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        kind, reason = "YAML" if is_yaml else "JSON", " ".join(str(error).split())
        raise InputError(f"{path}: damaged or not {kind} ({reason}); {remedy}") from None


def text(path: str | Path, remedy: str, largest: int = LARGEST, errors: str = "strict") -> str:
    """The text of a file; InputError as `data` raises it. errors: as bytes.decode takes it."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: {'not a plain file' if path.exists() else 'no such file'}; {remedy}")
    if (size := path.stat().st_size) > largest:
        raise InputError(f"{path}: {size:,} bytes, expected {largest:,} at most; {remedy}")
    try:
        return path.read_text("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start:,}); {remedy}") from None


def parsed(content: str) -> Any:
    """What YAML text stands for; ValueError where it stands for nothing.

    >>> parsed("[010, 1e-4, 1:30, yes]")
    [10, 0.0001, '1:30', 'yes']
    """
    try:
        return _shallow(yaml.load(content, _Loader))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def _shallow(value: Any) -> Any:
    level = [value]
    for _ in range(DEEPEST + 1):
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list)))
        level = [x for values in inner for x in values]
    if level:
        raise ValueError(f"lists or mappings more than {DEEPEST} deep")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} comes twice")
    return found


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list] = {}  # YAML 1.1's left out

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "an alias, write it out", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.Node:
        node = super().compose_mapping_node(anchor)
        _once([(str(key.value), None) for key, _ in node.value])
        return node


for _kind, _first, _pattern in (
    ("null", "~nN", "~|null|Null|NULL|"),
    ("bool", "tTfF", "true|True|TRUE|false|False|FALSE"),
    ("int", "-+0123456789", r"[-+]?\d(_?\d)*"),
    ("float", "-+.0123456789", r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    _tag, _whole = f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z", re.ASCII)
    _Loader.add_implicit_resolver(_tag, _whole, [*_first, ""] if _kind == "null" else [*_first])
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
