/* Patterns by PCRE2, the only file that includes it. Patterns come from people who are trusted but not perfect, subjects come
 * from attackers, so effort is bounded here whatever the pattern is.
 *
 * PCRE2's match limit counts anew at each position where a match could start, and it does not count what a loop over one
 * character class costs. Two things make it a bound on the whole: a long subject is searched in windows of start positions,
 * the longer the subject the smaller the window; and between windows the processor time of this thread is looked at
 * (not the wall clock: a busy machine must not turn ordinary requests into refused ones).
 *
 * A match takes about 20 ns on an ordinary path, of which a little more than half is the match data. It is made for each call: a copy
 * kept for each thread would outlive a module that c-icap unloads. Many patterns are "^/some/path...": their literal start is
 * compared first, so that PCRE2 is not even asked. */
#include "config.h"

#include "pattern_priv.h"

#include "sallyport/assert.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 2000                 /* backtracking points tried from one start position */
#define MATCH_LIMIT_MIN 100              /* same, of the longest subjects */
#define MATCH_EFFORT (32 * 1024 * 1024)  /* backtracking points x bytes of the subject: each may cost a look at all of it */
#define DEPTH_LIMIT 500                  /* of the interpreter, where there is no JIT */
#define HEAP_LIMIT_KIB 256               /* same */
#define SHORT_BYTES 2048                 /* subjects up to this size are searched in one go */
#define WINDOW_EFFORT (4 * 1024 * 1024)  /* start positions in a window x bytes of the subject */
#define WINDOW_MIN 64                    /* start positions */
#define WINDOWS_PER_LOOK 4               /* windows between two looks at the clock */
#define TIME_LIMIT_NS (10 * 1000 * 1000) /* of one search */
#define NS_PER_S 1000000000LL
/* DOTALL and DOLLAR_ENDONLY: a line end in a folded value is a byte like any other. */
#define COMPILE_OPTIONS (PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_UTF)

struct sp_pattern {
    pcre2_code *code;
    pcre2_match_context *context; /* limits; no window. Read only after sp_pattern_new */
    bool is_anchored;             /* can match at the start only */
    bool has_jit;
    size_t prefix_n; /* every match starts with these bytes, at the start of the subject */
    char prefix[SP_LITERAL_MAX];
    struct sp_literal *literals; /* owned; every match has one of them somewhere, in either case */
    size_t n_literals;
};

/* --- life ------------------------------------------------------------------------------------------------------------ */

static pcre2_match_context *new_context(void)
{
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    if (context) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_depth_limit(context, DEPTH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    }
    return context;
}

static bool keep_literals(struct sp_pattern *pattern, struct sp_str regex)
{
    struct sp_literals literals;
    sp_regex_literals(regex, &literals);
    pattern->literals = calloc(literals.n + 1, sizeof(*pattern->literals));
    if (!pattern->literals)
        return false;
    memcpy(pattern->literals, literals.of, literals.n * sizeof(*pattern->literals));
    pattern->n_literals = literals.n;
    return true;
}

enum sp_status sp_pattern_new(struct sp_str regex, struct sp_error *err, struct sp_pattern **pattern_out)
{
    *pattern_out = NULL;
    /* "(*" settings may lift the limits. Nobody needs them. */
    if (regex.n >= 2 && regex.p[0] == '(' && regex.p[1] == '*')
        return sp_error_set(err, SP_ERR_SYNTAX, "pattern: settings such as (*UTF) are not allowed");

    enum sp_status status = SP_ERR_NOMEM;
    struct sp_pattern *pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        goto out;
    int code = 0;
    PCRE2_SIZE offset = 0;
    pattern->code = pcre2_compile((PCRE2_SPTR) regex.p, regex.n, COMPILE_OPTIONS, &code, &offset, NULL);
    if (!pattern->code) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(code, text, sizeof(text));
        status = sp_error_set(
            err, code == PCRE2_ERROR_NOMEMORY ? SP_ERR_NOMEM : SP_ERR_SYNTAX, "pattern: %s at offset %zu", (const char *) text, offset);
        goto out;
    }
    pattern->context = new_context();
    if (!pattern->context)
        goto out;
    uint32_t options = 0;
    (void) pcre2_pattern_info(pattern->code, PCRE2_INFO_ALLOPTIONS, &options);
    pattern->is_anchored = (options & PCRE2_ANCHORED) != 0;
    pattern->prefix_n = sp_regex_prefix(regex, pattern->prefix);
    if (!keep_literals(pattern, regex))
        goto out;
    pattern->has_jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
    *pattern_out = pattern;
    pattern = NULL;
    status = SP_OK;
