# shellcheck shell=sh
#
# What the entry points share that have ImageMagick work on pictures. Sourced after node.sh:
#
#     . /usr/local/lib/pupload/node.sh
#     . /usr/local/lib/pupload/picture.sh
#
# A picture's format is told from its first bytes and named to ImageMagick, never left to it; its size is read in its
# header before a pixel is decoded; and what pixels may take is less than the container has, so that a picture that is
# too large ends in a sentence and not in a kill. What else ImageMagick may do says picture-policy.xml, which belongs in
# /etc/ImageMagick-6/policy.xml of such an image, whose Dockerfile removes all coders but those it needs.

PICTURE_MOST_PIXELS=120000000
PICTURE_MOST_EDGE=32000
# Of one animation; picture-policy.xml allows no longer list.
PICTURE_MOST_FRAMES=1000
PICTURE_NONE='the input is not a picture in one of the formats JPEG, PNG, WebP, TIFF, GIF, HEIC, AVIF'

# Scratch files belong to the one place that can be written; pixels may take three quarters of the memory.
MAGICK_MEMORY_LIMIT=$(($(memory_limit) * 3 / 4))
export MAGICK_MEMORY_LIMIT MAGICK_TEMPORARY_PATH=/tmp HOME=/tmp

# picture_format FILE: one of jpeg, png, webp, tiff, gif, heic, avif, or nothing.
picture_format() {
    case $(starts "$1" 16) in
    ffd8ff*) echo jpeg ;;
    89504e470d0a1a0a*) echo png ;;
    52494646????????57454250*) echo webp ;;
    49492a00* | 4d4d002a*) echo tiff ;;
    474946383[79]61*) echo gif ;;
    ????????6674797061766966*) echo avif ;;                                          # ftypavif
    ????????66747970686569[67]* | ????????66747970686576[3]* | ????????667479706d696631*) echo heic ;; # heic, heix, hevc, mif1
    esac
}

# picture_explain SAID: ends the node with what ImageMagick complained of, in words for the person whose picture it is.
picture_explain() {
    picture_reason=$(printf '%s\n' "$1" | sed -n '1{s/^[a-z]*-im6.q16: //;s/ [`@].*//;p;}')
    case $1 in
    *'cache resources exhausted'* | *'emory allocation failed'* | *'nable to acquire'*) picture_too_large ;;
    *'exceeds limit'*) die 65 "the picture is more than $PICTURE_MOST_EDGE pixels wide or high" ;;
    *'nable to open'* | *'nable to write'* | *'o space left'*) die 70 "could not read or write a file: $picture_reason" ;;
    *[!\ ]*) die 65 "the $from picture cannot be decoded: it is damaged or not complete ($picture_reason)" ;;
    # Its PNG reader refuses a size over the limit without a word.
    *) die 65 "the $from picture cannot be decoded: it is damaged, or more than $PICTURE_MOST_EDGE pixels wide or high" ;;
    esac
}

# picture_unread CODE SAID: the same for what ExifTool complained of.
picture_unread() {
    case $1:$2 in
    124:*) die 65 "reading the metadata took longer than two minutes: the $from picture was made to be slow" ;;
    *emory*) die 71 "the metadata do not fit into the memory of this tier; try a larger one, or do not trust the picture" ;;
    *'pace left'* | *'ile too large'*) die 70 "could not write the result: $2" ;;
    *"Can't locate"*) die 65 "the metadata hold a file of a kind that this node does not read" ;;
    *) die 65 "the $from picture cannot be read: it is damaged or not complete ($2)" ;;
    esac
}

# picture_metadata FILE: sets from and gives the picture a name that ExifTool believes, /tmp/picture.FORMAT; it runs with no more
# memory than pixels would have, for compressed metadata may become very large.
picture_metadata() {
    from=$(picture_format "$1")
    [ -n "$from" ] || die 65 "$PICTURE_NONE"
    ln -sf "$1" "/tmp/picture.$from"
    # shellcheck disable=SC3045 # Debian's sh has it
    ulimit -v $((MAGICK_MEMORY_LIMIT / 1024))
}

picture_too_large() {
    die 71 "this ${columns:-?}x${rows:-?} $from picture does not fit into the memory of this tier; try a larger one"
}

