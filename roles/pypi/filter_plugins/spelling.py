"""Misspelt settings: names that begin like the kit's and are none of its."""

from difflib import get_close_matches


def spelling_problems(names: list[str], known: list[str], others: list[str]) -> list[str]:
    """One line for each unknown name, with the known one that it resembles.

    names: all variables that begin with pypi_; known: the kit's; others: pypi_other_variables.
    """
    problems = []
    for name in sorted(set(names) - set(known) - set(others)):
        like = get_close_matches(name, known, n=1)
        meant = f"Is {like[0]} meant?" if like else "roles/pypi/defaults/main.yml lists all of them."
        problems.append(f"{name}: there is no such setting. {meant} If it is yours, add it to pypi_other_variables.")
    return problems


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_spelling_problems": spelling_problems}
