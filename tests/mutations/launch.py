"""`python -m tests.mutations.launch NAME serve ...`: xdsi with one defect, put into its module while that is loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.mutations.table import Mutation, mutations


class _Mutated(SourceFileLoader):
    """Compiles the source with the defect; nothing of it is cached."""

    def __init__(self, name: str, path: str, mutation: Mutation) -> None:
        super().__init__(name, path)
        self.mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        source = self.mutation.mutated(self.mutation.source())
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, mutation: Mutation) -> None:
        self.mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.mutation.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Mutated(fullname, spec.origin, self.mutation)
        return spec


def run(name: str, arguments: Sequence[str]) -> int:
    """Run xdsi with the defect of that name; without a name, as it is."""
    if name:
        sys.meta_path.insert(0, _Finder(mutations()[name]))
    from xdsi.cli import main as xdsi

    return xdsi(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
