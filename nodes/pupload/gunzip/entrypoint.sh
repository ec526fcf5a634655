#!/bin/sh
#
# Takes the compression of gzip away, up to a limit: a bomb ends in a sentence, not in a full disk.
#
#   INPUT_COMPRESSED   the file to read        OUTPUT_FILE   the file to write
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

compressed=${INPUT_COMPRESSED:-} file=${OUTPUT_FILE:-} most=${FLAG_MAX_BYTES:-1073741824} ratio=${FLAG_MAX_RATIO:-250}
path INPUT_COMPRESSED "$compressed"
path OUTPUT_FILE "$file"
case $most in
0* | *[!0-9]* | ???????????????*) die 64 "flag max_bytes must be a whole number from 1 to 99999999999999, not '$most'" ;;
esac
number max_ratio "$ratio" 1 1000000
input INPUT_COMPRESSED "$compressed"
[ "$(starts "$compressed" 2)" = 1f8b ] || die 65 "the input is not compressed with gzip; other archives are for pupload/unpack"

why="max_bytes" limit=$most dense=$(($(size "$compressed") * ratio))
# Small things may be as dense as they like.
[ "$dense" -ge 16777216 ] || dense=16777216
if [ "$dense" -lt "$limit" ]; then limit=$dense why="max_ratio"; fi

code=0 bytes=$(size "$compressed")
# shellcheck disable=SC2016 # the inner shell expands it
attended "$bytes" "Unpacking" sh -c '
    ulimit -c 0
    ulimit -f "$1" || exit 70
    exec gzip -dc >"$2" 2>/tmp/said' sh $(((limit + 511) / 512)) "$file" <"$compressed" 2>/dev/null || code=$?
if [ "$code" = 153 ] || [ "$(size "$file")" -gt "$limit" ]; then
    die 65 "the file unpacks to more than $limit bytes, as bombs do; raise $why if you trust it"
fi
said=$(grep -m1 . /tmp/said | sed 's/^gzip: //;s/^stdin: //') || :
case $code in
0) ;;
2) warn "gzip says: $said" ;;
*) die 65 "the input is damaged or not complete: $said" ;;
esac
say "Unpacked $bytes bytes to $(size "$file")" 1
