#!/bin/sh
#
# Tells how much two pictures differ, and where.
#
#   INPUT_FIRST, INPUT_SECOND   the pictures
#   OUTPUT_REPORT      the file to write, JSON
#   OUTPUT_DIFFERENCE  the picture to write, PNG, where it is wanted: black where they are the same
#   FLAG_AMPLIFY       how many times brighter than it is the difference is shown, 1 to 100 (4)
#   FLAG_FIT           true makes the second as large as the first; else two sizes are an error
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

# Ten bytes for each pixel, and three pictures at once.
PICTURE_MOST_PIXELS=60000000
first=${INPUT_FIRST:-} second=${INPUT_SECOND:-} report=${OUTPUT_REPORT:-} difference=${OUTPUT_DIFFERENCE:-}
amplify=${FLAG_AMPLIFY:-4}
path INPUT_FIRST "$first"
path INPUT_SECOND "$second"
[ -n "$report$difference" ] || path OUTPUT_REPORT ''
[ -z "$report" ] || path OUTPUT_REPORT "$report"
[ -z "$difference" ] || path OUTPUT_DIFFERENCE "$difference"
number amplify "$amplify" 1 100
fit=
if boolean fit "${FLAG_FIT:-}"; then fit=1; fi

# What each is read with, and how large it is.
input INPUT_FIRST "$first"
picture_header "$first"
picture_first
picture_room $((columns * rows * 3))
first="$from:${first}[0]" width=$upright_columns height=$upright_rows
input INPUT_SECOND "$second"
picture_header "$second"
picture_first
picture_room $((columns * rows * 3))
second="$from:${second}[0]"
size="${width}x$height"
if [ "$size" != "${upright_columns}x$upright_rows" ]; then
    [ -n "$fit" ] ||
        die 65 "the first picture has $size pixels and the second ${upright_columns}x$upright_rows: make one as large as the other, or set flag fit"
    # What is damaged looks else than what has another shape.
    fit="-resize $size!"
else
    fit=
fi
alike='+repage -auto-orient -colorspace sRGB -background white -alpha remove -alpha off +profile *'

say "Comparing two pictures of $size pixels" 0.1
# shellcheck disable=SC2086 # several arguments each
{
    picture_made png "${difference:-/tmp/difference.png}" \
        '(' "$first" $alike ')' '(' "$second" $alike $fit ')' \
        -compose difference -composite -evaluate multiply "$amplify" -strip -depth 8 -quality 95
    [ -n "$difference" ] || rm /tmp/difference.png
    if [ -n "$report" ]; then
        say "Measuring the difference" 0.5
        python3 /usr/local/lib/pupload/measure.py "$width" "$height" \
            convert-im6.q16 "$first" $alike -depth 8 rgb:- // \
            convert-im6.q16 "$second" $alike $fit -depth 8 rgb:- >"$report" 2>/tmp/said || {
            rm -f "$report"
            die 70 "the difference could not be measured: $(head -n 1 /tmp/said)"
        }
    fi
}
ssim=$([ -z "$report" ] || sed -n 's/^  "SSIM": \([0-9.-]*\).*/, SSIM \1/p' "$report")
say "Compared: $size pixels$ssim" 1
