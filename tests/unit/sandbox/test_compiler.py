"""What many states share is made once, whoever comes first."""

import threading

from luspool.sandbox import compiler


def test_threads_that_come_first_together_get_the_same_core():
    compiler._compiled_core.cache_clear()
    start = threading.Barrier(8)
    cores = []

    def take():
        start.wait()
        cores.append(compiler._core(portable=False))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(core) for core in cores}) == 1
