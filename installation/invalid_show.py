"""What is wrong with a show, in sentences for the person who wrote it. Knows no YAML."""

from dataclasses import dataclass

_MAX_LINES = 100  # of one message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a show: where (line and column from 1), what, and what to do.

    Line and column are 0 where the whole file is meant.
    """

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
        lines = [_sentence(name, problem) for problem in self.problems[:_MAX_LINES]]
        if len(self.problems) > _MAX_LINES:
            lines.append(f"{name}: and {len(self.problems) - _MAX_LINES} problems more")
        super().__init__("\n".join(lines))


def _sentence(name: str, problem: Problem) -> str:
    place = f"{name}:{problem.line}:{problem.column}: " if problem.line else f"{name}: "
    remedy = f"; {problem.remedy}" if problem.remedy else ""
    return place + problem.message + remedy
