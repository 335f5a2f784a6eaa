"""`python -m workbench` is the same program as `workbench`."""

from workbench.cli import entry

if __name__ == "__main__":
    entry()
