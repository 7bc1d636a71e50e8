"""What a host process is given of our environment."""

import subprocess

from luspool.host_command import host_environment, python_command


def test_nothing_secret_is_passed_and_malloc_is_the_users_affair(monkeypatch):
    monkeypatch.setenv("AWS_SECRET", "hush")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    environment = host_environment()
    assert "AWS_SECRET" not in environment
    assert environment["TZ"] == "UTC"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "1"
    assert int(environment["MALLOC_MMAP_THRESHOLD_"]) > 1 << 20


def _page_faults(rounds: int) -> int:
    """Of a process that makes four strings of 1 MB so often, as many as a message has copies, and lets go of them."""
    code = (
        "import resource\n"
        "text = bytes(1_000_000)\n"
        f"for _ in range({rounds}): copies = [bytearray(text) for _ in range(4)]; del copies\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
    )
    command = python_command(code)
    return int(subprocess.run(command, env=host_environment(), capture_output=True, check=True).stdout)


def test_the_pages_of_long_messages_are_used_again():
    assert _page_faults(300) - _page_faults(3) < 300
