/*
 * The gate: what an armed container runs until its node's turn comes.
 *
 * It connects to the socket that lies beside it (its own name and ".sock"), says that it is there, and waits. Then it is
 * told, in one message, which command to become: arguments, variables to put over those of the image, and an open file,
 * the marker. When all of that has come it writes one byte to the marker and executes the command. It changes nothing
 * else about the process: user, directory, signals, limits and standard streams are those that the engine made, and the
 * socket and the marker close by themselves when the command begins.
 *
 * When the other end goes away before the message is whole, it ends with GAVE_UP. When the command cannot be executed it
 * empties the marker again, says why, and ends with GAVE_UP too. So a marker with a byte in it and a gate that gave up
 * exclude each other, and a command runs if and only if the marker has its byte.
 *
 * It looks for a command without a slash in PATH, as the engine's runtime does. Where runtimes differ (a file that may
 * not be executed, a relative directory) it gives up: the command is then started plainly, and the runtime decides.
 *
 * No C library, so that it runs in an image with nothing in it; no variable of the image's and no file of it has a say
 * in what it does.
 */

typedef unsigned int u32;
typedef unsigned long word;

enum { GAVE_UP = 213 };

enum { MAGIC = 0x45544147, LONGEST_MESSAGE = 8 << 20, MOST_STRINGS = 1 << 18, LONGEST_PATH = 4096 };

enum { E_INTR = 4, E_NOENT = 2, E_BIG = 7, E_ACCES = 13, E_NOTDIR = 20, E_PROTO = 71, E_NAMETOOLONG = 36 };

enum { UNIX_STREAM = 1, CLOSE_ON_EXEC = 02000000, NO_SIGNAL = 0x4000, CLOEXEC_FILES = 0x40000000, RIGHTS = 1, SOCKETS = 1 };

/* ── The kernel ──────────────────────────────────────────────────────────────────────────────────────────────────── */

#if defined(__x86_64__)

enum {
    READ = 0, WRITE = 1, MMAP = 9, SOCKET = 41, CONNECT = 42, SENDTO = 44, RECVMSG = 47, EXECVE = 59, FTRUNCATE = 77,
    EXIT_GROUP = 231, FACCESSAT = 269
};

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

enum {
    READ = 63, WRITE = 64, MMAP = 222, SOCKET = 198, CONNECT = 203, SENDTO = 206, RECVMSG = 212, EXECVE = 221,
    FTRUNCATE = 46, EXIT_GROUP = 94, FACCESSAT = 48
};

__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl begin\n\tbrk #0\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

#else
#error "no gate for this processor"
#endif

static __attribute__((noreturn)) void give_up(void)
{
    for (;;)
        call(EXIT_GROUP, GAVE_UP, 0, 0, 0, 0, 0);
}

/* ── Strings ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static word length(const char *text)
{
    word n = 0;
    while (text[n])
        n++;
    return n;
}

static char *append(char *end, const char *text)
{
    while (*text)
        *end++ = *text++;
    *end = 0;
    return end;
}

/* Whether both variables, "NAME=value", have one name. */
static int same_name(const char *one, const char *other)
{
    while (*one == *other && *one && *one != '=')
        one++, other++;
    return *one == *other || (!*one && *other == '=') || (*one == '=' && !*other);
}

/* ── The socket ──────────────────────────────────────────────────────────────────────────────────────────────────── */

struct address { unsigned short family; char path[108]; };
struct piece { void *start; word length; };
struct header { void *name; u32 name_length; struct piece *pieces; word count; void *control; word control_length; int flags; };
struct control { word length; int level; int type; int file; int padding; };
struct order { u32 magic, length, arguments, variables; };
struct report { u32 magic, error; };

static int socket_file, marker = -1;

static void say(u32 error)
{
    struct report said = {MAGIC, error};
    call(SENDTO, socket_file, (long)&said, sizeof said, NO_SIGNAL, 0, 0);
}

static __attribute__((noreturn)) void refuse(u32 error)
{
    if (marker >= 0)
        call(FTRUNCATE, marker, 0, 0, 0, 0, 0);
    say(error);
    give_up();
}

static void meet(const char *own_name)
{
    struct address there;
    word n = length(own_name);
    if (n + sizeof ".sock" > sizeof there.path)
        give_up();
    there.family = UNIX_STREAM;
    append(append(there.path, own_name), ".sock");
    socket_file = call(SOCKET, UNIX_STREAM, UNIX_STREAM | CLOSE_ON_EXEC, 0, 0, 0, 0);
    if (socket_file < 0)
        give_up();
    if (call(CONNECT, socket_file, (long)&there, sizeof(short) + n + sizeof ".sock", 0, 0, 0) < 0)
        give_up();
    say(0);
}

