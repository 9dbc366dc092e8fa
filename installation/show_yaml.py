"""Show text into a tree of marked values. Knows YAML 1.2, bounds and places; knows no show."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a show: where (line and column from 1), what, and what to do."""

    line: int
    column: int
    message: str
    remedy: str = ""


class InvalidShow(Exception):
    """A show that can't be played; `problems` lists everything found, in the order of the text."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        """Keep the problems of the show called `name` and write them out as the message."""
        self.name = name
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        super().__init__("\n".join(_sentence(name, problem) for problem in self.problems))


def _sentence(name: str, problem: Problem) -> str:
    place = f"{name}:{problem.line}:{problem.column}: " if problem.line else f"{name}: "
    remedy = f"; {problem.remedy}" if problem.remedy else ""
    return place + problem.message + remedy
