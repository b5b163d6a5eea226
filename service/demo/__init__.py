"""The demo: a PostgreSQL, a broker and a small university, to try the service without installation.

How the modules work together, in the order of reading:

- `command` is what `uploads demo` runs.
- `parts` starts the servers (`postgres`, `broker`), seeds the `university` and starts a worker.
- `script` lists the steps of the story; `author` writes the message of each step.
- `story` sends each message (`client`) and compares the database before and after (`snapshot`).
- `step_result` holds what a step did, and checks it.
- `report` shows the story to people, `summary` prints it as JSON.
"""
