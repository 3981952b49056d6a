"""`python -m local up|down|clean|status|serve`: the local stack from the command line."""

import argparse
import sys

from local import stack
from local.environment import StackError


def main() -> int:
    """Runs the command; a failure is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The embedded stack of the project.")
    parser.add_argument("command", choices=("up", "down", "clean", "status", "serve"))
    command = parser.parse_args().command
    try:
        if command == "status":
            return 0 if stack.status() else 1
        {"up": stack.up, "down": stack.down, "clean": stack.clean, "serve": stack.serve}[command]()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
