# Reads a PDF as `qpdf --json-output --json-stream-data=none` tells it, and writes what `qpdf --update-from-json` needs to make
# it inert: the objects that hold something that acts, with that under names that mean nothing. Nothing when there is none.
#
# Every key and value is told on a line of its own; strings begin with "u:" or "b:", so none can pass for a name.

BEGIN { header = ""; begun = 0; written = 0 }

# All before the first object: version and so on.
!begun && !/^      "(obj:|trailer)/ { header = header $0 "\n"; next }

/^      "(obj:|trailer)/ { begun = 1; count = 0; touched = 0; stream = 0 }
/^        "stream": \{$/ { stream = 1 }

{
    line = $0
    # What runs when a page or a document is opened, the scripts themselves, forms that are programs, and files inside.
    if (line ~ /^ *"\/(AA|OpenAction|JS|JavaScript|XFA|EmbeddedFiles|EF|AF)": /) { sub(/"\//, "\"/Off.", line); touched = 1 }
    # Kinds of actions that reach out of the document, in place or as an object of their own.
    if (line ~ /^ *"(\/S|value)": "\/(JavaScript|Launch|SubmitForm|ImportData|GoToE|GoToR|Rendition|Movie|Sound|RichMediaExecute|Trans3D)",?$/) {
        sub(/": "\//, "\": \"/Off.", line); touched = 1
    }
    # A stream whose data lies in another file.
    if (stream && line ~ /^            "\/(F|FFilter|FDecodeParms)": /) { sub(/"\//, "\"/Off.", line); touched = 1 }
    held[++count] = line
}

# The end of an object.
/^      \},?$/ {
    if (touched) {
        printf "%s", written ? ",\n" : header
        for (i = 1; i < count; i++) print held[i]
        printf "      }"
        written = 1
    }
    count = 0
}

END { if (written) print "\n    }\n  ]\n}" }
