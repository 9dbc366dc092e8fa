from installation.invalid_show import InvalidShow, Problem


def test_invalid_show_writes_one_line_for_each_problem():
    late, early = Problem(9, 1, "late"), Problem(2, 5, "found x", "write y")
    error = InvalidShow("a.yaml", (late, early, Problem(0, 0, "whole")))
    assert str(error) == "a.yaml: whole\na.yaml:2:5: found x; write y\na.yaml:9:1: late"


def test_message_of_very_many_problems_ends_somewhere():
    error = InvalidShow("a.yaml", tuple(Problem(line, 1, "x") for line in range(1, 1001)))
    assert len(error.problems) == 1000
    assert str(error).splitlines()[-1] == "a.yaml: and 900 problems more"
