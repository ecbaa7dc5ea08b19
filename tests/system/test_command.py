#  The command `resil` beside real programs: what it prints, how it ends, and what it says when it cannot.
#
#  ctest timeout: 240
#
#  SPDX-License-Identifier: Apache-2.0

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from support import PATIENCE, SOURCE, need_module
from watched import COMMAND, Lines, end, home, primes, remote, resil, start, tree, wait_for

LONG = ("--timeout", "60s")

need_module("zmq", "python3-zmq")
import zmq  # noqa: E402


class Case(unittest.TestCase):
    def setUp(self):
        self.environment = self.enterContext(home())

    def ask(self, *words, status=0, says="", **more):
        """What it prints; its status is that one, and what it says has that in it."""
        code, out, err = resil(self.environment, *words, **more)
        self.assertEqual(code, status, f"{words}: {out}{err}")
        self.assertIn(says, err)
        if not says:
            self.assertEqual(err, "")
        return out

    def enterContext(self, context):  # which unittest has from Python 3.11.1 on
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value


class Looking(Case):
    def test_a_program_is_found_without_a_word_and_shown_as_table_tree_and_json(self):
        with remote(self.environment) as (process, endpoint):
            lines = self.ask("ls").splitlines()
            self.assertEqual(lines[1].split(), ["remote", str(process.pid), endpoint])
            self.ask("wait", "/remote/worker", *LONG)
            table = self.ask("status")
            self.assertRegex(table, r"(?m)^PATH +STATE +INC +RESTARTS +SINCE +LAST FAILURE$")
            self.assertRegex(table, r"(?m)^/remote/worker +up +1 +0 ")
            self.assertRegex(self.ask("tree"), r"(?m)^└─ worker +up +1 ")
            self.assertNotIn("clock", self.ask("status", "/remote/worker"))
            self.assertIn("WORST RESTART", self.ask("status", "-o", "wide"))
            nodes = json.loads(self.ask("status", "-o", "json"))["nodes"]
            self.assertEqual([node["path"] for node in nodes],
                             ["/remote", "/remote/clock", "/remote/worker"])
            lines = self.ask("tree", "-o", "jsonl").splitlines()
            self.assertEqual([json.loads(line)["path"] for line in lines],
                             [node["path"] for node in nodes])
            for where in "remote", str(process.pid), endpoint:
                self.assertEqual(self.ask("health", "-e", where),
                                 "remote: all is up that should be\n")
            self.assertEqual(self.ask("health", RESIL_ENDPOINT="remote"), self.ask("health"))
        self.assertEqual(self.ask("ls", "-o", "json"), "[]\n")

    def test_a_failure_is_seen_in_the_story_and_in_the_events(self):
        with remote(self.environment):
            self.assertEqual(self.ask("call", "/remote/worker", "hello", *LONG), "HELLO\n")
            self.ask("call", "/remote/worker", "fail", *LONG, status=1, says="failed")
            self.ask("wait", "/remote/worker", *LONG)
            story = self.ask("describe", "/remote/worker")
            self.assertRegex(story, r"(?m)^incarnation +2$")
            self.assertRegex(story, r"#1 reported: was told to \(.*remote\.c:\d+\)")
            self.assertEqual(json.loads(self.ask("describe", "/remote/worker", "-o", "json"))["path"],
                             "/remote/worker")
            self.assertIn("up -> failing: reported: was told to", self.ask("events"))
            events = json.loads(self.ask("events", "-o", "json"))
            numbers = [event["seq"] for event in events]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
            some = self.ask("events", "-o", "jsonl", "--type", "state", "--path", "/remote/worker",
                            "--since", "3").splitlines()
            for event in map(json.loads, some):
                self.assertEqual(event["type"], "state")
                self.assertEqual(event["path"], "/remote/worker")
                self.assertGreaterEqual(event["seq"], 3)
            self.assertEqual(self.ask("events", "--since", "0ms"), "")
            letters = json.loads(self.ask("dead-letters", "-o", "json"))["letters"]
            self.assertEqual(letters[0]["to"], "/remote/worker")
            self.assertRegex(self.ask("dead-letters"), r"(?m)^\d\d:\d\d:\d\d\.\d+ +/remote/worker +failed ")


    def test_metrics_are_a_table_and_what_prometheus_reads(self):
        with remote(self.environment):
            self.ask("call", "/remote/worker", "hello", *LONG)
            self.ask("restart", "/remote/worker", *LONG)
            self.ask("stop", "/remote/clock", *LONG)
            self.assertRegex(self.ask("metrics"), r"(?m)^/remote/worker +up ")
            lines = self.ask("metrics", "-o", "prom").splitlines()
        families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        self.assertEqual(len(families), len(set(families)))
        sample = re.compile(r'([a-z_]+)\{program="remote",path="[^"]*"(,[a-z]+="[^"]*")?\} '
                            r"-?[0-9.e+-]+")
        for line in lines:
            if not line.startswith("# "):
                self.assertTrue(found := sample.fullmatch(line), line)
                self.assertTrue(found.group(1).startswith(families_of(lines, line)), line)
        #  What is stopped stays.
        self.assertIn('resil_up{program="remote",path="/remote/clock"} 0', lines)
        self.assertIn('resil_up{program="remote",path="/remote/worker"} 1', lines)
        for family in "resil_cpu_seconds_total", "resil_progress_total", "resil_reports_dropped_total":
            self.assertTrue(any(line.startswith(family + "{") for line in lines), family)


