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
# shellcheck source=nodes/base/pdf.sh
. /usr/local/lib/pupload/pdf.sh

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
pdf_told "$document" "the input"
pdf_pages "$document" $MOST_PAGES $SECONDS_TO_READ

say "Reading the text of $count of $pages pages" 0.1
status=0
set -f
# shellcheck disable=SC2086 # options made above, each one word or none
(ulimit -f $((MOST_TEXT_MB * 2048)) && exec timeout -k 5 $SECONDS_TO_EXTRACT pdftotext -q -enc UTF-8 -eol unix $layout $page_breaks \
    -f "$first" -l "$last" "$document" "$text") >/dev/null 2>"$pdf_said" </dev/null || status=$?
if [ $status != 0 ] || [ ! -f "$text" ]; then
    rm -f "$text"
    [ $status != 153 ] || die 65 "the PDF has more than $MOST_TEXT_MB MB of text; take fewer pages with the flags first and last"
    pdf_explain $status "the PDF"
fi
# Pictures of text hold none: worth a word, no failure. Looked for in the beginning first, where it nearly always is.
letters=$(LC_ALL=C tr -d '[:space:]' <"$text" | head -c 1 | wc -c)
[ "$letters" != 0 ] || warn "these pages hold no text; if they are scans, the node type pupload/ocr reads them"
say "Text of $count pages extracted: $(wc -c <"$text") bytes" 1
