# shellcheck shell=sh
#
# What the entry points share that have ffmpeg work on video and sound. Sourced after node.sh, in images with ffmpeg and jq:
#
#     . /usr/local/lib/pupload/node.sh
#     . /usr/local/lib/pupload/media.sh
#
# A file's format is told from its first bytes and named to ffmpeg, never left to it, so that nothing which names other files
# is ever taken for a recording. What it may open, decode and ask for is bounded; its header is read before a frame is decoded;
# and what it complains of ends in a sentence.

# The most that is taken of anybody: 8K pictures, twelve hours, 64 streams.
MEDIA_MOST_PIXELS=36000000
MEDIA_MOST_SECONDS=43200
MEDIA_MOST_STREAMS=64

# What is decoded: what people have. ffmpeg knows four hundred more, mostly of old games, and nobody looks after those.
MEDIA_CODECS=h264,hevc,libdav1d,vp9,libvpx-vp9,vp8,mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,mpeg1video,mpeg2video,h263,flv,wmv1,wmv2,wmv3,vc1
MEDIA_CODECS=$MEDIA_CODECS,theora,mjpeg,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,utvideo,qtrle,png,gif,rawvideo
MEDIA_CODECS=$MEDIA_CODECS,aac,aac_latm,mp3float,mp3,mp2float,mp2,opus,libopus,vorbis,libvorbis,flac,alac,ac3,eac3,dca,wmav1,wmav2,wmapro
MEDIA_CODECS=$MEDIA_CODECS,amrnb,amrwb,speex,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_yamaha,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8
MEDIA_CODECS=$MEDIA_CODECS,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_dvd,pcm_bluray
# What lies beside and is left there. ffprobe opens the decoder of every stream, and gives up where it may not.
MEDIA_BESIDE=mov_text,subrip,srt,ass,ssa,webvtt,text,dvdsub,dvbsub,pgssub,xsub,cc_dec

# media_format FILE: ffmpeg's name for the way the file is laid out, told from its first bytes; nothing where it is none of these.
# What names other files (playlists, manifests, lists, session descriptions) is text, and none of these.
media_format() {
    case $(starts "$1" 16) in
    ????????66747970* | ????????6d6f6f76* | ????????6d646174* | ????????77696465* | ????????66726565* | ????????736b6970*) echo mov ;;
    1a45dfa3*) echo matroska ;;
    52494646????????41564920*) echo avi ;;
    52494646????????57415645* | 52463634????????57415645*) echo wav ;;
    4f676753*) echo ogg ;;
    664c6143*) echo flac ;;
    000001ba*) echo mpeg ;;
    464c5601*) echo flv ;;
    3026b2758e66cf11a6d900aa0062ce6c) echo asf ;;
    464f524d????????4149464[36]*) echo aiff ;;
    2321414d52*) echo amr ;;
    474946383[79]61*) echo gif ;;
    494433*) media_after_tag "$1" ;;
    fff[0189]*) echo aac ;;
    ff[ef][2-7a-d]*) echo mp3 ;;
    47* | ????????47*)
        # Packets of 188 bytes, or of 192 with a time in front of each.
        case $(starts "$1" 400 | cut -c1-2,9-10,377-378,393-394,753-754,777-778) in 47??47??47?? | ??47??47??47) echo mpegts ;; esac
        ;;
    esac
}

# media_after_tag FILE: the format behind an ID3 tag, whose length is in four bytes of seven bits.
media_after_tag() {
    # shellcheck disable=SC2046 # four numbers
    set -- "$1" $(od -An -v -tu1 -j6 -N4 "$1")
    [ $# = 5 ] || return 0
    case $(od -An -v -tx1 -j$(((($2 * 128 + $3) * 128 + $4) * 128 + $5 + 10)) -N4 "$1" 2>/dev/null | tr -d ' \n') in
    664c6143) echo flac ;;
    fff[0189]*) echo aac ;;
    *) echo mp3 ;;
    esac
}