def records(stage):
    return sum(stage[what] for what in ("done", "dropped", "dead", "in_flight"))


class Pipelines(Case):
    """The example `primes`: numbers, of which a stage of two workers drops and rejects some, to two sinks."""

    def figures(self, *words):
        return json.loads(self.ask(*words, "-o", "json"))

    def test_how_its_stages_stand_is_seen_in_status_describe_and_metrics(self):
        with primes(self.environment):
            wait_for(lambda: self.figures("describe", "/primes")["pipeline"]["stages"][1]["dead"] > 1,
                     "a dead record")
            status, tree = self.ask("status", "/primes"), self.ask("tree")
            described = self.ask("describe", "/primes")
            nodes = self.figures("status")["nodes"]
            lines = self.ask("metrics", "-o", "prom").splitlines()
            self.assertNotIn("STAGE", self.ask("status", "/primes/sieve.0"))
        self.assertRegex(status, r"(?m)^/primes\nSTAGE +IN +DONE .*\nnumbers +\d+ ")
        self.assertNotIn("STAGE", tree)
        self.assertRegex(described, r"(?m)^sieve +\d+ +\d+ +\d+ +[1-9]\d* ")
        self.assertRegex(described, r"(?m)^sieve:palindromes -> palindromes +round robin ")
        for line in (status + described).splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertEqual([node["path"] for node in nodes if "pipeline" in node], ["/primes"])
        pipeline = nodes[0]["pipeline"]
        for stage in pipeline["stages"]:
            self.assertEqual(stage["in"], records(stage), stage)
            self.assertEqual(stage["latency_us"]["count"], stage["in"] - stage["in_flight"])
        self.assertEqual(pipeline["stages"][1]["components"], ["sieve.0", "sieve.1"])
        self.check_prometheus(lines)

    def check_prometheus(self, lines):
        label = r'[a-z]+="(?:[^"\\\n]|\\[\\"n])*"'
        sample = re.compile(rf"([a-z_]+)\{{{label}(?:,{label})*\}} -?[0-9.e+-]+")
        found = [sample.fullmatch(line) for line in lines if not line.startswith("# ")]
        self.assertTrue(all(found), lines)
        self.assertEqual(len(set(match[0].rsplit(" ", 1)[0] for match in found)), len(found))
        for family in ("resil_stage_records_total", "resil_stage_latency_seconds", "resil_link_stalls_total"):
            heading = next(i for i, line in enumerate(lines) if line.startswith(f"# TYPE {family} "))
            self.assertTrue(lines[heading + 1].startswith(family))
        buckets = [float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith("resil_stage_latency_seconds_bucket") and 'stage="sieve"' in line]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(len(buckets), 9)

    def test_it_is_drawn_as_text_and_for_graphviz(self):
        with primes(self.environment):
            text = self.ask("graph", LC_ALL="C")
            same = self.ask("graph", "/primes", "-o", "text")
            dot = self.ask("graph", "-o", "dot")
            listed = self.figures("graph")
            self.ask("graph", "/primes/sieve.0", status=4, says="no pipeline at or below")
            svg = self.drawn_by("cat >$DRAWN; echo '<svg/>'")
            self.drawn_by("exit 3", status=1, says="has failed")
            self.ask("graph", "-o", "svg", status=1, says="install graphviz",
                     PATH=self.environment["XDG_RUNTIME_DIR"])
        self.assertRegex(text, r"(?m)\A/primes\nnumbers \(source\): \d+ done.*\n`--> sieve, most credit")
        self.assertRegex(text, r"(?m)^sieve x2: .*\n\|--> primes.*\n`- palindromes -> palindromes")
        self.assertRegex(same, "└─ palindromes ─> palindromes")
        self.assertTrue(dot.startswith("digraph pipelines {\n") and dot.endswith("}\n}\n"), dot)
        self.assertIn(r'label="numbers\n', dot)
        self.assertEqual(listed[0]["path"], "/primes")
        self.assertEqual(svg[0], "<svg/>\n")
        self.assertTrue(svg[1].startswith("digraph pipelines {"))
        with remote(self.environment):
            self.ask("graph", status=4, says="there is no pipeline here")

    def drawn_by(self, script, **expected):
        """By a `dot` that does this: what is printed, and what it was given."""
        with tempfile.TemporaryDirectory() as folder:
            program, drawn = os.path.join(folder, "dot"), os.path.join(folder, "drawn")
            with open(os.open(program, os.O_WRONLY | os.O_CREAT, 0o700), "w") as file:
                file.write(f"#!/bin/sh\n{script}\n")
            out = self.ask("graph", "-o", "svg", PATH=f"{folder}:{os.environ['PATH']}", DRAWN=drawn,
                           **expected)
            return out, open(drawn).read() if os.path.exists(drawn) else ""

    def test_dot_is_not_waited_for_longer_than_said(self):
        with primes(self.environment), tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "dot")
            with open(os.open(program, os.O_WRONLY | os.O_CREAT, 0o700), "w") as file:
                file.write("#!/bin/sh\nexec sleep 1000\n")
            self.ask("graph", "-o", "svg", "--timeout", "3s", status=1, says="in time",
                     PATH=f"{folder}:{os.environ['PATH']}")


