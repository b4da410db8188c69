import signal
import subprocess
import sys
import threading
import time

import pytest

from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code, pass_on

SCRIPT = """
import os, sys, time
from metarl_cli.runtime.signals import Interrupted, Interruption, exit_code
place = sys.argv[1]
with Interruption() as interruption:
    try:
        if place == "inside":
            with interruption.interruptible():
                print("ready", flush=True)
                while True:
                    pass
        print("ready", flush=True)
        end = time.monotonic() + (0.5 if place == "outside" else 60)
        while time.monotonic() < end:
            time.sleep(0.01)
        print("update done", flush=True)
        with interruption.interruptible():
            print("never", flush=True)
    except Interrupted as interrupted:
        print("saved", flush=True)
        sys.exit(exit_code(interrupted.signum))
"""


def start(place):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, place], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_signal_inside_an_interruptible_block_leaves_it_at_once():
    process = start("inside")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == ("saved\n", 75)
    assert time.monotonic() - began < 1.0


def test_signal_outside_waits_for_the_next_interruptible_block():
    process = start("outside")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGUSR1)  # ignored: the first one counts
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == ("update done\nsaved\n", 75)


def test_second_ctrl_c_leaves_at_once():
    process = start("busy")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == ("", 130)


def test_swallowed_interruption_comes_back_at_the_end_of_the_block():
    reached = False
    with Interruption() as interruption:
        with pytest.raises(Interrupted), interruption.interruptible():
            try:
                signal.raise_signal(signal.SIGUSR2)
            except BaseException:
                reached = True
        assert reached
        with interruption.interruptible():
            pass  # it was raised in the open: no longer pending
        interruption.check()


def test_pending_signal_is_raised_once_by_check():
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGUSR1)
        assert interruption.signum == signal.SIGUSR1
        with pytest.raises(Interrupted) as caught:
            interruption.check()
        assert caught.value.signum == signal.SIGUSR1
        interruption.check()


def test_previous_handlers_come_back():
    def mine(number, frame):
        pass

    before = signal.signal(signal.SIGUSR1, mine)
    try:
        with Interruption():
            assert signal.getsignal(signal.SIGUSR1) is not mine
        assert signal.getsignal(signal.SIGUSR1) is mine
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_the_main_thread_it_does_nothing():
    done = []

    def work():
        with Interruption() as interruption, interruption.interruptible():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_exit_codes():
    assert exit_code(signal.SIGINT) == 130
    assert exit_code(signal.SIGTERM) == exit_code(signal.SIGUSR2) == 75


def test_signal_is_passed_on_to_who_handled_it_before_but_ctrl_c_is_not():
    received = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: received.append(number))
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGUSR2)
        assert received == []
        assert interruption.signum == signal.SIGUSR2
        pass_on(signal.SIGUSR2)
        assert received == [signal.SIGUSR2]
        pass_on(signal.SIGTERM)  # nobody's: the default is not to be had by a call
        pass_on(signal.SIGINT)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_lost_terminal_counts_unless_the_process_was_started_to_outlive_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.signum is None
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert interruption.signum == signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)
    assert exit_code(signal.SIGHUP) == 75
