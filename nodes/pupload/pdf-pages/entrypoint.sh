#!/bin/sh
#
# The pages of a PDF as pictures, one file each.
#
#   INPUT_DOCUMENT   the PDF
#   OUTPUT_PAGES     the directory to fill: 0001.png, 0002.png ... by the number of the page
#   FLAG_FORMAT      png or jpeg
#   FLAG_DPI         how many pixels to an inch of paper
#   FLAG_LONGEST     instead: how many pixels the longer edge has
#   FLAG_FIRST, FLAG_LAST   the pages, counted from 1; all
#   FLAG_QUALITY     1 to 100, for JPEG
#   FLAG_GRAY        true leaves the colours out
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/pdf.sh
. /usr/local/lib/pupload/pdf.sh

MOST_PAGES=1000
MOST_PIXELS=150000000
MOST_EDGE=32000
SECONDS_TO_READ=60
SECONDS_A_PAGE=120

document=${INPUT_DOCUMENT:-} folder=${OUTPUT_PAGES:-}
path OUTPUT_PAGES "$folder"
[ -d "$folder" ] || die 64 "OUTPUT_PAGES must be a directory that is there: $folder"
format=${FLAG_FORMAT:-png} quality=${FLAG_QUALITY:-85} longest=${FLAG_LONGEST:-} dpi=${FLAG_DPI:-150}
choice format "$format" png jpeg
number dpi "$dpi" 10 1200
number longest "$longest" 16 $MOST_EDGE
number first "${FLAG_FIRST:-}" 1 999999
number last "${FLAG_LAST:-}" 1 999999
number quality "$quality" 1 100
case $format in
png) extension=png how=-png ;;
jpeg) extension=jpg how="-jpeg -jpegopt quality=$quality,progressive=n" ;;
esac
if boolean gray "${FLAG_GRAY:-}"; then how="$how -gray"; fi
if [ -n "$longest" ]; then how="$how -scale-to $longest"; else how="$how -r $dpi"; fi
input INPUT_DOCUMENT "$document"
pdf_told "$document" "the input"
pdf_pages "$document" $MOST_PAGES $SECONDS_TO_READ

# Sizes before a pixel is drawn. Both edges in pixels, rounded up as the renderer does; nothing where a size is no number.
pdf_facts "$document" "$first" "$last" $SECONDS_TO_READ
[ $pdf_status = 0 ] || pdf_explain $pdf_status "the PDF"
awk -v dpi="$dpi" -v longest="$longest" '
    /^Page +[0-9]+ size:/ && $4 + 0 > 0 && $6 + 0 > 0 && $4 + 0 < 1e9 && $6 + 0 < 1e9 {
        scale = longest ? longest / ($4 > $6 ? $4 : $6) : dpi / 72
        wide = $4 * scale; high = $6 * scale
        printf "%d %.0f %.0f\n", $2, wide == int(wide) ? wide : int(wide) + 1, high == int(high) ? high : int(high) + 1
    }' /tmp/facts >/tmp/sizes
done=0
while read -r page wide high; do
    done=$((done + 1))
    if [ ${#wide} -gt 9 ] || [ ${#high} -gt 9 ] || [ "$wide" -gt $MOST_EDGE ] || [ "$high" -gt $MOST_EDGE ] || [ $((wide * high)) -gt $MOST_PIXELS ]; then
        die 65 "page $page would be $wide x $high pixels; the most is $MOST_EDGE an edge and $((MOST_PIXELS / 1000000)) million in all: ask for fewer dpi, or set the flag longest"
    fi
    # Drawn with four bytes a pixel, and about as much again for what is laid over it.
    [ $((wide * high * 6)) -le "$pdf_memory" ] ||
        die 71 "page $page would be $wide x $high pixels, which takes more memory than this tier has; try a larger one, or fewer dpi"
done </tmp/sizes
[ $done = $count ] || die 65 "the PDF is damaged: $((count - done)) of its $count pages have no size that makes sense"

say "Drawing $count of $pages pages" 0
page=$first
while [ "$page" -le "$last" ]; do
    name=$folder/$(printf %04d "$page") status=0
    # shellcheck disable=SC2086 # options made above of checked parts
    timeout -k 5 $SECONDS_A_PAGE pdftoppm -q $how -cropbox -singlefile -f "$page" -l "$page" "$document" "$name" >/dev/null 2>"$pdf_said" </dev/null || status=$?
    if [ $status != 0 ] || [ ! -s "$name.$extension" ]; then
        rm -f "$folder"/*
        pdf_explain $status "the PDF" "drawing page $page" "fewer dpi"
    fi
    done=$((page - first + 1))
    say "Page $page of $pages drawn" "$(awk -v done=$done -v count=$count 'BEGIN { printf "%.3f", done / count }')"
    page=$((page + 1))
done
say "$count pages drawn" 1