def families_of(lines, line):
    """The family under whose heading a line stands."""
    return next(above.split()[2] for above in reversed(lines[:lines.index(line)])
                if above.startswith("# TYPE"))


class Steering(Case):
    def test_a_command_ends_when_it_is_done_and_says_how_it_stands(self):
        with remote(self.environment):
            self.ask("wait", "/remote/worker", *LONG)
            self.assertEqual(self.ask("restart", "/remote/worker", *LONG),
                             "/remote/worker: up, incarnation 2\n")
            self.ask("stop", "/remote/worker", *LONG)
            self.ask("health")  # what somebody has stopped is to be down
            self.assertRegex(self.ask("status"), r"(?m)^/remote/worker +down ")
            self.ask("wait", "/remote/worker", "--for", "down")
            self.ask("wait", "/remote/worker", "--timeout", "100ms", status=5,
                     says="is down, not ready, after 100 ms")
            self.ask("start", "/remote/worker", "--no-wait", *LONG)
            self.ask("wait", "/remote/worker", *LONG)
            answer = json.loads(self.ask("restart", "/remote/worker", "-o", "json", *LONG))
            self.assertEqual(answer["stage"], "done")

    def test_each_status_has_its_reason(self):
        with remote(self.environment):
            self.ask("wait", "/remote/worker", *LONG)
            self.ask("status", "/remote/nobody", status=4, says="nothing has the path")
            self.ask("describe", "/remote/nobody", status=4, says="/remote/nobody")
            self.ask("restart", "/remote/nobody", status=4, says="nobody")
            self.ask("wait", "/remote/nobody", "--timeout", "200ms", status=4, says="nobody")
            self.ask("restart", "/remote/worker", "--incarnation", "99", status=7, says="99")
            self.ask("events", "--type", "state,stat", status=2, says='no events of type "stat"')
            self.ask("stop", "/remote", status=2, says="ends with its program")
            self.ask("status", "-e", "tcp://127.0.0.1:65536", status=2, says="no port, from 1 to 65535")
            self.ask("wait", "/remote/worker", "--for", "perfection", status=2, says="no state")
        with remote(self.environment, "tcp://127.0.0.1:*") as (_, endpoint):
            self.ask("status", "-e", endpoint)
            self.ask("restart", "/remote/worker", "-e", endpoint, status=6, says="viewer")
        for words in (), ("frob",), ("status", "--frob"), ("restart",):
            self.ask(*words, status=2, says="resil: ")
        self.assertIn("Usage: resil VERB", self.ask("--help"))
        self.assertRegex(self.ask("--version"), r"^resil \d+\.\d+\.\d+\n$")

    def test_what_is_down_that_should_run_has_a_status_of_its_own(self):
        with remote(self.environment):
            def is_seen():  # the more often it fails the longer it is down
                self.ask("call", "/remote/worker", "fail", *LONG, status=1, says="failed")
                status, out, _ = resil(self.environment, "health", *LONG)
                return status and (status, out)
            status, table = wait_for(is_seen, "a health that is bad")
        self.assertEqual(status, 3, table)
        self.assertRegex(table, r"(?m)^/remote/worker +[a-z]+ +reported: was told to")

    def test_wait_waits_for_a_program_that_is_still_to_come(self):
        waiting = subprocess.Popen([*COMMAND, "wait", "/remote/worker", *LONG], text=True,
                                   env=self.environment, stdout=subprocess.PIPE)
        with remote(self.environment):
            self.assertEqual(waiting.communicate(timeout=60)[0], "/remote/worker: up, incarnation 1\n")
        self.ask("wait", "/remote/worker", "--timeout", "100ms", status=5, says="no program of yours")

    def test_the_manual_has_every_verb_and_every_option(self):
        manual = (SOURCE / "docs/man/resil.1").read_text().replace("\\-", "-").replace('" "', " ")
        for verb in re.findall(r"(?m)^  ([a-z-]+) ", self.ask("--help").split("Options")[0]):
            self.assertRegex(manual, rf"\b{verb}\b")
            for option in re.findall(r"--[a-z-]+", self.ask(verb, "--help").split("[OPTIONS]")[1]):
                self.assertIn(option, manual)


