"""`make register`: blocks and variables of the local stack, registered on its Prefect server, and its warehouse set up.

Everything comes from `stack.env`, so that a shell with another system's addresses cannot reach or spoil either. Only
the pipeline's variables that `stack.env` does not name are the caller's: `MIN_RECORD_COUNT=50 make register`.
"""

import os
import sys
from collections.abc import Mapping

from local.environment import StackError, read_stack_env


def main() -> int:
    """Registers; a mistake is one line on stderr."""
    try:
        stack = read_stack_env()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    os.environ.update(stack)
    # Prefect reads its settings when it is imported.
    from blocks import register
    from flows.setup_warehouse import setup_warehouse
    from flows.support.command_line import run

    return register.main(stack_settings(stack, os.environ)) or run(setup_warehouse, only_if_needed=True)


def stack_settings(stack: Mapping[str, str], caller: Mapping[str, str]) -> dict[str, str]:
    """The settings to register: the stack's, and those variables of the pipeline that only the caller names."""
    from blocks.variables import DEFINITIONS

    names = [definition.name.upper() for definition in DEFINITIONS]
    return {name: caller[name] for name in names if name in caller} | dict(stack)


if __name__ == "__main__":
    sys.exit(main())
