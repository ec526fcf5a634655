#!/bin/sh
#
# Tells the checksum of a file, or of each file of a collection, and compares it with the one that is expected.
#
#   INPUT_FILE, INPUT_FILES   a file, a folder of files; one of them, or both        OUTPUT_SUMS   the file to write
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

file=${INPUT_FILE:-} files=${INPUT_FILES:-} sums=${OUTPUT_SUMS:-}
algorithm=${FLAG_ALGORITHM:-sha256} format=${FLAG_FORMAT:-text} expected=${FLAG_EXPECTED:-} name=${FLAG_NAME:-}
path OUTPUT_SUMS "$sums"
choice algorithm "$algorithm" sha256 sha512 sha1 md5 blake2b
choice format "$format" text json
case $name in *[!A-Za-z0-9._\ +,@-]*) die 64 "flag name must be letters, digits, blanks and . _ - + , @, not '$name'" ;; esac
case $expected in *[!0-9A-Fa-f]*) die 64 "flag expected must be a checksum in hexadecimal, not '$expected'" ;; esac
[ -n "$file$files" ] || die 65 "there is no file; bind file or files"
if [ -n "$file" ]; then input INPUT_FILE "$file"; fi
if [ -n "$files" ]; then
    path INPUT_FILES "$files"
    [ -d "$files" ] || die 65 "there is no readable folder at $files"
fi

case $algorithm in blake2b) tool=b2sum ;; *) tool=${algorithm}sum ;; esac

# A name as it may stand in a line, or in JSON.
escaped() { printf '%s' "$1" | sed 's/\\/\\\\/g;s/"/\\"/g' | tr -d '\000-\037'; }

# one PATH NAME: adds a line; leaves the checksum in `sum`.
one() {
    [ -r "$1" ] || die 65 "there is no readable file at $1"
    bytes=$(size "$1")
    # shellcheck disable=SC2016 # the inner shell expands it
    attended "$bytes" "Reading" sh -c '"$1" >/tmp/sum' sh "$tool" <"$1" || die 70 "$1 could not be read"
    read -r sum _ </tmp/sum
    count=$((count + 1))
    if [ "$format" = text ]; then
        printf '%s  %s\n' "$sum" "$2" >>"$sums"
    else
        [ "$count" = 1 ] || printf ',' >>"$sums"
        printf '\n  {"name": "%s", "bytes": %s, "algorithm": "%s", "sum": "%s"}' "$(escaped "$2")" "$bytes" "$algorithm" "$sum" >>"$sums"
    fi
}

count=0
: >"$sums"
[ "$format" = text ] || printf '[' >"$sums"
if [ -n "$files" ]; then
    for each in "$files"/*; do
        if [ -f "$each" ]; then one "$each" "${each##*/}"; fi
    done
fi
if [ -n "$file" ]; then one "$file" "${name:-${file##*/}}"; fi
[ "$format" = text ] || printf '\n]\n' >>"$sums"
[ "$count" != 0 ] || die 65 "the collection has no files"

if [ -n "$expected" ]; then
    [ "$count" = 1 ] || die 64 "flag expected fits one file, and there are $count"
    [ "$(printf '%s' "$expected" | tr 'A-F' 'a-f')" = "$sum" ] ||
        die 65 "the file is not what is expected: its $algorithm is $sum, not $expected"
    say "The $algorithm is as expected: $sum" 1
else
    say "$algorithm of $count files" 1
fi