class Failing(Case):
    """Five reasons, five sentences; each names the endpoint that was tried, and what to do."""

    def refused(self, endpoint, sentence, status=5, *more):
        self.assertIn(endpoint, self.message("status", "-e", endpoint, "--timeout", "3s", *more,
                                             status=status, says=sentence))

    def message(self, *words, status, says):
        code, out, err = resil(self.environment, *words)
        self.assertEqual((code, out), (status, ""), err)
        self.assertIn(says, err)
        return err

    def test_nobody_is_there(self):
        with socket.socket() as held:  # bound, and not listening: nobody else gets it meanwhile
            held.bind(("127.0.0.1", 0))
            self.refused(f"tcp://127.0.0.1:{held.getsockname()[1]}", "nobody listens there")
        self.refused("ipc:///nowhere/events", "nobody listens there")
        self.message("status", status=5, says="start one with RESIL_MONITOR")
        self.message("status", "-e", "nobody", status=5, says='none called "nobody"')
        process, _ = start(self.environment)
        end(process, kill=True)
        self.message("status", "-e", "remote", status=5, says="no program of yours")

    def test_the_port_is_another_ones(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            ended = threading.Event()
            greeter = threading.Thread(target=self.greet, args=(server, ended))
            greeter.start()
            self.refused(f"tcp://127.0.0.1:{server.getsockname()[1]}", "wrong port")
            ended.set()
            greeter.join()

    @staticmethod
    def greet(server, ended):
        server.settimeout(0.05)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError), server.accept()[0] as connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

    def test_it_speaks_a_later_version(self):
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            port = publisher.bind_to_random_port("tcp://127.0.0.1")
            ended = threading.Event()
            beater = threading.Thread(target=self.beat, args=(publisher, ended))
            beater.start()
            self.refused(f"tcp://127.0.0.1:{port}", "take a newer resil here")
            ended.set()
            beater.join()

    @staticmethod
    def beat(publisher, ended):
        while not ended.is_set():
            if publisher.poll(20) and publisher.recv() == b"\x01resil2/beat/":
                publisher.send_multipart([b"resil2/beat/", b'{"v":2}'])

    def test_a_zeromq_socket_that_does_not_beat_is_the_wrong_one(self):
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            port = router.bind_to_random_port("tcp://127.0.0.1")
            self.refused(f"tcp://127.0.0.1:{port}", "no beat of a resil program")

    def test_nothing_is_said(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.refused(f"tcp://127.0.0.1:{server.getsockname()[1]}", "nothing is said")

    def test_a_stopped_program_is_not_waited_for_longer_than_said(self):
        with remote(self.environment) as (process, endpoint):
            process.send_signal(signal.SIGSTOP)
            try:
                self.refused(endpoint, "hangs or is stopped")
            finally:
                process.send_signal(signal.SIGCONT)


class Keys(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def file(self, name):
        return os.path.join(self.folder, name)

    def test_keys_are_made_and_let_in_by_role(self):
        server = self.ask("keys", "new", self.file("server")).strip()
        self.assertEqual(self.ask("keys", "public", self.file("server")).strip(), server)
        self.assertEqual(os.stat(self.file("server")).st_mode & 0o777, 0o600)
        self.ask("keys", "new", self.file("server"), status=7, says="was left alone")
        for name, role in ("ann", "operator"), ("bob", "viewer"):
            public = self.ask("keys", "new", self.file(name)).strip()
            self.ask("keys", "allow", self.file("access"), public, role, name)
        self.ask("keys", "new", self.file("eve"))
        self.ask("keys", "allow", self.file("access"), "short", "viewer", "x", status=2, says="Z85")
        self.ask("keys", "allow", self.file("access"), server, "king", "x", status=2, says="no role")
        self.ask("keys", "frob", self.file("access"), status=2, says="resil keys new")
        with tree(self.environment, RESIL_MONITOR="tcp://127.0.0.1:*",
                  RESIL_MONITOR_KEYS=self.file("server"),
                  RESIL_MONITOR_ACCESS=self.file("access")) as (_, endpoint):
            def by(name, *words, key=server, **more):
                return self.ask(*words, "-e", endpoint, "--key", self.file(name), "--server-key",
                                key, **more)
            self.assertIn("/plant/storage", by("bob", "status", *LONG))
            by("bob", "restart", "/plant/display", *LONG, status=6, says="viewer")
            by("ann", "restart", "/plant/display", *LONG)
            by("eve", "status", "--timeout", "6s", status=6, says="does not let this key in")
            other = self.ask("keys", "public", self.file("eve")).strip()
            by("bob", "status", "--timeout", "6s", key=other, status=6,
               says="its own is another one")
            self.ask("status", "-e", endpoint, status=6, says="wants keys")
        self.ask("status", "--key", self.file("nobody"), status=2, says="belong together")


class Following(Case):
    def test_a_program_that_is_killed_and_comes_again_is_followed_on(self):
        process, endpoint = start(self.environment, "tcp://127.0.0.1:*")
        follower = subprocess.Popen([*COMMAND, "events", "-f", "--since", "1", "-e", endpoint,
                                     "--timeout", "60s"], env=self.environment, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines, said = Lines(follower.stdout), Lines(follower.stderr)
        try:
            lines.wait_for(lambda: any("starting -> up" in line for line in lines), "an event")
            end(process, kill=True)
            before = len(lines)
            process, _ = start(self.environment, endpoint)
            said.wait_for(lambda: any("another run" in line for line in said), "the new run")
            #  It has been heard of; that it is followed shows in what happens from then on.
            def happens():
                resil(self.environment, "restart", "/remote/worker", "-e", endpoint, *LONG)
                return any("restart: refused" in line for line in lines[before:])
            wait_for(happens, "an event of the new run")
            end(process)
            lines.wait_for(lambda: any("ended: stopped" in line for line in lines[before:]),
                           "the end of the new run")
        finally:
            end(process, kill=True)
            follower.terminate()
            follower.wait(PATIENCE)
            lines.close()
            said.close()

    def test_a_new_run_is_noticed_within_a_second_of_its_return(self):
        """Where the machine lets it: in one of some tries."""
        process, endpoint = start(self.environment, "tcp://127.0.0.1:*")
        follower = subprocess.Popen([*COMMAND, "events", "-f", "--since", "1", "-e", endpoint, *LONG],
                                    env=self.environment, text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        lines, said, took = Lines(follower.stdout), Lines(follower.stderr), []

        def runs():
            return sum("another run" in line for line in said)
        try:
            lines.wait_for(lambda: any("starting -> up" in line for line in lines), "an event")
            while not took or (took[-1] > 1 and len(took) < 10):
                before = runs()
                end(process, kill=True)
                process, _ = start(self.environment, endpoint)
                came = time.monotonic()
                said.wait_for(lambda: runs() > before, "the new run")
                took.append(time.monotonic() - came)
        finally:
            end(process, kill=True)
            follower.terminate()
            follower.wait(PATIENCE)
            lines.close()
            said.close()
        self.assertLessEqual(took[-1], 1, took)

    def test_the_demo_is_a_program_that_fails_and_recovers(self):
        out = resil(self.environment, "demo", "--timeout", "5s")[1]
        self.assertRegex(out, r"/demo/input/feed#1 +up -> failing: reported 111")
        self.assertEqual(os.listdir(os.path.join(self.environment["XDG_RUNTIME_DIR"], "resil")), [])

    def test_the_completion_is_a_script_that_completes(self):
        script = self.ask("completion", "bash") + """
            COMP_WORDS=(resil ev); COMP_CWORD=1; _resil; echo "${COMPREPLY[@]}"
            COMP_WORDS=(resil events --fo); COMP_CWORD=2; _resil; echo "${COMPREPLY[@]}"
        """
        done = subprocess.run(["bash", "-eu"], input=script, capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual((done.stdout, done.stderr), ("events\n--follow\n", ""))


if __name__ == "__main__":
    unittest.main()
