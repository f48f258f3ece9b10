"""The command `dlcore`: train, evaluate, predict, info, plot.

Exit status: 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Any

from dlcore.cli.arguments import parser
from dlcore.config import threads

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, default those of the process, and return the exit status.

    Raises:
        SystemExit: for --help and --version, and with status 2 for wrong usage.
    """
    args = parser().parse_args(argv)
    try:
        result = _run(args)
        if args.json:
            print(json.dumps(_finite(result)))
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("dlcore: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of stdout, for instance `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, RuntimeError, ImportError, MemoryError) as error:
        print(f"dlcore: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1


def _run(args: Any) -> dict[str, Any]:
    """The result of the chosen command. What it prints for people goes where the options say."""
    with ExitStack() as stack:
        if args.quiet:
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        elif args.json:
            stack.enter_context(redirect_stdout(sys.stderr))
        if args.threads:
            stack.enter_context(threads(args.threads))
        result: dict[str, Any] = args.run(args)
        return result


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
