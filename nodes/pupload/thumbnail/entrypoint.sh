#!/bin/sh
#
# Makes the small picture that stands for a large one.
#
#   INPUT_IMAGE        the picture to read
#   OUTPUT_THUMBNAIL   the file to write
#   FLAG_SIZE          the longer side, or the side of the square, in pixels (256)
#   FLAG_SHAPE         box (all of the picture within size x size) or square (a square piece of it)
#   FLAG_FOCUS         which piece of it: smart (where most is to be seen), center, north, ...
#   FLAG_FORMAT        jpeg, png or webp (webp)
#   FLAG_QUALITY       1 to 100 (75)
#   FLAG_BACKGROUND    what shows through where the format has no transparency: white, black, grey, #rrggbb
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_THUMBNAIL:-}
size=${FLAG_SIZE:-256} shape=${FLAG_SHAPE:-box} focus=${FLAG_FOCUS:-smart} format=${FLAG_FORMAT:-webp}
quality=${FLAG_QUALITY:-75} PICTURE_BACKGROUND=${FLAG_BACKGROUND:-white}
path INPUT_IMAGE "$source"
path OUTPUT_THUMBNAIL "$target"
number size "$size" 8 2048
choice shape "$shape" box square
[ "$focus" = smart ] || picture_gravity focus "$focus"
[ "$format" != jpg ] || format=jpeg
choice format "$format" jpeg png webp
number quality "$quality" 1 100
picture_colour background "$PICTURE_BACKGROUND"

input INPUT_IMAGE "$source"
picture_header "$source"
picture_frames "$source"
# JPEG is decoded at half, a quarter or an eighth of its size: never below twice what is wanted, on its shorter side.
if [ "$from" = jpeg ] && [ $((size * 2)) -lt "$columns" ] && [ $((size * 2)) -lt "$rows" ]; then
    shorter=$rows
    [ "$rows" -le "$columns" ] || shorter=$columns
    wide=$((columns * size * 2 / shorter)) high=$((rows * size * 2 / shorter))
    hint="-define jpeg:size=${wide}x$high"
else
    picture_room $((columns * rows))
fi

say "Making a thumbnail of a ${columns}x$rows $from picture" 0.1
[ "$format" != png ] || quality=95
# Making it small gives it transparency, whether it had any or not.
opaque=
if [ "$transparent" = False ]; then opaque='-alpha off'; fi
if [ "$shape" = box ]; then
    # shellcheck disable=SC2046,SC2086 # several arguments each, made of checked parts
    picture_made "$format" "$target" ${hint:-} $taken -thumbnail "${size}x$size>" -auto-orient \
        $opaque $(picture_finish "$format") -quality "$quality"
else
    # Of a long strip only the middle is looked at.
    if [ "$columns" -gt $((rows * 8)) ]; then slice="-gravity center -crop $((rows * 800 / columns + 1))%x100% +repage"; fi
    if [ "$rows" -gt $((columns * 8)) ]; then slice="-gravity center -crop 100%x$((columns * 800 / rows + 1))% +repage"; fi
    # Made just as large as the square needs, then cut; never made larger.
    # shellcheck disable=SC2046,SC2086
    picture_made png /tmp/small.png ${hint:-} $taken ${slice:-} -thumbnail "${size}x$size^>" \
        -auto-orient $opaque $(picture_finish png)
    made_columns=${made%x*} made_rows=${made#*x} side=$size
    [ "$side" -le "$made_columns" ] || side=$made_columns
    [ "$side" -le "$made_rows" ] || side=$made_rows
    place="-gravity $focus -crop ${side}x$side+0+0"
    if [ "$focus" = smart ]; then
        # Nine places along the longer side; the one with the most edges in it, where two are much alike the middle one.
        places=
        for step in 0 1 2 3 4 5 6 7 8; do
            places="$places ${side}x$side+$(((made_columns - side) * step / 8))+$(((made_rows - side) * step / 8))"
        done
        set -- png:/tmp/small.png -background grey -alpha remove -alpha off -colorspace Gray -edge 1
        for each in $places; do
            set -- "$@" '(' -clone 0 -crop "$each" +repage -format 'seen %[fx:mean]\n' -identify ')'
        done
        seen=$(convert-im6.q16 "$@" -delete 1--1 png:/tmp/edges.png 2>&1) || picture_explain "$seen"
        best=$(printf '%s\n' "$seen" | awk '
            $1 == "seen" { n++; score = $2 * (1 - 0.03 * (n > 5 ? n - 5 : 5 - n)); if (score > most) { most = score; best = n } }
            END { print best ? best : 5 }')
        # shellcheck disable=SC2086 # as many arguments as there are places
        place="-crop $(set -- $places && shift $((best - 1)) && printf '%s' "$1")"
    fi
    # shellcheck disable=SC2046,SC2086
    picture_made "$format" "$target" png:/tmp/small.png $place +repage $(picture_finish "$format") -quality "$quality"
fi
say "Thumbnail made: ${columns}x$rows $from to $made $format, $(wc -c <"$target") bytes" 1
