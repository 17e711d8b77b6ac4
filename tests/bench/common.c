/* Clock, digits, the test signature and percentiles. */
#include "config.h"

#include "common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define US_PER_S 1000000u

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
    if (strcmp(word, "half") == 0)
        return BENCH_HALF;
    return strcmp(word, "eicar") == 0 ? BENCH_EICAR : -1;
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

const char *bench_field(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " ");
    }
    return NULL;
}

int bench_parts_sent(struct iovec *parts, int part, int n_parts, size_t n)
{
    while (part < n_parts && n >= parts[part].iov_len)
        n -= parts[part++].iov_len;
    if (part < n_parts) {
        parts[part].iov_base = (char *) parts[part].iov_base + n;
        parts[part].iov_len -= n;
    }
    return part;
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
