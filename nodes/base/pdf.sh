# shellcheck shell=sh
#
# What the entry points share that have poppler or qpdf work on PDFs. Sourced after node.sh:
#
#     . /usr/local/lib/pupload/node.sh
#     . /usr/local/lib/pupload/pdf.sh
#
# A PDF is told from its first bytes; memory that cannot be had ends in a sentence and not in a kill; a tool's complaints, which
# belong in $pdf_said, fill no disk, and end in words for the person whose file it is.

# shellcheck disable=SC2034 # some are for whoever sources this
pdf_said=/tmp/said pdf_memory=$(memory_limit)
export HOME=/tmp
# shellcheck disable=SC3045 # dash knows it
ulimit -v $((pdf_memory * 7 / 8192))

# pdf_told FILE NAME: ends the node unless the file begins as a PDF does; NAME is what it is called.
pdf_told() {
    case $(starts "$1" 5) in
    255044462d) ;;
    *) die 65 "$2 is not a PDF" ;;
    esac
}

# pdf_explain STATUS NAME [DOING HINT]: ends the node with what a tool complained of. NAME is the file's, DOING what was done to it
# besides reading, HINT what else helps where there is too little memory.
pdf_explain() {
    pdf_doing=${3:-reading $2}
    case $1:$(head -c 4000 "$pdf_said" | tr '\n' ' ') in
    124:* | 137:*) die 65 "$pdf_doing takes too long: it is damaged, or made to keep a reader busy" ;;
    134:* | *'ut of memory'* | *bad_alloc*) die 71 "$pdf_doing takes more memory than this tier has; try a larger one${4:+, or $4}" ;;
    *'o space left'*) die 70 "there is no room left to write the result" ;;
    *'ncorrect password'* | *'nvalid password'*) die 65 "$2 opens only with a password; save it without one and try again" ;;
    *)
        pdf_failed="$2 cannot be read"
        [ -z "${3:-}" ] || pdf_failed="$3 failed"
        die 65 "$pdf_failed: it is damaged or not complete"
        ;;
    esac
}

# pdf_facts FILE FIRST LAST SECONDS: what the file says of itself and of these pages, in /tmp/facts; sets pdf_status.
pdf_facts() {
    pdf_status=0
    (ulimit -f 8192 && exec timeout -k 5 "$4" pdfinfo -f "$2" -l "$3" "$1") >/tmp/facts 2>"$pdf_said" </dev/null || pdf_status=$?
}

# pdf_pages FILE MOST SECONDS: sets pages, how many the file has; first and last, the pages that the flags choose; and count, how
# many these are, never more than MOST.
pdf_pages() {
    pdf_facts "$1" 1 1 "$3"
    pages=$(sed -n 's/^Pages: *\([0-9][0-9]*\)$/\1/p' /tmp/facts | tail -n 1)
    if [ $pdf_status != 0 ] || [ -z "$pages" ]; then pdf_explain $pdf_status "the PDF"; fi
    # Longer numbers are beyond the shell's arithmetic, and beyond any document.
    case $pages in ???????*) pages=999999 ;; esac
    [ "$pages" -ge 1 ] || die 65 "the PDF has no pages"
    first=${FLAG_FIRST:-1} last=${FLAG_LAST:-$pages}
    [ "$first" -le "$pages" ] || die 64 "flag first is $first, and the PDF has only $pages pages"
    [ "$last" -le "$pages" ] || last=$pages
    [ "$first" -le "$last" ] || die 64 "flag first ($first) must not be above flag last ($last)"
    count=$((last - first + 1))
    [ $count -le "$2" ] || die 65 "these are $count pages; the most this node takes at once is $2: choose with the flags first and last"
}
