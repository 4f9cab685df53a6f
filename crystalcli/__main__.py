"""``python -m crystalcli``."""

from crystalcli.commands.main import main

if __name__ == "__main__":
    main()
