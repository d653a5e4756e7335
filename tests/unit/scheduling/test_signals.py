import os
import signal
import threading

import pytest

from gender_pipeline.scheduling.signals import Stop, stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_interrupt_that_names_it(number) -> None:
    with pytest.raises(KeyboardInterrupt, match=f"stopped by {number.name}"), stoppable() as stop:  # noqa: PT012
        os.kill(os.getpid(), number)
        signal.pause()
    assert stop.reason == f"stopped by {number.name}"


def test_except_exception_does_not_swallow_it() -> None:
    def stubborn() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except Exception:
            raise AssertionError("swallowed") from None

    with pytest.raises(KeyboardInterrupt), stoppable():
        stubborn()


def test_a_second_signal_acts_as_it_would_have() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stoppable():  # noqa: PT012
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            assert signal.getsignal(signal.SIGTERM) == before


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable() as stop:
        assert stop == Stop("stopped before its end")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_nothing_changes() -> None:
    before, during = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with stoppable():
            during.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert during == [before]