# picture_header FILE: sets from (its format), columns, rows, orientation, colours and transparent (True or False) of the
# picture, of several pages or frames the first; upright_columns and upright_rows are its size when it stands upright. held is
# how many frames or pages there are, held_columns and held_rows the size of what moves.
# shellcheck disable=SC2034 # for whoever sources this
picture_header() {
    from=$(picture_format "$1")
    [ -n "$from" ] || die 65 "$PICTURE_NONE"
    columns='' rows=''
    header_said=$(identify-im6.q16 -quiet -ping -format '%w %h %[orientation] %[colorspace] %A\n' "$from:${1}[0]" 2>&1) ||
        picture_explain "$header_said"
    read -r columns rows orientation colours transparent <<EOS
$(printf '%s\n' "$header_said" | tail -n 1)
EOS
    case $columns$rows in '' | *[!0-9]*) columns='' rows='' && picture_explain "$header_said" ;; esac
    [ $((columns * rows)) -le $PICTURE_MOST_PIXELS ] ||
        die 65 "the picture has ${columns}x$rows pixels; the most this node takes is $((PICTURE_MOST_PIXELS / 1000000)) million"
    picture_upright
    read -r held held_columns held_rows <<EOS
$(perl /usr/local/lib/pupload/picture.pl count "$from" "$1" 2>/dev/null || echo 1 0 0)
EOS
}

# picture_upright: how large it is when it stands upright.
# shellcheck disable=SC2034 # for whoever sources this
picture_upright() {
    upright_columns=$columns upright_rows=$rows
    if picture_lies; then upright_columns=$rows upright_rows=$columns; fi
}

# picture_frames FILE [FORMAT]: sets taken, how ImageMagick is to read the picture, which picture_header has looked at; and
# frames, how many that gives: all of an animation where FORMAT can move and FLAG_FRAMES is not `first`; else the first, which
# it tells. Of animations columns and rows are those of the canvas from then on, and all frames have its size.
# shellcheck disable=SC2034 # for whoever sources this
picture_frames() {
    frames=1 taken="$from:${1}[0] +repage"
    choice frames "${FLAG_FRAMES:-all}" all first
    case $from in
    heic | avif)
        perl /usr/local/lib/pupload/picture.pl profile "$1" /tmp/profile.icc 2>/dev/null || rm -f /tmp/profile.icc
        [ ! -s /tmp/profile.icc ] || taken="$taken -profile /tmp/profile.icc"
        ;;
    esac
    [ "$held" -gt 1 ] || return 0
    case ${FLAG_FRAMES:-all}:$from:${2:-} in
    all:gif:gif | all:gif:webp | all:webp:gif | all:webp:webp) ;;
    *) picture_first && return ;;
    esac
    [ "$held" -le $PICTURE_MOST_FRAMES ] ||
        die 65 "the picture has more than $PICTURE_MOST_FRAMES frames; with flag frames: first the node takes the first"
    columns=$held_columns rows=$held_rows
    if [ "$columns" -gt $PICTURE_MOST_EDGE ] || [ "$rows" -gt $PICTURE_MOST_EDGE ]; then picture_explain 'exceeds limit'; fi
    [ $((columns * rows * held)) -le $((PICTURE_MOST_PIXELS * 10)) ] ||
        die 65 "the picture has $held frames of ${columns}x$rows pixels; the most this node takes is $((PICTURE_MOST_PIXELS / 100000)) million pixels in all"
    picture_upright
    # What is read and what is made of it, side by side.
    picture_room $((columns * rows * held * 2))
    frames=$held taken="$from:$1 -coalesce"
}

# picture_first: tells that of several frames or pages one is taken.
picture_first() {
    [ "$held" -le 1 ] || say "Took the first of $([ "$held" -le 1000 ] && echo "$held" || echo "more than 1000") frames or pages"
}

# picture_colour NAME VALUE: white, black, grey, or #rrggbb.
picture_colour() {
    case $2 in
    white | black | grey) return ;;
    '#'[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]) return ;;
    *) die 64 "flag $1 must be white, black, grey or #rrggbb, not '$2'" ;;
    esac
}

# picture_gravity NAME VALUE: a corner, the middle of an edge, or the centre.
picture_gravity() { choice "$1" "$2" center north northeast east southeast south southwest west northwest; }

# picture_lies: whether the picture is to be turned by a quarter to stand upright.
picture_lies() { case $orientation in LeftTop | RightTop | RightBottom | LeftBottom) ;; *) return 1 ;; esac; }

