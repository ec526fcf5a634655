#!/bin/sh
#
# The text of a PDF.
#
#   INPUT_DOCUMENT   the PDF
#   OUTPUT_TEXT      the file to write, UTF-8
#   FLAG_LAYOUT      reading (columns one after the other), page (as it stands on the page), raw (as it stands in the file)
#   FLAG_FIRST, FLAG_LAST   the pages, counted from 1; all
#   FLAG_PAGE_BREAKS        true ends each page with a form feed
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

MOST_PAGES=10000
MOST_TEXT_MB=256
SECONDS_TO_READ=60
SECONDS_TO_EXTRACT=480

document=${INPUT_DOCUMENT:-} text=${OUTPUT_TEXT:-}
path OUTPUT_TEXT "$text"
number first "${FLAG_FIRST:-}" 1 999999
number last "${FLAG_LAST:-}" 1 999999
case ${FLAG_LAYOUT:-reading} in
reading) layout= ;;
page) layout=-layout ;;
raw) layout=-raw ;;
*) choice layout "$FLAG_LAYOUT" reading page raw ;;
esac
page_breaks=-nopgbrk
if boolean page_breaks "${FLAG_PAGE_BREAKS:-}"; then page_breaks=; fi
input INPUT_DOCUMENT "$document"
case $(starts "$document" 5) in
255044462d) ;;
*) die 65 "the input is not a PDF" ;;
esac

export HOME=/tmp
said=/tmp/said
# Memory that cannot be had ends in a sentence and not in a kill; the reader's complaints fill no disk.
# shellcheck disable=SC3045 # dash knows it
ulimit -v $(($(memory_limit) * 7 / 8192))

# explain STATUS: what the reader complained of, in words for the person whose file it is.
explain() {
    case $1:$(head -c 4000 "$said" | tr '\n' ' ') in
    124:* | 137:*) die 65 "reading the PDF takes too long: it is damaged, or made to keep a reader busy" ;;
    153:*) die 65 "the PDF has more than $MOST_TEXT_MB MB of text; take fewer pages with the flags first and last" ;;
    134:* | *'ut of memory'* | *bad_alloc*) die 71 "the PDF does not fit into the memory of this tier; try a larger one" ;;
    *'ncorrect password'*) die 65 "the PDF opens only with a password; save it without one and try again" ;;
    *) die 65 "the PDF cannot be read: it is damaged or not complete" ;;
    esac
}

status=0
(ulimit -f 8192 && exec timeout -k 5 $SECONDS_TO_READ pdfinfo "$document") >/tmp/facts 2>"$said" </dev/null || status=$?
pages=$(sed -n 's/^Pages: *\([0-9][0-9]*\)$/\1/p' /tmp/facts | tail -n 1)
if [ $status != 0 ] || [ -z "$pages" ]; then explain $status; fi
# Longer numbers are beyond the shell's arithmetic, and beyond any document.
case $pages in ???????*) pages=999999 ;; esac
[ "$pages" -ge 1 ] || die 65 "the PDF has no pages"
first=${FLAG_FIRST:-1} last=${FLAG_LAST:-$pages}
[ "$first" -le "$pages" ] || die 64 "flag first is $first, and the PDF has only $pages pages"
[ "$last" -le "$pages" ] || last=$pages
[ "$first" -le "$last" ] || die 64 "flag first ($first) must not be above flag last ($last)"
count=$((last - first + 1))
[ $count -le $MOST_PAGES ] || die 65 "these are $count pages; the most this node takes at once is $MOST_PAGES: choose with the flags first and last"

say "Reading the text of $count of $pages pages" 0.1
set -f
# shellcheck disable=SC2086 # options made above, each one word or none
(ulimit -f $((MOST_TEXT_MB * 2048)) && exec timeout -k 5 $SECONDS_TO_EXTRACT pdftotext -q -enc UTF-8 -eol unix $layout $page_breaks \
    -f "$first" -l "$last" "$document" "$text") >/dev/null 2>"$said" </dev/null || status=$?
if [ $status != 0 ] || [ ! -f "$text" ]; then
    rm -f "$text"
    explain $status
fi
# Pictures of text hold none: worth a word, no failure. Looked for in the beginning first, where it nearly always is.
letters=$(LC_ALL=C tr -d '[:space:]' <"$text" | head -c 1 | wc -c)
[ "$letters" != 0 ] || warn "these pages hold no text; if they are scans, the node type pupload/ocr reads them"
say "Text of $count pages extracted: $(wc -c <"$text") bytes" 1