out:
    sp_pattern_free(&pattern);
    return status == SP_ERR_NOMEM ? sp_error_set(err, status, "pattern: no memory") : status;
}

void sp_pattern_free(struct sp_pattern **pattern)
{
    if (!pattern || !*pattern)
        return;
    pcre2_match_context_free((*pattern)->context);
    pcre2_code_free((*pattern)->code);
    free((*pattern)->literals);
    free(*pattern);
    *pattern = NULL;
}

size_t sp_pattern_count_literals(const struct sp_pattern *pattern)
{
    return pattern->n_literals;
}

struct sp_str sp_pattern_literal(const struct sp_pattern *pattern, size_t i)
{
    SP_ASSERT(i < pattern->n_literals);
    return (struct sp_str){ pattern->literals[i].bytes, pattern->literals[i].n };
}

/* --- matching -------------------------------------------------------------------------------------------------------- */

static enum sp_pattern_result run(
    const struct sp_pattern *pattern, struct sp_str subject, size_t start, pcre2_match_data *data, pcre2_match_context *context)
{
    PCRE2_SPTR p = (PCRE2_SPTR) (subject.p ? subject.p : "");
    int rc = pattern->has_jit ? pcre2_jit_match(pattern->code, p, subject.n, start, 0, data, context)
                              : pcre2_match(pattern->code, p, subject.n, start, 0, data, context);
    if (rc >= 0)
        return SP_PATTERN_YES;
    /* Every other code means a limit, a full stack or no memory: nobody knows whether it would have matched. */
    return rc == PCRE2_ERROR_NOMATCH ? SP_PATTERN_NO : SP_PATTERN_LIMIT;
}

static int64_t thread_time_ns(void)
{
    struct timespec now = { 0 };
    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static size_t clamp(size_t value, size_t min, size_t max)
{
    return value < min ? min : value > max ? max : value;
}

static enum sp_pattern_result run_windows(const struct sp_pattern *pattern, struct sp_str subject, size_t window, pcre2_match_data *data)
{
    enum sp_pattern_result result = SP_PATTERN_LIMIT;
    int64_t deadline_ns = 0;
    unsigned count = 0;
    pcre2_match_context *context = pcre2_match_context_copy(pattern->context);
    if (!context)
        return SP_PATTERN_LIMIT;
    pcre2_set_match_limit(context, (uint32_t) clamp(MATCH_EFFORT / subject.n, MATCH_LIMIT_MIN, MATCH_LIMIT));

    /* The position behind the last byte is one where a match may start as well. */
    for (size_t start = 0; start <= subject.n; start += window) {
        pcre2_set_offset_limit(context, start + window - 1);
        result = run(pattern, subject, start, data, context);
        if (result != SP_PATTERN_NO)
            break;
        if (++count % WINDOWS_PER_LOOK != 0)
            continue;
        int64_t now_ns = thread_time_ns();
        if (deadline_ns == 0)
            deadline_ns = now_ns + TIME_LIMIT_NS; /* one round is free, so that short searches ask no clock */
        if (now_ns > deadline_ns) {
            result = SP_PATTERN_LIMIT;
            break;
        }
    }
    pcre2_match_context_free(context);
    return result;
}

enum sp_pattern_result sp_pattern_match(const struct sp_pattern *pattern, struct sp_str subject)
{
    SP_ASSERT(pattern);
    if (subject.n < pattern->prefix_n || (pattern->prefix_n > 0 && memcmp(subject.p, pattern->prefix, pattern->prefix_n) != 0))
        return SP_PATTERN_NO;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return SP_PATTERN_LIMIT;
    enum sp_pattern_result result;
    if (subject.n <= SHORT_BYTES) {
        result = run(pattern, subject, 0, data, pattern->context);
    } else {
        size_t window = pattern->is_anchored ? subject.n + 1 : clamp(WINDOW_EFFORT / subject.n, WINDOW_MIN, subject.n);
        result = run_windows(pattern, subject, window, data);
    }
    pcre2_match_data_free(data);
    return result;
}
