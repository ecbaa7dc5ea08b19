#!/bin/bash
#  feed_demo.sh BUILD_DIR: feed reads from a line server that is killed under it, several times.
#  Ends with what was seen; exit status 0 only if the feed lost nothing but connections.
#
#  SPDX-License-Identifier: Apache-2.0
set -u

if [ $# -ne 1 ] || [ ! -x "$1/examples/feed" ] || [ ! -x "$1/examples/line_server" ]; then
    echo "usage: feed_demo.sh BUILD_DIR (which holds examples/feed and examples/line_server)" >&2
    exit 2
fi
programs=$1/examples
rate=10000
pauses_s=(0.1 1.0 0.4)      # how long the server stays away, once a kill

work=$(mktemp -d)
server_pid=
feed_pid=
clean_up () {
    for pid in $server_pid $feed_pid; do
        kill -9 "$pid"
    done 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

began_at=$EPOCHREALTIME
say () {
    local ms=$(( (${EPOCHREALTIME/[^0-9]/} - ${began_at/[^0-9]/}) / 1000 ))
    printf '%3d.%d s  %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$*"
}
fail () {
    say "FAILED: $*" >&2
    exit 1
}

#  Wait until a line of file $1 begins with $2, or fail with $3.
wait_for () {
    local tries=400
    until grep -q "^$2" "$1" 2>/dev/null; do
        [ $((tries--)) -gt 0 ] || fail "$3"
        sleep 0.05
    done
}

#  Start server number $1 at port $2, 0 for one that is free.
start_server () {
    log=$work/server.$1
    "$programs/line_server" "$2" $rate > "$log" &
    server_pid=$!
    wait_for "$log" listening "server $1 does not listen"
    port=$(sed -n 's/^listening on 127.0.0.1://p' "$log")
}

kill_server () {
    kill -9 "$server_pid"
    wait "$server_pid" 2>/dev/null
    server_pid=
}

#  What feed says, on the right of what is done to it.
indent () {
    stdbuf -oL fold -s -w 66 | sed -u 's/^/           /; s/ *$//'
}

say "a server sends $rate lines a second on loopback, a feed counts them"
start_server 0 0
exec 3> >(tee "$work/feed" | indent)
printer_pid=$!
"$programs/feed" --progress --for 120 "tcp://127.0.0.1:$port" >&3 2>&1 &
feed_pid=$!
exec 3>&-
wait_for "$log" sending "the feed does not connect"

kills=0
for pause_s in "${pauses_s[@]}"; do
    sleep 2.2
    kills=$((kills + 1))
    say "the server is killed (kill -9), and gone for $pause_s s"
    kill_server
    sleep "$pause_s"
    start_server $kills "$port"
    wait_for "$log" sending "the feed does not come back"
    say "the server is back, and the feed too"
done

sleep 1.5
say "the feed is stopped, as by Ctrl-C"
kill -TERM "$feed_pid"
wait "$feed_pid"
status=$?
feed_pid=
wait "$printer_pid"
kill_server

figure () {
    sed -n "s/^$1  *\([0-9][0-9.]*\).*/\1/p" "$work/feed"
}
lines=$(figure lines)
bytes=$(figure bytes)
losses=$(figure 'connection losses')
restarts=$(figure restarts)
gap_s=$(figure 'longest gap')

[ $status -eq 0 ] || fail "the feed ended with status $status"
[ "${lines:-0}" -gt 0 ] || fail "the feed read no lines"
#  More than kills: a connection that a dying server takes is lost at once.
[ "${losses:-0}" -ge $kills ] || fail "$kills kills, but ${losses:-no} connection losses"
[ "${restarts:-0}" -ge "$losses" ] || fail "$losses losses, but ${restarts:-no} restarts"
[ -z "$(figure 'no line since')" ] || fail "the feed did not recover from the last loss"

echo
fold -s -w 76 <<END | sed "s/ *$//"
The server was killed $kills times. The feed saw $losses connection losses, was restarted \
$restarts times by its supervisor, and went on each time: $lines lines and $bytes bytes in all. \
The longest gap, from a loss to the next line, was $gap_s s.
END
