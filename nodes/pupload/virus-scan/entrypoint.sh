#!/bin/sh
#
# Looks for viruses in a file, and lets it pass only when it was looked at whole and none was found.
#
#   INPUT_FILE       the file to look at                     OUTPUT_CLEAN    the same file, when it is clean
#   INPUT_DATABASE   signatures, besides the image's own     OUTPUT_REPORT   what was found, JSON
#
# Without signatures there is no verdict: the node fails, and never calls a file clean that nobody has looked at.
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

file=${INPUT_FILE:-} database=${INPUT_DATABASE:-} clean=${OUTPUT_CLEAN:-} report=${OUTPUT_REPORT:-}
infected=${FLAG_INFECTED:-fail} most=${FLAG_MAX_SCAN_MB:-400}
path INPUT_FILE "$file"
path OUTPUT_REPORT "$report"
if [ -n "$clean" ]; then path OUTPUT_CLEAN "$clean"; fi
choice infected "$infected" fail report
number max_scan_mb "$most" 1 2000
input INPUT_FILE "$file"
bytes=$(size "$file")
[ "$bytes" -le $((most * 1000000)) ] ||
    die 65 "the file has $bytes bytes, more than max_scan_mb lets be looked at; what is not looked at whole does not pass"

signatures=/tmp/signatures
mkdir -p $signatures
# A single file of signatures, told from its contents, or a tar of several, by their plain names alone.
if [ -n "$database" ]; then
    input INPUT_DATABASE "$database"
    case $(starts "$database" 10) in
    436c616d41562d564442) cp "$database" $signatures/given.cvd ;; # ClamAV-VDB
    1f8b*) take='tar -xzf' ;;
    *) if tar -tf "$database" >/dev/null 2>&1; then take='tar -xf'; else given=1; fi ;;
    esac
    if [ -n "${take:-}" ]; then
        $take "$database" -C $signatures --no-same-owner --no-same-permissions --transform 's,.*/,,' 2>/dev/null ||
            die 65 "the database cannot be unpacked; give a tar of files such as main.cvd, or one such file"
        find $signatures ! -type f ! -type d -delete
    elif [ -n "${given:-}" ]; then
        # Hashes with a size have a number between two colons; all else is read as patterns.
        if grep -Eqm1 '^[0-9a-f]{32}:([0-9]+|\*):' "$database"; then
            cp "$database" $signatures/given.hdb
        elif grep -Eqm1 '^[0-9a-f]{40,64}:([0-9]+|\*):' "$database"; then
            cp "$database" $signatures/given.hsb
        else
            cp "$database" $signatures/given.ndb
        fi
    fi
fi
for each in /var/lib/clamav/*; do
    if [ -f "$each" ]; then ln -sf "$each" $signatures/; fi
done
[ -n "$(find $signatures ! -type d | head -n 1)" ] ||
    die 64 "there are no signatures: bind input database, or build the image with some in its folder database"

say "Looking at $bytes bytes"
code=0
clamscan --database=$signatures --follow-file-symlinks=2 --no-summary --stdout --tempdir=/tmp --official-db-only=no \
    --max-filesize="${most}M" --max-scansize="$((most * 4))M" --max-files=10000 --max-recursion=17 --max-scantime=600000 \
    --alert-exceeds-max=yes --alert-encrypted=yes --alert-broken=no -- "$file" >/tmp/said 2>&1 || code=$?

found=$(sed -n "s|^$file: \(.*\) FOUND\$|\1|p" /tmp/said | head -n 1)
case $code,$found in
0,*) verdict=clean ;;
1,Heuristics.Limits.* | 1,Heuristics.Encrypted.*) verdict=incomplete ;;
1,?*) verdict=infected ;;
*)
    reason=$(grep -m1 -iE 'error|malformed|can.t' /tmp/said | sed 's/^LibClamAV Error: //') || :
    case $(cat /tmp/said) in
    *[Mm]alformed* | *'Database initialization error'* | *'not a database'* | *'No supported database'*)
        die 65 "the signatures cannot be read: $reason" ;;
    *'llocat'* | *'emory'*) die 71 "the signatures need more memory than this tier has; try a larger one" ;;
    esac
    [ "$code" != 137 ] || die 71 "the scan needs more memory than this tier has; try a larger one"
    die 70 "the file could not be looked at: $reason"
    ;;
esac
name=$(printf '%s' "$found" | tr -cd 'A-Za-z0-9._-')
printf '{"verdict": "%s", "found": %s, "bytes": %s, "engine": "%s"}\n' \
    "$verdict" "${name:+\"}${name:-null}${name:+\"}" "$bytes" "$(clamscan --version --database=$signatures | tr -cd 'A-Za-z0-9 ./:-' | cut -c1-60)" >"$report"

case $verdict in
clean)
    if [ -n "$clean" ]; then cp "$file" "$clean" || die 70 "the file could not be passed on"; fi
    say "Nothing found" 1
    ;;
infected)
    [ "$infected" = report ] || die 65 "the file is infected: $name"
    warn "the file is infected: $name; it is not passed on"
    ;;
incomplete)
    [ "$infected" = report ] || die 65 "the file could not be looked at whole ($name), so it does not pass"
    warn "the file could not be looked at whole ($name); it is not passed on"
    ;;
esac
