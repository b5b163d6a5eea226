"""The `uploads` command: where it starts, and where its subcommands are put together."""

from collections.abc import Sequence

import service.cli
from service import serve


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command, by default with the arguments of the command line."""
    # `serve` is passed in, because it is above `cli` in the layers: `cli` may not import it.
    service.cli.main(arguments, also=(serve,))


if __name__ == "__main__":
    main()
