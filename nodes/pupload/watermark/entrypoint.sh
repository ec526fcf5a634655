#!/bin/sh
#
# Lays one picture over another.
#
#   INPUT_IMAGE        the picture
#   INPUT_MARK         the mark, best with transparency
#   OUTPUT_MARKED      the file to write
#   FLAG_POSITION      southeast, center, ... or tile (all over)
#   FLAG_OPACITY       how much of the mark is to be seen, 1 to 100 (50)
#   FLAG_SCALE         the mark's width in parts of a hundred of the picture's, 1 to 100 (20); 0: as large as it is
#   FLAG_MARGIN        between the mark and the edge, or between tiles, in parts of a hundred of the picture's width (2)
#   FLAG_FORMAT        jpeg, png, webp, tiff, gif, or same (the default)
#   FLAG_FRAMES        all (an animation stays one where the format can move) or first
#   FLAG_QUALITY       1 to 100, for formats that lose detail (90)
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} mark=${INPUT_MARK:-} target=${OUTPUT_MARKED:-}
position=${FLAG_POSITION:-southeast} opacity=${FLAG_OPACITY:-50} scale=${FLAG_SCALE:-20} margin=${FLAG_MARGIN:-2}
format=${FLAG_FORMAT:-same} quality=${FLAG_QUALITY:-90}
path INPUT_IMAGE "$source"
path INPUT_MARK "$mark"
path OUTPUT_MARKED "$target"
[ "$position" = tile ] || picture_gravity position "$position"
number opacity "$opacity" 1 100
number scale "$scale" 0 100
number margin "$margin" 0 50
case $format in jpg) format=jpeg ;; tif) format=tiff ;; esac
choice format "$format" same jpeg png webp tiff gif
number quality "$quality" 1 100

# The mark comes first: what is known of the picture stays.
input INPUT_MARK "$mark"
picture_header "$mark"
picture_room $((columns * rows))
mark_from=$from mark_columns=$upright_columns mark_rows=$upright_rows
input INPUT_IMAGE "$source"
picture_header "$source"
picture_room $((columns * rows * 3))
[ "$format" != same ] || format=$(picture_same)
picture_frames "$source" "$format"

# How large the mark becomes: never larger than the picture.
mark_width=$mark_columns
[ "$scale" = 0 ] || mark_width=$((upright_columns * scale / 100))
[ "$mark_width" -ge 1 ] || mark_width=1
[ "$mark_width" -le "$upright_columns" ] || mark_width=$upright_columns
mark_height=$((mark_width * mark_rows / mark_columns))
if [ "$mark_height" -gt "$upright_rows" ]; then
    mark_height=$upright_rows mark_width=$((upright_rows * mark_columns / mark_rows))
fi
[ "$mark_width" -ge 1 ] || mark_width=1
[ "$mark_height" -ge 1 ] || mark_height=1
gap=$((upright_columns * margin / 100))

say "Laying a $mark_from picture over a ${upright_columns}x$upright_rows $from picture" 0.1
border=
if [ "$position" = tile ]; then border="-background none -extent $((mark_width + gap))x$((mark_height + gap))"; fi
picture_from=$from picture_count=$frames from=$mark_from frames=1
# shellcheck disable=SC2086 # several arguments, made of checked parts
picture_made png /tmp/mark.png "$mark_from:${mark}[0]" +repage -auto-orient -strip -colorspace sRGB \
    -resize "${mark_width}x${mark_height}!" -alpha set \
    -channel A -evaluate multiply "$((opacity / 100)).$(printf %02d $((opacity % 100)))" +channel $border -depth 8
from=$picture_from frames=$picture_count

ink=
if [ "$colours" = CMYK ]; then ink='-colorspace sRGB +profile icc'; fi
if [ "$position" = tile ]; then
    # Doubled until it is wide enough, then until it is high enough.
    tiles='' wide=$((mark_width + gap)) high=$((mark_height + gap))
    while [ "$wide" -lt "$upright_columns" ]; do wide=$((wide * 2)) tiles="$tiles -duplicate 1 +append"; done
    tiles="$tiles -crop ${upright_columns}x$high+0+0 +repage"
    while [ "$high" -lt "$upright_rows" ]; do high=$((high * 2)) tiles="$tiles -duplicate 1 -append"; done
    mark="png:/tmp/mark.png -background none $tiles -crop ${upright_columns}x$upright_rows+0+0 +repage"
    put=
else
    [ "$position" != center ] || gap=0
    mark=png:/tmp/mark.png
    put="-gravity $position -geometry +$gap+$gap"
fi
# shellcheck disable=SC2086 # several arguments each
if [ "$frames" = 1 ]; then
    set -- $taken -auto-orient $ink '(' $mark ')' $put -composite
else
    # The mark comes last, and is laid over each frame: 0 to the one before it.
    set -- $taken -auto-orient '(' $mark ')'
    each=0
    while [ "$each" -lt "$frames" ]; do
        set -- "$@" '(' -clone "$each,$frames" $put -composite ')'
        each=$((each + 1))
    done
    set -- "$@" -delete "0-$frames"
fi
# shellcheck disable=SC2046
picture_made "$format" "$target" "$@" $(picture_finish "$format") -quality "$quality"
say "Marked: $made $format, $(wc -c <"$target") bytes" 1
