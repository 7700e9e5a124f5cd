"""Every public module, class, function and method says what it is, and has the types of all that goes in and out."""

import ast

import pytest

PACKAGES = ("arsr_core", "arsr")
NAMED_BY_OTHERS = ("forward", "run", "setup")  # torch and Sphinx say what these do, the class says of what


def public(tree: ast.Module):
    """(name, node) of what the module offers: functions and classes without underscore, and their public methods."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                methods = (m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_"))
                yield from ((f"{node.name}.{m.name}", m) for m in methods)


def untyped(node: ast.FunctionDef) -> list[str]:
    given = node.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    lacking = [a.arg for a in named if a.annotation is None and a.arg not in ("self", "cls")]
    return [*lacking, *(["return"] if node.returns is None else [])]


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_is_documented_and_typed(root, package):
    faults, seen = [], 0
    for path in sorted((root / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(root)
        if not ast.get_docstring(tree) and tree.body:
            faults.append(f"{where}: no docstring")
        for name, node in public(tree):
            seen += 1
            if not ast.get_docstring(node) and node.name not in NAMED_BY_OTHERS:
                faults.append(f"{where}: {name} has no docstring")
            if isinstance(node, ast.FunctionDef) and (lacking := untyped(node)):
                faults.append(f"{where}: {name} has no type for {', '.join(lacking)}")
    assert seen > 100 and not faults, "\n".join(faults)
