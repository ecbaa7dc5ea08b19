#  Plain SUB sockets, of pyzmq and of czmq, on the endpoint of a program: each gets every event of what is done to it, in
#  order, as the schema has it and as the program remembers it.
#
#  ctest timeout: 240
#
#  SPDX-License-Identifier: Apache-2.0

import ctypes
import json
import time
import unittest

from schema import best_error, validator
from support import PATIENCE, need_module
from watched import end, home, resil, start

need_module("zmq", "python3-zmq")
import zmq  # noqa: E402

LONG = ("--timeout", "60s")


class Pyzmq:
    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.socket.rcvtimeo = PATIENCE * 1000
        self.socket.subscribe("resil1/")
        self.socket.connect(endpoint)

    def receive(self):
        return self.socket.recv_multipart()

    def close(self):
        self.socket.close(0)


class Czmq:
    """The library itself, called as from C."""

    library = ctypes.CDLL("libczmq.so.4")
    for function in "zsock_new_sub", "zmsg_recv", "zmsg_pop", "zframe_data":
        getattr(library, function).restype = ctypes.c_void_p
    library.zframe_size.restype = ctypes.c_size_t

    def __init__(self, endpoint):
        self.library.zsys_handler_set(None)
        self.socket = ctypes.c_void_p(self.library.zsock_new_sub(endpoint.encode(), b"resil1/"))
        self.library.zsock_set_rcvtimeo(self.socket, PATIENCE * 1000)

    def receive(self):
        message = ctypes.c_void_p(self.library.zmsg_recv(self.socket))
        if not message:
            raise AssertionError("nothing comes")
        frames = []
        while frame := ctypes.c_void_p(self.library.zmsg_pop(message)):
            frames.append(ctypes.string_at(self.library.zframe_data(frame),
                                           self.library.zframe_size(frame)))
            self.library.zframe_destroy(ctypes.byref(frame))
        self.library.zmsg_destroy(ctypes.byref(message))
        return frames

    def close(self):
        self.library.zsock_destroy(ctypes.byref(self.socket))


class Follower:
    """What one of them has got."""

    def __init__(self, kind, endpoint):
        self.kind = kind.__name__
        self.subscriber = kind(endpoint)
        self.events, self.beats = [], []

    def take(self):
        topic, text = self.subscriber.receive()
        message = json.loads(text)
        if topic == b"resil1/beat/":
            self.beats.append(message)
        elif topic.startswith(b"resil1/event/"):
            self.events.append(message)
            if topic.decode() != f"resil1/event{message['path']}/":
                raise AssertionError(f"{topic} of {text}")

    def join(self):
        while not self.beats:
            self.take()

    def follow_to(self, is_last):
        until = time.monotonic() + PATIENCE
        while not (self.events and is_last(self.events[-1])):
            self.take()
            if time.monotonic() > until:
                raise AssertionError(f"{self.kind}: the last event does not come")


class Subscribers(unittest.TestCase):
    def ask(self, *words, status=0):
        code, out, err = resil(self.environment, *words, *LONG)
        self.assertEqual(code, status, f"{words}: {out}{err}")
        return out

    def do_all_kinds_of_things(self):
        self.ask("call", "/remote/worker", "hello")
        for _ in range(5):
            self.ask("call", "/remote/worker", "fail", status=1)
            self.ask("restart", "/remote/clock")
        self.ask("restart", "/remote/worker", "--incarnation", "99", status=7)
        self.ask("stop", "/remote/clock")
        self.ask("start", "/remote/clock")

    def is_whole(self, follower, remembered):
        numbers = [event["seq"] for event in follower.events]
        self.assertEqual(numbers, list(range(follower.beats[0]["seq"] + 1, numbers[-1] + 1)))
        self.assertGreater(len(numbers), 60)
        for event in follower.events:
            self.assertIsNone(best_error(validator("event"), event), event)
            self.assertEqual(event, remembered.get(event["seq"], event))
        for beat in follower.beats:
            self.assertIsNone(best_error(validator("beat"), beat), beat)

    def test_each_gets_every_event_in_order_and_as_the_schema_has_it(self):
        with home() as self.environment:
            process, endpoint = start(self.environment, f"ipc://{self.environment['XDG_RUNTIME_DIR']}/m")
            self.environment["RESIL_ENDPOINT"] = endpoint
            followers = [Follower(kind, endpoint) for kind in (Pyzmq, Czmq)]
            try:
                for follower in followers:
                    follower.join()
                self.do_all_kinds_of_things()
                remembered = {event["seq"]: event for event in json.loads(self.ask("events", "-o", "json"))}
                end(process)
                for follower in followers:
                    follower.follow_to(lambda event: event["type"] == "ended")
                    self.is_whole(follower, remembered)
                    self.assertGreater(len(remembered.keys() & {event["seq"] for event in follower.events}), 60)
                self.assertEqual(followers[0].events[-1], followers[1].events[-1])
            finally:
                end(process, kill=True)
                for follower in followers:
                    follower.subscriber.close()


if __name__ == "__main__":
    unittest.main()