# media_open VARIABLE PATH: looks at the file without decoding it, and at no other file. Sets, of its first picture and sound,
# media_microseconds (0: nobody says), media_width, media_height, media_picture (codec), media_shape (width to height of a
# pixel), media_transfer, media_fps, media_sounds (how many), media_sound, media_channels, media_rate; - where there is none.
media_open() {
    input "$1" "$2"
    media_path=$2
    media_kind=$(media_format "$2")
    [ -n "$media_kind" ] || die 65 "the input is no video or sound that this node reads: it takes MP4, MOV, Matroska, WebM, AVI, FLV, WMV," \
        "MPEG, Ogg, MP3, AAC, FLAC, WAV, AIFF, AMR and GIF, but no playlists or other texts that name files"
    media_processors=$(processors)
    media_alloc=$(($(memory_limit) / 4))
    [ "$media_alloc" -le 536870912 ] || media_alloc=536870912
    # The format is named and not guessed, only files are opened, and a path inside the file leads nowhere.
    media_guard="-max_streams $MEDIA_MOST_STREAMS -max_pixels $MEDIA_MOST_PIXELS -protocol_whitelist file -format_whitelist $media_kind"
    media_guard="$media_guard -f $media_kind"
    [ "$media_kind" != mov ] || media_guard="$media_guard -enable_drefs 0 -use_absolute_path 0"
    # shellcheck disable=SC2086 # several arguments, made above
    timeout 60 ffprobe -hide_banner -v error -max_alloc "$media_alloc" $media_guard \
        -codec_whitelist "$MEDIA_CODECS,$MEDIA_BESIDE" -show_format -show_streams -of json "file:$media_path" \
        2>/tmp/ffmpeg.log >/tmp/media.json || media_explain $? 65
    # shellcheck disable=SC2034 # some are for those who source this
    read -r media_microseconds media_picture media_width media_height media_shape media_transfer media_fps \
        media_sounds media_sound media_channels media_rate <<END
$(jq -r 'def number: tonumber? // 0;
        def ratio: (. // "0/0") | gsub(":"; "/") | split("/") | map(number) | if .[1] > 0 then .[0] / .[1] else 0 end;
        (.streams // []) as $all
        | ([$all[] | select(.codec_type == "video" and .disposition.attached_pic != 1)][0] // {}) as $picture
        | [$all[] | select(.codec_type == "audio")] as $sounds
        | [(.format.duration | number * 1e6 | if . > 0 and . < 1e15 then floor elif . > 0 then 1e15 else 0 end),
           ($picture.codec_name // "-"), ($picture.width // 0), ($picture.height // 0),
           ($picture.sample_aspect_ratio | ratio), ($picture.color_transfer // "-"), ($picture.avg_frame_rate | ratio),
           ($sounds | length), ($sounds[0].codec_name // "-"), ($sounds[0].channels // 0), ($sounds[0].sample_rate // 0)]
        | join(" ")' /tmp/media.json)
END
    [ "$media_microseconds" -le $((MEDIA_MOST_SECONDS * 1000000)) ] ||
        die 65 "the input says that it lasts $((media_microseconds / 3600000000)) h; the most this node takes is $((MEDIA_MOST_SECONDS / 3600)) h"
    [ $((media_width * media_height)) -le $MEDIA_MOST_PIXELS ] ||
        die 65 "the picture has ${media_width}x$media_height pixels; the most this node takes is $((MEDIA_MOST_PIXELS / 1000000)) million"
    [ "$media_picture$media_sounds" != -0 ] || die 65 "there is neither picture nor sound in the input"
}

# media_need picture | sound: ends the node where the input has none.
media_need() {
    case $1:$media_picture:$media_sounds in
    picture:-:*) die 65 "there is no moving picture in the input" ;;
    sound:*:0) die 65 "there is no sound in the input" ;;
    esac
}

# media_scale WIDTH HEIGHT: the filter that makes the picture fit into the box (either may be empty), with even sides and square
# pixels, never larger; and what needs more light than a usual screen has (HDR) is brought down to it.
media_scale() {
    media_chain=
    # A shape beyond any that was ever made is a lie.
    if awk -v s="$media_shape" 'BEGIN { exit !(s >= 0.2 && s <= 5 && s != 1) }'; then
        media_chain="scale=w=trunc(iw*sar/2)*2:h=ih,"
    fi
    media_chain="${media_chain}scale=w='min(${1:-16384},iw)':h='min(${2:-16384},ih)':force_original_aspect_ratio=decrease:force_divisible_by=2,setsar=1"
    case $media_transfer in
    smpte2084 | arib-std-b67)
        media_chain="$media_chain,zscale=tin=$media_transfer:pin=bt2020:min=bt2020nc:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709"
        media_chain="$media_chain,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv"
        ;;
    esac
    echo "$media_chain"
}

# media_encoder FORMAT KBITS: ffmpeg's arguments for a sound file as mp3, m4a, opus, flac or wav.
media_encoder() {
    case $1 in
    mp3) media_encoder="-c:a libmp3lame -b:a ${2}k -f mp3" ;;
    m4a) media_encoder="-c:a aac -b:a ${2}k -movflags +faststart -f ipod" ;;
    opus) media_encoder="-c:a libopus -b:a ${2}k -f opus" ;;
    flac) media_encoder="-c:a flac -f flac" ;;
    wav) media_encoder="-c:a pcm_s16le -rf64 auto -f wav" ;;
    esac
    case $1:$media_channels in
    flac:* | wav:* | *:[012]) echo "$media_encoder" ;;
    *) echo "-ac 2 $media_encoder" ;;
    esac
}

