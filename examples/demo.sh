#!/bin/bash
#  demo.sh BUILD_DIR [FILE [N]]: the words of a large text are counted by a pipeline, one of whose workers dies now and
#  then, at every Nth line or so. Exit status 0 only if the counts are those of sort | uniq -c.
#
#  The text is WordNet's, a dictionary of English, as Debian has it in the package wordnet-base; without that it is what
#  there is of documents here.
#
#  SPDX-License-Identifier: Apache-2.0
set -u
export LC_ALL=C

wordcount=${1:-.}/examples/wordcount
if [ $# -lt 1 ] || [ $# -gt 3 ] || [ ! -x "$wordcount" ]; then
    echo "usage: demo.sh BUILD_DIR [FILE [N]] (BUILD_DIR holds examples/wordcount)" >&2
    exit 2
fi

work=$(mktemp -d)
counter=
printer=
clean_up () {
    exec 3>&-
    [ -z "$counter" ] || kill "$counter"
    wait $counter $printer
    rm -rf "$work"
}
trap 'clean_up 2>/dev/null' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

wordnet=(/usr/share/wordnet/data.*)
lines_a_death=${3:-15000}
if [ $# -ge 2 ]; then
    whose=$2
    cat "$2" > "$work/text"
elif [ -r "${wordnet[0]}" ]; then
    whose="Debian's wordnet-base"
    cat "${wordnet[@]}" > "$work/text"
else
    whose="the documents of this project"
    find "$(dirname "$0")/../docs" -name '*.md' -exec cat {} + > "$work/text"
    lines_a_death=1000
fi

figures=($(wc -lc < "$work/text"))
echo "The words of ${figures[0]} lines, ${figures[1]} bytes, from $whose"
echo "are counted by a pipeline: lines -> 2 workers, one of which dies now and then,"
echo "with all that it has in hand -> counts. It is slowed down to be watched."
exec 3> >(exec tee "$work/log")
printer=$!
"$wordcount" --show "$lines_a_death" "$work/text" > "$work/counts" 2>&3 &
counter=$!
exec 3>&-
wait "$counter"
status=$?
counter=
wait "$printer"
[ $status -eq 0 ] || { echo "FAILED: wordcount ended with status $status" >&2; exit 1; }

tr -cs 'A-Za-z' '\n' < "$work/text" | sed '/^$/d' | sort | uniq -c | sed 's/^ *//' > "$work/sorted"
deaths=$(grep -c panicked "$work/log")
words=$(awk '{ n += $1 } END { print n + 0 }' "$work/counts")
echo
if ! cmp -s "$work/counts" "$work/sorted"; then
    echo "FAILED: that is not what sort | uniq -c counts" >&2
    exit 1
fi
echo "Workers died $deaths times. $words words, $(wc -l < "$work/counts") of them different:"
echo "the counts are equal, each of them, to those of tr | sort | uniq -c."