/* Fills `data`; with `control`, takes the file that comes along with its first byte. */
static void receive(void *data, word wanted, struct control *control)
{
    word got = 0;
    while (got < wanted) {
        struct piece piece = {(char *)data + got, wanted - got};
        struct header header = {0, 0, &piece, 1, got ? 0 : control, got || !control ? 0 : sizeof *control, 0};
        long n = call(RECVMSG, socket_file, (long)&header, CLOEXEC_FILES, 0, 0, 0);
        if (n == -E_INTR)
            continue;
        if (n <= 0)
            give_up();
        if (control && !got) {
            word least = sizeof control->length + 2 * sizeof(int) + sizeof(int);
            if (header.control_length < least || control->level != SOCKETS || control->type != RIGHTS)
                give_up();
            marker = control->file;
        }
        got += n;
    }
}

/* ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static const char *value_of(char **variables, const char *name)
{
    for (; *variables; variables++)
        if (same_name(*variables, name))
            return *variables + length(name);
    return "";
}

/* Whether the path has a part that runtimes write differently: nothing, "." or "..". */
static int is_odd(const char *from, const char *to)
{
    for (; from < to; from++)
        if (*from == '/' && from + 1 < to) {
            const char *part = from + 1;
            if (*part == '.')
                part++;
            if (part < to && part > from + 1 && *part == '.')
                part++;
            if (part == to || *part == '/')
                return 1;
        }
    return 0;
}

/* Returns only with the reason why not. */
static u32 execute(char **arguments, char **variables, char *path)
{
    const char *command = arguments[0], *from, *to;
    for (from = command; *from; from++)
        if (*from == '/')
            return -call(EXECVE, (long)command, (long)arguments, (long)variables, 0, 0, 0);
    if (!*command)
        return E_NOENT;
    for (from = value_of(variables, "PATH="); *from; from = *to ? to + 1 : to) {
        char *end = path;
        long error;
        for (to = from; *to && *to != ':'; to++)
            ;
        if (*from != '/' || is_odd(from, to))
            return E_ACCES;
        if ((word)(to - from) + 1 + length(command) >= LONGEST_PATH)
            return E_NAMETOOLONG;
        while (from < to)
            *end++ = *from++;
        if (end[-1] != '/')
            *end++ = '/';
        append(end, command);
        error = -call(EXECVE, (long)path, (long)arguments, (long)variables, 0, 0, 0);
        if (error == E_ACCES && call(FACCESSAT, -100, (long)path, 0, 0, 0, 0) == -E_ACCES)
            continue; /* what cannot even be seen is passed over by all */
        if (error != E_NOENT && error != E_NOTDIR)
            return error;
        /* An interpreter that is missing is told by ENOENT as well, of a file that is there. */
        if (call(FACCESSAT, -100, (long)path, 0, 0, 0, 0) == 0)
            return error;
    }
    return E_NOENT;
}

static char *string(char **next, char *end)
{
    char *found = *next;
    while (*next < end && **next)
        ++*next;
    if (*next == end)
        refuse(E_PROTO);
    ++*next;
    return found;
}

__attribute__((noreturn, used)) void begin(word *stack)
{
    char **own = (char **)(stack + 2 + stack[0]), **arguments, **variables, *data, *next;
    struct order order;
    struct control control;
    word i, n, kept = 0, size;

    if (!stack[0])
        give_up();
    meet((char *)stack[1]);
    receive(&order, sizeof order, &control);
    while (own[kept])
        kept++;
    if (order.magic != MAGIC || !order.arguments)
        refuse(E_PROTO);
    if (order.length > LONGEST_MESSAGE || order.arguments > MOST_STRINGS || order.variables > MOST_STRINGS)
        refuse(E_BIG);

    size = (order.arguments + 1 + (word)order.variables + kept + 1) * sizeof(char *) + LONGEST_PATH + order.length;
    arguments = (char **)call(MMAP, 0, size, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
    if ((word)arguments > -4096UL)
        refuse(-(long)arguments);
    variables = arguments + order.arguments + 1;
    data = (char *)(variables + order.variables + kept + 1) + LONGEST_PATH;
    receive(data, order.length, 0);

    next = data;
    for (i = 0; i < order.arguments; i++)
        arguments[i] = string(&next, data + order.length);
    for (n = 0; n < order.variables; n++)
        variables[n] = string(&next, data + order.length);
    for (; *own; own++) {
        for (i = 0; i < order.variables && !same_name(*own, variables[i]); i++)
            ;
        if (i == order.variables)
            variables[n++] = *own;
    }
    variables[n] = 0;

    if (call(WRITE, marker, (long)"1", 1, 0, 0, 0) != 1)
        refuse(E_PROTO);
    refuse(execute(arguments, variables, data - LONGEST_PATH));
}
