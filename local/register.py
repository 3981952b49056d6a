"""`make register`: registers blocks and variables on the local stack's Prefect server and sets up its warehouse.

The settings come from `stack.env`, so that another system's addresses in the shell affect neither that system nor the
stack. The caller sets only pipeline variables that `stack.env` lacks: `MIN_RECORD_COUNT=50 make register`.
"""

import os
import sys
from collections.abc import Mapping

from local.environment import StackError, read_stack_env


def main() -> int:
    """Registers; an error is one line on stderr."""
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
    """Returns the settings to register: the stack's, and the pipeline variables that only the caller sets."""
    from blocks.variables import DEFINITIONS

    names = [definition.name.upper() for definition in DEFINITIONS]
    return {name: caller[name] for name in names if name in caller} | dict(stack)


if __name__ == "__main__":
    sys.exit(main())
