"""Set up the environment that grades coursework: `.venv-grading`, from `requirements/grading.lock`.

It stands on the book's environment: what it lacks it takes from there, torch among it, and what is
in both it has at its own version. `make setup-grading` runs this with the book's Python.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from workflow.environment import ROOT, STAMP, SetupError, alone, digest, lock_path, pip_install, run


def ensure(root: Path = ROOT) -> Path:
    """Bring `.venv-grading` in step with its lock and the book's, and return its Python."""
    venv = root / ".venv-grading"
    python, stamp = venv / "bin" / "python", venv / STAMP
    locks = digest(*(lock_path(root, name) for name in ("grading", "book", "torch")))
    wanted = f"{sys.executable} {sys.version_info[:3]} {locks}"
    with alone(root):
        if stamp.is_file() and stamp.read_text("utf-8") == wanted:
            return python
        print("Setting up .venv-grading from requirements/grading.lock: once.", flush=True)
        run([sys.executable, "-m", "venv", "--clear", venv], "making .venv-grading")
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement"]
        pip = pip_install(python, *options, lock_path(root, "grading"))
        run(pip, "installing requirements/grading.lock")
        below = sysconfig.get_path("purelib")
        (own,) = venv.glob("lib/python3*/site-packages")
        # Behind its own packages come the book's, and what those add to the path.
        (own / "book.pth").write_text(f"import site; site.addsitedir({below!r})\n", "utf-8")
        stamp.write_text(wanted, "utf-8")
    return python


def main() -> int:
    try:
        ensure()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