# picture_room PIXELS: ends the node unless so many have room in memory, at ten bytes each: not all of ImageMagick's
# readers say so when they run out of it.
picture_room() { [ $(($1 * 10)) -le "$MAGICK_MEMORY_LIMIT" ] || picture_too_large; }

# picture_same: the format of what is made from the picture where no other is wanted. Nobody's browser thanks us for HEIC.
picture_same() { case $from in heic | avif) echo jpeg ;; *) echo "$from" ;; esac; }

# picture_finish FORMAT: arguments that make what is written without metadata, or with it where PICTURE_METADATA is keep; the
# colour profile stays, for without it the colours would be wrong. PICTURE_BACKGROUND (white) shows through where the format
# has no transparency here.
picture_finish() {
    finish='' finish_lose='+profile !icc,* +set comment'
    case $1 in
    jpeg) finish="-background ${PICTURE_BACKGROUND:-white} -alpha remove -alpha off -interlace JPEG" ;;
    avif) finish="-background ${PICTURE_BACKGROUND:-white} -alpha remove -alpha off" ;;
    gif) [ "${frames:-1}" = 1 ] || finish='-layers optimize' ;;
    tiff) finish='-compress LZW' ;;
    esac
    case $colours:$1 in
    # These have no CMYK; a profile for four inks must not stay on three colours.
    CMYK:png | CMYK:webp | CMYK:gif | CMYK:avif) finish="$finish -colorspace sRGB +profile icc" ;;
    esac
    [ "${PICTURE_METADATA:-}" = keep ] || printf '%s ' "$finish_lose"
    printf '%s' "$finish"
}

# picture_mended: does to what picture_made has made what ImageMagick does not do; adds to made_said what went wrong.
picture_mended() {
    if [ "$made_into" != "$made_file" ]; then
        # shellcheck disable=SC2154 # of picture_frames, $1 its input
        mended_source=${taken#*:}
        set +f
        set -- join "$from" "${mended_source% -coalesce}" "$made_file" /tmp/frames/*.webp
        set -f
    elif [ "$made_format" = png ] && [ "${PICTURE_METADATA:-}" != keep ]; then
        # It writes no profile where it writes no texts, so these are taken out afterwards.
        set -- lean "$made_file"
    else
        return 0
    fi
    mended_said=$(perl /usr/local/lib/pupload/picture.pl "$@" 2>&1) || mended_broken=1
    rm -rf /tmp/frames
    [ -n "${mended_broken:-}" ] || return 0
    made_said="nable to write $mended_said"
    return 1
}

# picture_made FORMAT FILE ARGUMENT...: has ImageMagick's convert write the file, whole or not at all; sets made to its
# size, WIDTHxHEIGHT. PICTURE_TOOL is another of ImageMagick's programs that takes the arguments.
# shellcheck disable=SC2034 # for whoever sources this
picture_made() {
    made_format=$1 made_file=$2 made_broken='' made_into=$2
    shift 2
    made_size=%wx%h
    # A frame may be no more than what differs from the one before.
    [ "${frames:-1}" = 1 ] || made_size=%Wx%H
    # Debian's ImageMagick writes no WebP that moves: each frame becomes a picture of its own.
    if [ "$made_format" = webp ] && [ "${frames:-1}" -gt 1 ]; then
        rm -rf /tmp/frames && mkdir /tmp/frames
        made_into=/tmp/frames/%06d.webp
        set -- "$@" +adjoin
    fi
    made_said=$("${PICTURE_TOOL:-convert}-im6.q16" "$@" -format "now $made_size\n" -identify "$made_format:$made_into" 2>&1) ||
        made_broken=1
    [ -n "$made_broken" ] || picture_mended || made_broken=1
    case $made_said in
    # Only a warning to ImageMagick, which would fill the rest with grey.
    *'remature end'* | *'nsufficient image data'* | *'ot enough '* | *'nexpected end'* | *'runcated'*) made_broken=1 ;;
    esac
    if [ -n "$made_broken" ] || [ ! -s "$made_file" ]; then
        rm -f "$made_file"
        picture_explain "$made_said"
    fi
    made=$(printf '%s\n' "$made_said" | sed -n 's/^now //p' | tail -n 1)
}
