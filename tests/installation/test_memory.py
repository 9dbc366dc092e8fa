from installation.memory import UNKNOWN, bytes_free


def test_free_memory_is_what_the_kernel_calls_available(tmp_path):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  100 kB\nMemFree:  1 kB\nMemAvailable:   52 kB\n")
    assert bytes_free(file) == 52 * 1024


def test_a_system_that_does_not_say_refuses_nothing(tmp_path):
    assert bytes_free(tmp_path / "none") == UNKNOWN
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\n")
    assert bytes_free(tmp_path / "meminfo") == UNKNOWN
