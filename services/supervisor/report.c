#include "services/supervisor/report.h"

#include <stdio.h>
#include <unistd.h>

int64_t report_parse_rss(struct gtv_str status)
{
    while (status.n) {
        struct gtv_str line = gtv_str_cut(&status, '\n');
        if (!gtv_str_starts(line, GTV_STR("VmRSS:")))
            continue;
        (void)gtv_str_cut(&line, ':');
        line = gtv_str_trim(line);
        int64_t kib;
        return gtv_parse_int(gtv_str_cut(&line, ' '), 0, INT64_MAX, &kib) ? kib : -1;
    }
    return -1;
}

int64_t report_rss_kib(pid_t pid)
{
    char path[64], text[8192];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return report_parse_rss((struct gtv_str){text, n});
}

static void print_rss(const char *name, pid_t pid, int64_t *total)
{
    int64_t kib = pid > 0 ? report_rss_kib(pid) : -1;
    if (kib < 0) {
        printf(" %s -", name);
        return;
    }
    *total += kib;
    printf(" %s %.1f", name, (double)kib / 1024);
}

static void print_addresses(const struct plan *plan, struct child *const *children, size_t n)
{
    if (plan->door_url) {
        printf("\nGT-Vision: %s/\n", plan->door_url);
        return;
    }
    printf("\n");
    for (size_t i = 0; i < n; i++) {
        const char *name = child_spec_of(children[i])->name;
        if (plan_http_port(plan, name))
            printf("GT-Vision %s: http://127.0.0.1:%d/\n", name, plan_http_port(plan, name));
    }
}

void report_print(const struct plan *plan, int64_t playable_ms, struct child *const *children, size_t n)
{
    int64_t total = 0;
    print_addresses(plan, children, n);
    if (playable_ms >= 0)
        printf("  first playable segment %.2f s after the start\n", (double)playable_ms / 1000);
    else if (playable_ms == -2)
        printf("  the first camera has no playable segment yet; the page tells why\n");
    printf("  memory (RSS, MiB):");
    print_rss("supervisor", getpid(), &total);
    for (size_t i = 0; i < n; i++)
        print_rss(child_spec_of(children[i])->name, child_pid(children[i]), &total);
    printf("; together %.1f\n  Ctrl-C stops everything.\n\n", (double)total / 1024);
    fflush(stdout);
}
