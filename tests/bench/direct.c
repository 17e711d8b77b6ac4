/* The ceiling of the engine: libclamav called directly, one engine, as many forked processes as asked for, bodies in memory.
 * Reads jobs from standard input, one a line, so that it can take its turn between the other contestants:
 *
 *   direct DIR PROCESSES        DIR is the directory of signatures
 *   BYTES FORM unseen|seen|eicar|half SEED WARM-SECONDS SECONDS
 *
 * and answers each with one line of JSON. "ready" comes first, when the engine is loaded. Limits and options are those of scand. */
#include "config.h"

#include "bodies.h"

#include <clamav.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCESSES 64
#define MAX_TIMES (1u << 18) /* latencies kept a process */
#define MAX_FORM 16

struct job {
    size_t bytes;
    enum bench_kind kind;
    uint64_t seed;
    double warm_s, run_s;
};

/* In memory shared with the children. */
struct tally {
    uint64_t all, counted, found, failed, cpu_us;
    uint32_t n_times;
    uint32_t times[MAX_TIMES];
};

static struct cl_engine *load_engine(const char *dir)
{
    unsigned n = 0;
    cl_error_t ret = cl_init(CL_INIT_DEFAULT);
    struct cl_engine *engine = ret == CL_SUCCESS ? cl_engine_new() : NULL;
    if (!engine) {
        fputs("direct: libclamav does not start\n", stderr);
        exit(2);
    }
    cl_engine_set_num(engine, CL_ENGINE_MAX_SCANSIZE, 419430400);
    cl_engine_set_num(engine, CL_ENGINE_MAX_FILESIZE, 268435456);
    cl_engine_set_num(engine, CL_ENGINE_MAX_FILES, 10000);
    cl_engine_set_num(engine, CL_ENGINE_MAX_RECURSION, 17);
    ret = cl_load(dir, engine, &n, CL_DB_STDOPT);
    if (ret == CL_SUCCESS)
        ret = cl_engine_compile(engine);
    if (ret != CL_SUCCESS) {
        fprintf(stderr, "direct: %s: %s\n", dir, cl_strerror(ret));
        exit(2);
    }
    return engine;
}

static cl_error_t scan(struct cl_engine *engine, const struct bench_body *body)
{
    struct cl_scan_options options;
    const char *name = NULL;
    unsigned long scanned = 0;
    memset(&options, 0, sizeof options);
    options.general = CL_SCAN_GENERAL_HEURISTICS;
    options.parse = ~0u;
    options.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE | CL_SCAN_HEURISTIC_ENCRYPTED_DOC;
    cl_fmap_t *map = cl_fmap_open_memory(body->p, body->n);
    if (!map)
        return CL_EMEM;
    cl_error_t ret = cl_scanmap_callback(map, NULL, &name, &scanned, engine, &options, NULL);
    cl_fmap_close(map);
    return ret;
}

static void work(struct cl_engine *engine, const struct job *job, const struct bench_mixture *mixture, unsigned worker, struct tally *tally)
{
    struct bench_body *own = bench_alloc(BENCH_MAX_CLASSES * sizeof *own);
    uint64_t cpu = bench_cpu_us(), start = bench_now_us(), warm = start + (uint64_t) (job->warm_s * 1e6),
             end = warm + (uint64_t) (job->run_s * 1e6);
    uint64_t first = job->kind == BENCH_SEEN ? 0 : (job->seed << 40) + ((uint64_t) worker << 32), now = start;
    size_t class;
    do { /* once at least: without time it is a question about one body */
        const struct bench_body *body = bench_pick(mixture, own, first + tally->all, &class);
        uint64_t begin = now;
        tally->all++;
        cl_error_t ret = scan(engine, body);
        now = bench_now_us();
        tally->found += ret == CL_VIRUS;
        tally->failed += ret != (job->kind == BENCH_EICAR ? CL_VIRUS : CL_CLEAN);
        if (now < warm || now > end)
            continue;
        if (tally->n_times < MAX_TIMES)
            tally->times[tally->n_times++] = (uint32_t) (now - begin);
        tally->counted++;
    } while (now < end);
    tally->cpu_us = bench_cpu_us() - cpu;
}

static void report(const struct job *job, const struct tally *tallies, unsigned processes, unsigned died)
{
    struct tally sum = { .n_times = 0 };
    struct bench_times times = { .us = NULL };
    for (unsigned i = 0; i < processes; i++) {
        sum.all += tallies[i].all;
        sum.counted += tallies[i].counted;
        sum.found += tallies[i].found;
        sum.failed += tallies[i].failed;
        sum.cpu_us += tallies[i].cpu_us;
        for (uint32_t t = 0; t < tallies[i].n_times; t++)
            bench_times_add(&times, tallies[i].times[t]);
    }
    printf("{\"tps\": %.1f, \"counted\": %" PRIu64 ", \"all\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"blocked\": %" PRIu64
           ", \"p50_us\": %" PRIu32 ", \"p99_us\": %" PRIu32 ", \"cpu_us\": %" PRIu64 ", \"reasons\": [%s]}\n",
        job->run_s > 0 ? (double) sum.counted / job->run_s : 0, sum.counted, sum.all, sum.failed + died, sum.found,
        bench_times_percentile(&times, 50), bench_times_percentile(&times, 99), sum.cpu_us,
        sum.failed + died ? "\"wrong verdict, or a process died\"" : "");
    fflush(stdout);
    bench_times_fini(&times);
}

static void run_job(struct cl_engine *engine, const struct job *job, const struct bench_mixture *mixture, unsigned processes)
{
    size_t bytes = processes * sizeof(struct tally);
    struct tally *tallies = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned died = 0;
    if (tallies == MAP_FAILED)
        bench_die("mmap");
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            bench_die("fork");
        if (pid == 0) {
            work(engine, job, mixture, i, &tallies[i]);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < processes; i++) {
        int status = 0;
        if (wait(&status) < 0 || status != 0)
            died++;
    }
    report(job, tallies, processes, died);
    munmap(tallies, bytes);
}

int main(int argc, char **argv)
{
    char line[256], form[MAX_FORM], kind[8];
    unsigned processes = argc == 3 ? (unsigned) strtoul(argv[2], NULL, 10) : 0;
    if (processes == 0 || processes > MAX_PROCESSES) {
        fputs("usage: direct DIR PROCESSES\n", stderr);
        return 2;
    }
    struct cl_engine *engine = load_engine(argv[1]);
    struct bench_mixture *mixture = bench_alloc(sizeof *mixture);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct job job = { .bytes = 0 };
        if (sscanf(line, "%zu %15s %7s %" SCNu64 " %lf %lf", &job.bytes, form, kind, &job.seed, &job.warm_s, &job.run_s) != 6 ||
            bench_kind_parse(kind) < 0) {
            fprintf(stderr, "direct: not a job: %s", line);
            return 2;
        }
        job.kind = (enum bench_kind) bench_kind_parse(kind);
        if (!bench_mixture_init(mixture, form, job.bytes, job.kind)) {
            fprintf(stderr, "direct: no such form of body: %s\n", form);
            return 2;
        }
        run_job(engine, &job, mixture, processes);
        bench_mixture_fini(mixture);
    }
    free(mixture);
    cl_engine_free(engine);
    return 0;
}
