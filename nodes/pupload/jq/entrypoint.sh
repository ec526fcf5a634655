#!/bin/sh
#
# Turns JSON into other JSON, or into text, by a filter of jq.
#
#   INPUT_DOCUMENT   JSON, or many values one after the other     OUTPUT_RESULT   the file to write
#
# The filter sees the document and nothing else: no variables of the environment, no file names, no modules.
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

document=${INPUT_DOCUMENT:-} result=${OUTPUT_RESULT:-} filter=${FLAG_FILTER:-} most=${FLAG_MAX_BYTES:-}
path INPUT_DOCUMENT "$document"
path OUTPUT_RESULT "$result"
[ -n "$filter" ] || die 64 "flag filter must be a filter of jq, such as .name"
set -- -L /usr/local/lib/pupload/none
boolean raw "${FLAG_RAW:-false}" && set -- "$@" -r
boolean slurp "${FLAG_SLURP:-false}" && set -- "$@" -s
boolean compact "${FLAG_COMPACT:-false}" && set -- "$@" -c
boolean sort_keys "${FLAG_SORT_KEYS:-false}" && set -- "$@" -S
case $most in
'') most=1073741824 ;;
0* | *[!0-9]* | ???????????????*) die 64 "flag max_bytes must be a whole number from 1 to 99999999999999, not '$most'" ;;
esac
input INPUT_DOCUMENT "$document"

printf '%s' "$filter" >/tmp/filter
# Only at its beginning, after comments, may a filter ask for modules.
begins=$(sed 's/^[[:space:]]*#.*//' /tmp/filter | tr '\n\t\r' '   ' | sed 's/^ *//;s/^\([a-z]*\).*/\1/')
case $begins in import | include | module) die 64 "flag filter must not begin with $begins: there are no modules here" ;; esac

code=0 bytes=$(size "$document")
# A result that is larger than allowed ends jq by a signal; what it says is not for the result.
# shellcheck disable=SC2016 # the inner shell expands it
attended "$bytes" "Filtering" env -i LC_ALL=C.UTF-8 PATH=/usr/bin:/bin sh -c '
    blocks=$1 result=$2
    shift 2
    ulimit -c 0
    ulimit -f "$blocks" || exit 70
    exec jq "$@" -f /tmp/filter >"$result" 2>/tmp/said' sh $(((most + 511) / 512)) "$result" "$@" <"$document" 2>/dev/null || code=$?

said=$(head -c 2000 /tmp/said | grep -m1 . | sed 's/^jq: //;s/^error[^:]*: //') || :
case $code,$said in
0,*) ;;
3,*) die 64 "flag filter is not right: $said" ;;
153,*) die 65 "the result is larger than $most bytes; raise max_bytes, or ask for less" ;;
137,*) die 71 "the document needs more memory than this tier has; try a larger one" ;;
2,* | *"parse error"*) die 65 "the input is not JSON: $said" ;;
*) die 65 "the filter does not fit the document: ${said:-jq ended with code $code}" ;;
esac
[ "$(size "$result")" -le "$most" ] || die 65 "the result is larger than $most bytes; raise max_bytes, or ask for less"
say "Filtered $bytes bytes to $(size "$result")" 1