# media_same: the format of sound file that is nearest to the input's own.
media_same() {
    case $media_kind in
    mp3) echo mp3 ;;
    ogg) if [ "$media_sound" = flac ]; then echo flac; else echo opus; fi ;;
    flac) echo flac ;;
    wav | aiff) echo wav ;;
    *) echo m4a ;;
    esac
}

# media_run MICROSECONDS FROM TO ARGUMENT...: ffmpeg on the input, with the arguments that belong behind it (media_before: those in
# front; media_level: how much it is to say). Tells progress from FROM to TO thousandths while MICROSECONDS are made; sets
# media_reached to the microsecond it came to. Ends the node when ffmpeg fails.
media_run() {
    media_total=$1 media_from=$2 media_share=$(($3 - $2)) media_told=$2 media_reached=0
    shift 3
    rm -f /tmp/progress /tmp/complaints
    mkfifo /tmp/progress /tmp/complaints
    # A damaged file has something to complain of in every frame: the first are enough.
    { head -c 65536 >/tmp/ffmpeg.log; cat >/dev/null; } </tmp/complaints &
    media_listener=$!
    # shellcheck disable=SC2086 # several arguments each, made of checked parts
    ffmpeg -hide_banner -nostdin -y -v "${media_level:-error}" -nostats -progress pipe:1 -stats_period 1 -max_alloc "$media_alloc" \
        -filter_threads "$media_processors" -filter_complex_threads "$media_processors" -threads "$media_processors" \
        $media_guard -codec_whitelist "$MEDIA_CODECS" ${media_before:--t $MEDIA_MOST_SECONDS} -i "file:$media_path" "$@" >/tmp/progress 2>/tmp/complaints &
    media_process=$!
    # The shell is process 1: without this, it would not hear that it is to stop.
    trap 'kill -TERM $media_process; exit 143' TERM INT
    while IFS='=' read -r media_key media_value; do
        case $media_key:$media_value in
        out_time_us:*[!0-9]* | out_time_us:) ;;
        out_time_us:*)
            media_reached=$media_value
            [ "$media_total" -gt 0 ] || continue
            [ "$media_value" -le "$media_total" ] || media_value=$media_total
            media_value=$((media_from + media_share * (media_value / 1000) / (media_total / 1000 + 1)))
            [ $((media_value - media_told)) -ge 10 ] || continue
            media_told=$media_value
            [ "$media_reached" -le "$media_total" ] || continue
            say "$((media_reached / 1000000)) s of $((media_total / 1000000)) s are done" "0.$(printf %03d "$media_value")"
            ;;
        esac
    done </tmp/progress
    media_code=0
    wait $media_process || media_code=$?
    wait $media_listener || true
    trap - TERM INT
    [ "$media_code" = 0 ] || media_explain "$media_code" 70
}

