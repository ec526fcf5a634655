#!/bin/sh
#
# Turns a picture into another format.
#
#   INPUT_IMAGE        the picture to read
#   OUTPUT_CONVERTED   the file to write
#   FLAG_FORMAT        jpeg, png, webp, avif or tiff
#   FLAG_QUALITY       1 to 100, for formats that lose detail (JPEG 85, WebP 80, AVIF 60)
#   FLAG_LOSSLESS      true has WebP lose nothing
#   FLAG_BACKGROUND    what shows through where the format has no transparency: white, black, grey, #rrggbb
#   FLAG_METADATA      true keeps EXIF and its like; the default keeps the colour profile alone
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/picture.sh
. /usr/local/lib/pupload/picture.sh

source=${INPUT_IMAGE:-} target=${OUTPUT_CONVERTED:-}
format=${FLAG_FORMAT:-} quality=${FLAG_QUALITY:-} PICTURE_BACKGROUND=${FLAG_BACKGROUND:-white}
path INPUT_IMAGE "$source"
path OUTPUT_CONVERTED "$target"
case $format in jpg) format=jpeg ;; tif) format=tiff ;; esac
choice format "$format" jpeg png webp avif tiff
number quality "$quality" 1 100
picture_colour background "$PICTURE_BACKGROUND"
options=
if boolean lossless "${FLAG_LOSSLESS:-}"; then
    [ "$format" = webp ] || die 64 "flag lossless is for webp; png and tiff lose nothing anyway, jpeg and avif cannot"
    options='-define webp:lossless=true'
fi
metadata=lose
if boolean metadata "${FLAG_METADATA:-}"; then
    [ "$format" != avif ] || die 64 "flag metadata is not for avif, into which this image writes none; choose another format"
    metadata=keep
fi
case $format in
jpeg) quality=${quality:-85} ;;
webp) quality=${quality:-80} ;;
avif) quality=${quality:-60} ;;
# PNG has no quality: the number would mean how it is compressed.
*) quality=95 ;;
esac

input INPUT_IMAGE "$source"
picture_header "$source"
picture_room $((columns * rows))
say "Converting a ${columns}x$rows $from picture to $format" 0.1
# shellcheck disable=SC2046,SC2086 # several arguments each, made of checked parts
picture_made "$format" "$target" "$from:${source}[0]" +repage -auto-orient $(picture_finish "$format" "$metadata") \
    $options -quality "$quality"
say "Converted: $made $from to $format, $(wc -c <"$source") to $(wc -c <"$target") bytes" 1
