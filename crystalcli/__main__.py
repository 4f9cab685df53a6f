"""Where ``crystal`` and ``python -m crystalcli`` begin: before anything else is imported, imports are made safe.

With ``-m`` Python has looked for its own first modules in the current folder by then; ``crystal`` and
``python -P -m crystalcli`` never do.
"""

from crystalcli.engine.run.import_path import leave_out_current_folder


def main() -> None:
    """Run the program and exit with its code."""
    leave_out_current_folder()
    from crystalcli.cli.main import main as program

    program()


if __name__ == "__main__":
    main()
