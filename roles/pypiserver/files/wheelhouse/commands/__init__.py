"""What can be asked for on the command line: a module for each subject.

Each has add_to(commands), which says what can be asked for, and functions that do it: they take the settings and what
was asked, and return the exit status, 0 (all is well) or 1 (something was found).
"""


def show(lines: list[str]) -> int:
    """Print lines, and return the exit status that they mean: 0 if there are none."""
    for line in lines:
        print(line)
    return 1 if lines else 0
