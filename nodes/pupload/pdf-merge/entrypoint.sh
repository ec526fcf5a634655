#!/bin/sh
#
# One PDF of several.
#
#   INPUT_DOCUMENTS   a directory of PDFs; their order is that of their names
#   OUTPUT_MERGED     the file to write
#   FLAG_ORDER        given or reverse
#   FLAG_MODE         append, or interleave: one page of each in turn
#   FLAG_LINEARIZE    true: the first page shows in a browser before the rest is there
#   FLAG_ACTIVE       remove (default) or keep what acts by itself: JavaScript, programs to launch, forms that send, files inside
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/pdf.sh
. /usr/local/lib/pupload/pdf.sh

MOST_FILES=1000
MOST_PAGES=20000
SECONDS_A_FILE=60
SECONDS_TO_JOIN=600

folder=${INPUT_DOCUMENTS:-} merged=${OUTPUT_MERGED:-}
path INPUT_DOCUMENTS "$folder"
path OUTPUT_MERGED "$merged"
[ -d "$folder" ] || die 65 "there is no collection of files at $folder"
choice order "${FLAG_ORDER:-given}" given reverse
choice mode "${FLAG_MODE:-append}" append interleave
choice active "${FLAG_ACTIVE:-remove}" remove keep
finish='--object-streams=generate'
if boolean linearize "${FLAG_LINEARIZE:-}"; then finish="$finish --linearize"; fi

export LC_ALL=C
joined=$merged.joined
trap 'rm -f "$joined"' EXIT

# tool SECONDS WHAT ARGUMENT...: qpdf, for at most so long.
tool() {
    tool_seconds=$1 tool_what=$2 tool_status=0
    shift 2
    timeout -k 5 "$tool_seconds" qpdf "$@" 2>"$pdf_said" </dev/null || tool_status=$?
    # 3 is a warning only.
    case $tool_status in 0 | 3) ;; *) pdf_explain $tool_status "$tool_what" ;; esac
}

# Each under a name of ours, which no tool reads a meaning into; a link costs nothing.
mkdir -p /tmp/parts
count=0
for file in "$folder"/*; do
    [ -f "$file" ] || continue
    count=$((count + 1))
    [ $count -le $MOST_FILES ] || die 65 "there are more than $MOST_FILES files; merge them in several steps"
    ln -s "$file" "/tmp/parts/$(printf %06d $count)"
done
[ $count -gt 0 ] || die 65 "the collection is empty: there is nothing to merge"

say "Merging $count files" 0
pages=0 checked=0
for part in /tmp/parts/*; do
    name=$(basename "$(readlink "$part")") checked=$((checked + 1))
    pdf_told "$part" "$name"
    tool $SECONDS_A_FILE "$name" --show-npages "$part" >/tmp/count
    has=$(head -c 12 /tmp/count)
    case $has in '' | 0 | *[!0-9]* | ????????*) die 65 "$name has no number of pages that makes sense: it is damaged" ;; esac
    pages=$((pages + has))
    [ $pages -le $MOST_PAGES ] || die 65 "the files have more than $MOST_PAGES pages together; merge them in several steps"
    say "$name: $has pages" "$(awk -v part=$checked -v count=$count 'BEGIN { printf "%.3f", 0.4 * part / count }')"
done

set --
for part in /tmp/parts/*; do
    if [ "${FLAG_ORDER:-given}" = reverse ]; then set -- "$part" 1-z "$@"; else set -- "$@" "$part" 1-z; fi
done
collate=
[ "${FLAG_MODE:-append}" = append ] || collate=--collate
# Of a document only its pages are taken: not its start-up actions, scripts, attachments or forms.
# shellcheck disable=SC2086 # one word or none
tool $SECONDS_TO_JOIN "the collection" --warning-exit-0 --empty $collate --object-streams=generate --pages "$@" -- "$joined"
say "$pages pages joined" 0.7

# Pages bring actions of their own along. qpdf tells the file's objects line by line, names in their one spelling; those with
# something that acts are told back to it with that under a name that nobody knows.
update=
if [ "${FLAG_ACTIVE:-remove}" = remove ]; then
    {
        ended=0
        (tool $SECONDS_TO_JOIN "the collection" --warning-exit-0 --json-output --json-stream-data=none "$joined" -) || ended=$?
        echo $ended >/tmp/ended
    } | awk -f /usr/local/lib/pupload/inert.awk >/tmp/update.json
    # A half told file would be half inert.
    read -r ended </tmp/ended
    [ "$ended" = 0 ] || exit "$ended"
    if [ -s /tmp/update.json ]; then
        update=--update-from-json=/tmp/update.json
        warn "scripts, actions or embedded files were taken out of the pages"
    fi
fi
# shellcheck disable=SC2086 # options made above, each one word
tool $SECONDS_TO_JOIN "the collection" --warning-exit-0 $update $finish "$joined" "$merged"
say "$count files with $pages pages merged: $(wc -c <"$merged") bytes" 1
