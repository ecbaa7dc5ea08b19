#!/usr/bin/env python3
"""Print what happens in a program that is made with resil, and watched by tcp or ipc: watch.py ENDPOINT

SPDX-License-Identifier: Apache-2.0
"""

import json
import sys

import zmq

if len(sys.argv) != 2:
    sys.exit("usage: watch.py tcp://HOST:PORT")
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe("resil1/event/")  # with a path behind it: what happens there and below
socket.subscribe("resil1/beat/")
socket.connect(sys.argv[1])
while True:
    topic, text = socket.recv_multipart()
    said = json.loads(text)
    if topic == b"resil1/beat/":
        print(f"{said['program']} is at event {said['seq']}", flush=True)
    else:
        change = f"{said['from']} -> {said['to']}" if said["type"] == "state" else said["type"]
        print(said["seq"], ascii(said["path"]), change, flush=True)
