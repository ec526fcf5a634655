#!/bin/sh
#
# Compresses a file with gzip: the same file always gives the same bytes.
#
#   INPUT_FILE   the file to read        OUTPUT_COMPRESSED   the file to write
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

file=${INPUT_FILE:-} compressed=${OUTPUT_COMPRESSED:-} level=${FLAG_LEVEL:-6}
path INPUT_FILE "$file"
path OUTPUT_COMPRESSED "$compressed"
number level "$level" 1 9
input INPUT_FILE "$file"

code=0 bytes=$(size "$file")
# shellcheck disable=SC2016 # the inner shell expands it
attended "$bytes" "Compressing" sh -c 'exec gzip -n "-$1" >"$2" 2>/tmp/said' sh "$level" "$compressed" <"$file" || code=$?
[ "$code" = 0 ] || die 70 "the file could not be compressed: $(head -c 300 /tmp/said)"
say "Compressed $bytes bytes to $(size "$compressed")" 1
