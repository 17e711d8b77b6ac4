/* Who lives. A process id alone is not enough: it comes back after a while, with another start time. */
#include "config.h"

#include "sallyport/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define START_MASK ((UINT64_C(1) << SP_PROCESS_PID_SHIFT) - 1)

/* The start time of a process, 0 if it cannot be told. *is_zombie_out: nothing of it runs any more. */
static uint64_t start_time(pid_t pid, bool *is_zombie_out)
{
    char path[32], text[1024];
    *is_zombie_out = false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    char state = '\0';
    unsigned long long start = 0;
    long threads = 0;
    if (!after_name
        || sscanf(after_name, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %*s %llu", &state, &threads, &start)
            != 3)
        return 0;
    *is_zombie_out = (state == 'Z' || state == 'X') && threads <= 1; /* a leader that ended before its threads is a zombie too */
    return start & START_MASK;
}

uint64_t sp_process_word(pid_t pid)
{
    bool is_zombie;
    return (uint64_t) pid << SP_PROCESS_PID_SHIFT | start_time(pid, &is_zombie);
}

bool sp_process_is_alive(uint64_t word)
{
    const pid_t pid = (pid_t) (word >> SP_PROCESS_PID_SHIFT);
    if (pid == 0 || (kill(pid, 0) < 0 && errno == ESRCH))
        return false;
    bool is_zombie;
    const uint64_t now = start_time(pid, &is_zombie), then = word & START_MASK;
    return !is_zombie && (now == 0 || then == 0 || now == then);
}
