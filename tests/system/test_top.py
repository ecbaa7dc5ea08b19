#  `resil top` in a terminal of its own (tmux): what is seen at 80 x 24, and after keys, a resize, an end and a new run.
#
#  ctest timeout: 240
#
#  SPDX-License-Identifier: Apache-2.0

import os
import shlex
import shutil
import subprocess
import tempfile
import unittest

from support import PATIENCE, skip
from watched import COMMAND, end, home, remote, start, wait_for

if not shutil.which("tmux"):
    skip("there is no tmux")


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, environment, words, columns=80, lines=24):
        self.folder = tempfile.mkdtemp(prefix="watched-")
        self.tmux = ["tmux", "-f", "/dev/null", "-S", os.path.join(self.folder, "socket")]
        self.environment = environment | {"TERM": "xterm-256color"}
        command = shlex.join(map(str, words)) + "; echo it ended with $?; exec sleep 600"
        self.run("new-session", "-d", "-x", str(columns), "-y", str(lines), command)

    def run(self, *words):
        return subprocess.run([*self.tmux, *words], env=self.environment, capture_output=True,
                              text=True, timeout=PATIENCE, check=True).stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def sees(self, *texts):
        """Wait until all of that is on the screen."""
        try:
            wait_for(lambda: all(text in self.screen() for text in texts), f"{texts}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen is\n{self.screen()}") from None
        return self.screen()

    def press(self, *keys):
        for key in keys:
            self.run("send-keys", key)

    def end(self):
        self.run("kill-server")
        shutil.rmtree(self.folder)


class Top(unittest.TestCase):
    def setUp(self):
        context = home()
        self.environment = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def top(self, *words, **size):
        terminal = Terminal(self.environment, [*COMMAND, "top", *words], **size)
        self.addCleanup(terminal.end)
        return terminal

    def test_a_screen_of_80_by_24_has_all_that_there_is(self):
        with remote(self.environment):
            terminal = self.top()
            screen = terminal.sees("3 of 3 up", "/remote", "clock", "worker", "-- as a tree -- events --",
                                   "q quit", "r restart")
            lines = screen.splitlines()
            self.assertEqual(len(lines), 24)
            self.assertLessEqual(max(map(len, lines)), 80)
            self.assertTrue(lines[0].startswith("remote@"), screen)
            self.assertTrue(lines[1].startswith("PATH "), screen)
            terminal.press("?")
            terminal.sees("restart, stop, start")
            terminal.press("?", "q")
            terminal.sees("it ended with 0")

    def test_keys_select_describe_filter_and_steer(self):
        with remote(self.environment):
            terminal = self.top()
            terminal.sees("3 of 3 up")
            terminal.press("Down", "Down", "r")
            terminal.sees("restart /remote/worker of remote")
            terminal.press("n")
            terminal.sees("nothing was done")
            terminal.press("r", "y")
            terminal.sees("done", "/remote/worker#2 starting -> up")
            terminal.press("Enter")
            terminal.sees("/remote/worker", "is a           component", "worst restart")
            terminal.press("Escape", "t", "/", "c", "l", "o", "c", "k", "Enter")
            screen = terminal.sees("/remote/clock", "-- by name, only /clock --")
            self.assertNotIn("/remote/worker  ", screen)
            terminal.press("/", "Escape", "S", "n", "p")
            terminal.sees("PAUSED")
            terminal.press("q")
            terminal.sees("it ended with 0")

    def test_it_survives_a_resize_an_end_and_a_new_run(self):
        process, endpoint = start(self.environment, "tcp://127.0.0.1:*")
        try:
            terminal = self.top("-e", endpoint)
            terminal.sees("3 of 3 up", "viewer | ")
            terminal.press("Down", "r")
            terminal.sees("your key is a viewer's there: it may not restart")
            terminal.run("resize-window", "-x", "200", "-y", "60")
            wait_for(lambda: len(terminal.screen().splitlines()) == 60, "a larger screen")
            terminal.sees("3 of 3 up")
            terminal.run("resize-window", "-x", "40", "-y", "10")
            terminal.sees("PATH")
            terminal.run("resize-window", "-x", "80", "-y", "40")  # where events do not soon scroll away
            end(process, kill=True)
            terminal.sees("silent")
            process, _ = start(self.environment, endpoint)
            terminal.sees("new run", "following", "3 of 3 up")
        finally:
            end(process, kill=True)

    def test_several_programs_are_on_one_screen(self):
        with remote(self.environment) as (one, _), remote(self.environment) as (other, _):
            terminal = self.top(columns=120, lines=40)
            terminal.sees("2 programs", "6 of 6 up", f" {one.pid}, up", f" {other.pid}, up", "run 1")

    def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(self):
        with remote(self.environment):
            terminal = self.top()
            terminal.sees("3 of 3 up")
            terminal.press("C-c")
            terminal.sees("it ended with 0")

    def test_other_verbs_have_colours_on_a_terminal_and_none_under_no_color(self):
        with remote(self.environment):
            for no_colour, has_colours in ("", True), ("1", False):
                terminal = Terminal(self.environment | {"NO_COLOR": no_colour}, [*COMMAND, "status"])
                self.addCleanup(terminal.end)
                terminal.sees("/remote/worker", "it ended with 0")
                shown = terminal.run("capture-pane", "-p", "-e")
                self.assertEqual("\x1b[" in shown, has_colours, shown)

    def test_without_a_terminal_it_says_so(self):
        done = subprocess.run([*COMMAND, "top"], env=self.environment, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=4 * PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("top needs a terminal", done.stderr)


if __name__ == "__main__":
    unittest.main()
