/* Bodies, clock and percentiles. A body must cost every contestant the same, so it is a function of its arguments alone: any two
 * programs that ask for the same size and seed get the same bytes. */
#include "config.h"

#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define US_PER_S 1000000u
#define STAMP_TEXT "Reference 0000000000000000. "
#define STAMP_SKIP 10 /* to the first digit in STAMP_TEXT */

static const char *const words[] = { "the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "on", "are", "as", "with", "his",
    "they", "at", "be", "this", "from", "have", "or", "by", "one", "had", "not", "but", "what", "all", "were", "when", "we", "there", "can",
    "an", "your", "which", "their", "said", "if", "do", "will", "each", "about", "how", "up", "out", "them", "then", "she", "many", "some",
    "so", "these", "would", "other", "into", "has", "more", "her", "two", "like", "him", "see", "time", "could", "no", "make", "than",
    "first", "been", "its", "who", "now", "people", "my", "made", "over", "did", "down", "only", "way", "find", "use", "may", "water",
    "long", "little", "very", "after", "words", "called", "just", "where", "most", "know", "harbour", "garden", "letter", "morning",
    "weather", "station", "window", "language", "mountain", "question", "summer", "library", "evening", "delivery", "agreement", "reader",
    "history", "material", "distance", "government", "machine", "science", "village", "journey", "market", "silver", "bridge", "captain",
    "orchard", "paper", "winter" };
#define WORDS (sizeof words / sizeof words[0])

void bench_die(const char *what)
{
    perror(what);
    exit(2);
}

void *bench_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        bench_die("out of memory");
    return p;
}

uint64_t bench_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * US_PER_S + (uint64_t) ts.tv_nsec / 1000;
}

uint64_t bench_cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S +
        (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

uint64_t bench_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void bench_hex(char *p, uint64_t x)
{
    for (int i = BENCH_STAMP_DIGITS - 1; i >= 0; i--, x >>= 4)
        p[i] = "0123456789abcdef"[x & 15];
}

int bench_kind_parse(const char *word)
{
    if (strcmp(word, "unseen") == 0)
        return BENCH_UNSEEN;
    if (strcmp(word, "seen") == 0)
        return BENCH_SEEN;
    return strcmp(word, "eicar") == 0 ? BENCH_EICAR : -1;
}

/* Text under construction. What does not fit any more is left out whole. */
struct writer {
    char *p;
    size_t n, used;
    uint64_t random;
};

static int put(struct writer *w, const char *text)
{
    size_t n = strlen(text);
    if (n > w->n - w->used)
        return 0;
    memcpy(w->p + w->used, text, n);
    w->used += n;
    return 1;
}

static unsigned roll(struct writer *w, unsigned sides)
{
    w->random = bench_mix(w->random);
    return (unsigned) (w->random % sides);
}

static void put_stamp(struct writer *w, struct bench_body *body)
{
    size_t at = w->used + STAMP_SKIP;
    if (body->stamps < BENCH_STAMPS && put(w, STAMP_TEXT))
        body->stamp[body->stamps++] = at;
}

/* One sentence of 6 to 17 words; in a page now and then a word is a link. 0 when the room is used up. */
static int put_sentence(struct writer *w, int html)
{
    unsigned n = 6 + roll(w, 12);
    for (unsigned i = 0; i < n; i++) {
        const char *word = words[roll(w, WORDS)];
        char text[96];
        const char *end = i + 1 == n ? ". " : " ";
        if (html && roll(w, 24) == 0)
            snprintf(text, sizeof text, "<a href=\"/%s/%u.html\">%s</a>%s", words[roll(w, WORDS)], roll(w, 10000), word, end);
        else
            snprintf(text, sizeof text, "%s%s", word, end);
        if (i == 0 && text[0] >= 'a' && text[0] <= 'z')
            text[0] = (char) (text[0] - 'a' + 'A');
        if (!put(w, text))
            return 0;
    }
    return 1;
}

static void put_paragraph(struct writer *w, int html)
{
    unsigned n = 3 + roll(w, 5);
    put(w, html ? "<p class=\"text\">" : "");
    for (unsigned i = 0; i < n; i++)
        if (!put_sentence(w, html))
            break;
    put(w, html ? "</p>\n" : "\n\n");
}

void bench_body_init(struct bench_body *body, size_t n, int html, uint64_t seed)
{
    static const char top[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>The morning letter</title>\n"
                              "<link rel=\"stylesheet\" href=\"/style/main.css\">\n</head>\n<body>\n<h1>The morning letter</h1>\n";
    static const char bottom[] = "</body>\n</html>\n";
    size_t tail = html ? sizeof bottom - 1 : 0;
    memset(body, 0, sizeof *body);
    body->p = bench_alloc(n + 1);
    body->n = n;
    struct writer w = { .p = body->p, .n = n > tail ? n - tail : 0, .used = 0, .random = seed };
    put(&w, html ? top : "");
    for (size_t i = 0; w.used + 256 < w.n; i++) {
        if (w.used >= body->stamps * (w.n / BENCH_STAMPS))
            put_stamp(&w, body);
        put_paragraph(&w, html);
    }
    while (w.used < w.n)
        put(&w, w.used % 64 == 0 ? "\n" : " ");
    w.n = n;
    put(&w, html ? bottom : "");
    memset(body->p + w.used, '\n', n - w.used);
}

void bench_body_init_eicar(struct bench_body *body, size_t n, uint64_t seed)
{
    char eicar[BENCH_EICAR_BYTES];
    bench_eicar(eicar);
    bench_body_init(body, n < BENCH_EICAR_BYTES ? BENCH_EICAR_BYTES : n, 0, seed);
    memcpy(body->p + (body->n - BENCH_EICAR_BYTES) / 2, eicar, BENCH_EICAR_BYTES);
    body->stamps = 0;
}

void bench_body_stamp(struct bench_body *body, uint64_t serial)
{
    for (size_t i = 0; i < body->stamps; i++)
        bench_hex(body->p + body->stamp[i], bench_mix(serial + (uint64_t) i * UINT64_C(0x100000001b3)));
}

void bench_body_fini(struct bench_body *body)
{
    free(body->p);
    memset(body, 0, sizeof *body);
}

void bench_eicar(char out[BENCH_EICAR_BYTES])
{
    static const char *const parts[] = { "X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!", "$H+H*" };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = strlen(parts[i]);
        memcpy(out + used, parts[i], n);
        used += n;
    }
    if (used != BENCH_EICAR_BYTES)
        abort();
}

void bench_times_add(struct bench_times *times, uint64_t us)
{
    if (times->n == times->room) {
        size_t room = times->room ? times->room * 2 : 65536;
        uint32_t *grown = realloc(times->us, room * sizeof *grown);
        if (!grown)
            bench_die("out of memory");
        times->us = grown;
        times->room = room;
    }
    times->us[times->n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t) us;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return x < y ? -1 : x > y;
}

uint32_t bench_times_percentile(struct bench_times *times, unsigned percent)
{
    if (times->n == 0)
        return 0;
    qsort(times->us, times->n, sizeof *times->us, compare_u32);
    return times->us[(times->n - 1) * percent / 100];
}

void bench_times_fini(struct bench_times *times)
{
    free(times->us);
    memset(times, 0, sizeof *times);
}
