#  A guarded program as a service of systemd itself: a user's manager, in namespaces of its own, so that nothing outside
#  is touched and nothing is left. It needs root, to make them.
#
#  SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from support import BUILD, LAUNCHER, fail, skip

SYSTEMD = pathlib.Path("/lib/systemd/systemd")

# $1: a folder for everything. The first process of the namespace is this shell: all ends with it.
SCRIPT = r"""
mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd &&
    mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd &&
    mount -t tmpfs none /run && mkdir -p /run/systemd/system || exit 77
cd "$1"
export HOME="$1" XDG_RUNTIME_DIR="$1"
mkfifo in && exec 9<>in
/lib/systemd/systemd --user --log-target=console >log 2>&1 &
manager() { timeout 20 systemctl --user --no-pager "$@"; }
state() { manager show g.service -p "$1" --value; }
await() {
    for i in $(seq 300); do
        eval "$1" && return
        sleep 0.1
    done
    echo "not so: $1"
    cat out err log
    exit 1
}
for i in $(seq 100); do
    manager list-units >/dev/null 2>&1 && break
    sleep 0.1
done
manager list-units >/dev/null 2>&1 || { cat log; exit 77; }
manager start g.service || { cat log err; exit 1; }
pid=$(state MainPID)
echo "state $(state ActiveState) status $(state StatusText)"
echo crash >&9
await 'grep -q "restarts 1 signal 11" out'
await '[ "$(state StatusText)" = "2 components, 2 up" ]'
echo freeze >&9
await 'grep -q "restarts 2 signal 6" out'
echo "state $(state ActiveState) same $([ "$(state MainPID)" = "$pid" ] && echo yes) by itself $(state NRestarts)"
await '[ "$(state StatusText)" = "2 components, 2 up" ]'
manager stop g.service
echo "state $(state ActiveState) result $(state Result) with $(state ExecMainStatus)"
grep stopped out
"""

# A stop goes to all processes, where the unit does not say KillMode=mixed: then too it is one for the program.
UNIT = f"""
[Service]
Type=notify
ExecStart={BUILD}/tests/system/test_guardian obey follow=1
StandardInput=file:%h/in
StandardOutput=append:%h/out
StandardError=append:%h/err
Environment=ASAN_OPTIONS=handle_segv=0 TSAN_OPTIONS={os.environ.get("TSAN_OPTIONS", "")}:handle_segv=0
WatchdogSec=3
"""

EXPECTED = r"""state active status \d components?, \d up
state active same yes by itself 0
state inactive result success with 0
stopped 0 
"""

if LAUNCHER or os.geteuid() != 0 or not SYSTEMD.exists() or not shutil.which("unshare"):
    skip("it needs root, systemd and unshare")
with tempfile.TemporaryDirectory() as folder:
    units = pathlib.Path(folder, ".config/systemd/user")
    units.mkdir(parents=True)
    (units / "g.service").write_text(UNIT)
    done = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                           SCRIPT, "sh", folder], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=50)
if done.returncode == 77 or "unshare failed" in done.stdout:
    skip(f"no manager can be had here: {done.stdout}")
if done.returncode != 0 or not re.fullmatch(EXPECTED, done.stdout):
    fail(f"status {done.returncode}\n{done.stdout}")