# media_whole: ends the node when much less came out of the input than it says it has.
media_whole() {
    case $media_kind in
    # These do not say how long they are; it is an estimate.
    mp3 | aac | amr | mpeg | mpegts | gif) return 0 ;;
    esac
    if [ $((media_microseconds - media_reached)) -gt 1000000 ] && [ $((media_reached / 9)) -lt $((media_microseconds / 10)) ]; then
        die 65 "the input is damaged or not complete: it says that it lasts $((media_microseconds / 1000000)) s, but only" \
            "$((media_reached / 1000000)) s can be read"
    fi
}

# media_explain CODE OTHERWISE: ends the node with what ffmpeg complained of, in words for the person whose file it is; and with the
# exit code OTHERWISE where it is not clear whose fault it is.
media_explain() {
    media_log=$(LC_ALL=C tr -cd '\n -~' </tmp/ffmpeg.log)
    media_reason=$(printf '%s\n' "$media_log" | sed -n '/^Svt.info/d;/[^ ]/{s/ not on whitelist .*/ is not among those/;s/, see the documentation.*//;s/^\(\[[^]]*\] *\)*//;s/file:[^ ]*\/\([^ /]*\)/\1/;p;q;}')
    case $1:$media_log in
    137:*) die 71 "there is too little memory for this input; try a larger tier" ;;
    124:*) die 65 "the input could not be understood within a minute; it is damaged, or made to be slow" ;;
    139:* | 136:* | 134:* | 132:*) die 65 "ffmpeg broke down over the input: it is damaged, or made for that" ;;
    153:* | *'o space left'* | *'ile too large'*) die 71 "the result does not fit on the disk of this tier; try a larger one" ;;
    *'umber of streams exceeds'*) die 65 "the input has more than $MEDIA_MOST_STREAMS streams" ;;
    *'ot on whitelist'* | *'ecoder ('*') not found'* | *'nknown decoder'*)
        die 65 "the input is in a format that this node does not decode ($media_reason)" ;;
    *'exceeds '*'pixel'* | *'icture size'*'invalid'*)
        die 65 "the picture is damaged, or too large: the most this node takes is $((MEDIA_MOST_PIXELS / 1000000)) million pixels ($media_reason)" ;;
    *'annot allocate memory'*) die 71 "there is too little memory for this input; try a larger tier" ;;
    *'nvalid data found'* | *'atom not found'* | *'rror while decoding'* | *'rror '*'header'* | *'o such file'* | *'nd of file'*)
        die 65 "the input is damaged or not complete ($media_reason)" ;;
    *'idth must be at least'* | *'eight must be at least'*) die 65 "the picture is too small for this codec ($media_reason)" ;;
    *'does not contain any stream'* | *'matches no streams'*) die 65 "there is no picture or sound in the input that can be read" ;;
    *'annot determine format'* | *'ailed to read'* | *'ould not find codec'*) die 65 "the input is damaged or not complete ($media_reason)" ;;
    *)
        [ "$2" != 65 ] || die 65 "the input cannot be understood; it is damaged or not complete (${media_reason:-ffprobe does not say why})"
        die 70 "ffmpeg ended with exit code $1: ${media_reason:-it did not say why}"
        ;;
    esac
}
